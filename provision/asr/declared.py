"""The options of the speech service, each declared once: its command line is made of them, and the fields of
a playbook take their limits and defaults from them.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal, get_args

Language = Literal["auto", "zh", "en", "yue", "ja", "ko", "nospeech"]
"""Language hints that SenseVoice knows (``SenseVoiceSmall.lid_dict``); FunASR silently treats any other as
auto.
"""

LANGUAGES: tuple[str, ...] = get_args(Language)


@dataclasses.dataclass(frozen=True)
class Option:
    """One option.

    Args:
        default: its value when it is not given; its type is the option's. None: a path, or nothing.
        help: what it does, for the command line.
        least: the lowest value.
        above: the value that it must exceed.
        most: the highest value.
        choices: the only values.
        metavar: what stands for the value in the help.
    """

    default: Any
    help: str
    least: int | None = None
    above: int | None = None
    most: int | None = None
    choices: tuple[str, ...] | None = None
    metavar: str | None = None


def _option(default: Any, help: str, **more: Any) -> Any:
    """A field of Settings that is an option."""
    return dataclasses.field(default=default, metadata={"option": Option(default, help, **more)})


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of one run, validated. Times are seconds and sizes bytes unless the name says otherwise."""

    model: Path = _option(None, "directory of the model that recognizes speech", metavar="DIR")
    vad_model: Path = _option(None, "directory of the voice activity model (fsmn-vad)", metavar="DIR")
    ssl_certfile: Path | None = _option(None, "certificate in PEM to speak TLS with", metavar="FILE")
    ssl_keyfile: Path | None = _option(None, "private key of the certificate, in PEM", metavar="FILE")
    punc_model: Path | None = _option(None, "directory of the punctuation model (ct-punc)", metavar="DIR")
    spk_model: Path | None = _option(None, "directory of the speaker model (CAM++)", metavar="DIR")
    language: str = _option("auto", "language of requests that name none", choices=LANGUAGES)
    device: str = _option(
        "cpu", "where inference runs: cpu, cuda, cuda:0, npu:0, ...; the start fails if it is not there"
    )
    host: str = _option("127.0.0.1", "address to listen on")
    port: int = _option(8000, "port to listen on; 0: any free one", least=0, most=65535)
    workers: int = _option(
        1,
        "recognition processes, each with its own copy of the model in memory; "
        "without it up to 4, one a core, on a CPU, and 1 elsewhere",
        least=1,
        most=256,
    )
    queue: int = _option(
        64, "requests that may wait; a further one is answered 503 with Retry-After", least=1
    )
    max_upload_mb: int = _option(100, "largest file in millions of bytes, else 413", least=1, metavar="MB")
    max_audio_seconds: float = _option(3600.0, "longest audio, else 413", above=0, metavar="S")
    timeout: float = _option(300.0, "longest time from upload to answer, else 504", above=0, metavar="S")
    body_timeout: float = _option(
        20.0, "longest silence of a client in mid-request, else 408", above=0, metavar="S"
    )
    recycle_after: int = _option(
        2000, "replace a recognition process after N requests, against leaks; 0 = never", least=0, metavar="N"
    )
    batch_size_s: float = _option(60.0, "seconds of audio recognized together at most", above=0, metavar="S")
    merge_length_s: float = _option(15.0, "length up to which pieces are joined", above=0, metavar="S")
    max_single_segment_time: int = _option(
        30000, "longest piece of speech in milliseconds", least=1, metavar="MS"
    )
    use_itn: bool = _option(True, "write numbers and punctuation (inverse text normalization)")
    merge_vad: bool = _option(True, "join short pieces of speech before recognition")
    ban_emo_unk: bool = _option(True, "always name an emotion, never 'unknown'")
    keep_alive: int = _option(60, "how long an idle connection is kept", least=1, metavar="S")
    log_level: str = _option(
        "info", "least severe messages to log", choices=("critical", "error", "warning", "info", "debug")
    )
    hotwords: tuple[str, ...] = ()
    api_keys: tuple[str, ...] = dataclasses.field(default=(), repr=False)

    @property
    def max_upload_bytes(self) -> int:
        """Largest accepted file."""
        return self.max_upload_mb * 1_000_000

    @property
    def model_id(self) -> str:
        """The model's name for clients: the last part of its directory."""
        return self.model.resolve().name


ALL: dict[str, Option] = {
    field.name: field.metadata["option"]
    for field in dataclasses.fields(Settings)
    if "option" in field.metadata
}
"""All options by name; the flag is the same with dashes."""

OPTIONS: dict[str, Option] = {name: option for name, option in ALL.items() if option.default is not None}
"""Those that have a default."""


def default(name: str) -> Any:
    """The default of an option."""
    return OPTIONS[name].default


HOTWORD_HINT = "a hotword is one word, without spaces and slashes"


def is_hotword(word: str) -> bool:
    """Whether FunASR takes it for one word: it splits at spaces, and reads addresses and files as lists."""
    divided = any(mark.isspace() or mark == "/" for mark in word)
    return bool(word) and not divided and not word.startswith("http") and not word.endswith(".txt")
