"""The options of the speech service, each declared once: its command line is made of them, and the fields of
a playbook take their limits and defaults from them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

LANGUAGES = ("auto", "zh", "en", "yue", "ja", "ko", "nospeech")
"""Language hints that SenseVoice knows (``SenseVoiceSmall.lid_dict``); FunASR takes any other silently for
auto.
"""

LOG_LEVELS = ("critical", "error", "warning", "info", "debug")


@dataclasses.dataclass(frozen=True)
class Option:
    """One option.

    Args:
        default: its value when it is not given; its type is the option's.
        help: what it does, for the command line.
        least: the lowest value.
        above: the value that it must exceed.
        most: the highest value.
        choices: the only values.
        metavar: what stands for the value in the help.
        field: the field of a playbook's service that sets it; None where playbooks have none.
    """

    default: Any
    help: str
    least: int | None = None
    above: int | None = None
    most: int | None = None
    choices: tuple[str, ...] | None = None
    metavar: str | None = None
    field: str | None = None


OPTIONS: dict[str, Option] = {
    "language": Option("auto", "language of requests that name none", choices=LANGUAGES, field="language"),
    "device": Option(
        "cpu",
        "where inference runs: cpu, cuda, cuda:0, npu:0, ...; the start fails if it is not there",
        field="device",
    ),
    "host": Option("127.0.0.1", "address to listen on", field="host"),
    "port": Option(8000, "port to listen on; 0: any free one", least=0, most=65535, field="port"),
    "workers": Option(
        1,
        "recognition processes, each with its own copy of the model in memory; "
        "without it up to 4, one a core, on a CPU, and 1 elsewhere",
        least=1,
        most=256,
        field="workers",
    ),
    "queue": Option(
        64,
        "requests that may wait; a further one is answered 503 with Retry-After",
        least=1,
        field="queue",
    ),
    "max_upload_mb": Option(
        100,
        "largest file in millions of bytes, else 413",
        least=1,
        metavar="MB",
        field="max_upload_mb",
    ),
    "max_audio_seconds": Option(
        3600.0, "longest audio, else 413", above=0, metavar="S", field="max_audio_seconds"
    ),
    "timeout": Option(
        300.0, "longest time from upload to answer, else 504", above=0, metavar="S", field="request_timeout"
    ),
    "body_timeout": Option(
        20.0, "longest silence of a client in mid-request, else 408", above=0, metavar="S"
    ),
    "recycle_after": Option(
        2000,
        "replace a recognition process after N requests, against leaks; 0 = never",
        least=0,
        metavar="N",
    ),
    "batch_size_s": Option(
        60.0, "seconds of audio recognised together at most", above=0, metavar="S", field="batch_size_s"
    ),
    "merge_length_s": Option(
        15.0, "length up to which pieces are joined", above=0, metavar="S", field="merge_length_s"
    ),
    "max_single_segment_time": Option(
        30000,
        "longest piece of speech in milliseconds",
        least=1,
        metavar="MS",
        field="max_single_segment_time",
    ),
    "use_itn": Option(True, "write numbers and punctuation (inverse text normalization)", field="use_itn"),
    "merge_vad": Option(True, "join short pieces of speech before recognition", field="merge_vad"),
    "ban_emo_unk": Option(True, "always name an emotion, never 'unknown'", field="ban_emo_unk"),
    "keep_alive": Option(60, "how long an idle connection is kept", least=1, metavar="S"),
    "log_level": Option("info", "least severe messages to log", choices=LOG_LEVELS),
}
"""By name; the flag is the same with dashes."""


def default(name: str) -> Any:
    """The default of an option."""
    return OPTIONS[name].default


HOTWORD_HINT = "a hotword is one word, without spaces and slashes"


def is_hotword(word: str) -> bool:
    """Whether FunASR takes it for one word: it splits at spaces, and reads addresses and files as lists."""
    divided = any(mark.isspace() or mark == "/" for mark in word)
    return bool(word) and not divided and not word.startswith("http") and not word.endswith(".txt")
