"""What the service was asked to do: command line flags, then ``ASR_*`` variables, then defaults."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

LANGUAGES = ("auto", "zh", "en", "yue", "ja", "ko", "nospeech")
"""Language hints that SenseVoice knows (``SenseVoiceSmall.lid_dict``); FunASR takes any other silently for
auto.
"""

LOG_LEVELS = ("critical", "error", "warning", "info", "debug")


class SettingsError(Exception):
    """A setting that cannot work; the text says which and what to do."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of one run, validated. Times are seconds and sizes bytes unless the name says otherwise."""

    model: Path
    vad_model: Path
    language: str = "auto"
    device: str = "cpu"
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    queue: int = 64
    max_upload_mb: int = 100
    max_audio_seconds: float = 3600.0
    timeout: float = 300.0
    body_timeout: float = 20.0
    recycle_after: int = 2000
    use_itn: bool = True
    batch_size_s: float = 60.0
    merge_vad: bool = True
    merge_length_s: float = 15.0
    ban_emo_unk: bool = True
    max_single_segment_time: int = 30000
    keep_alive: int = 60
    log_level: str = "info"
    api_key: str | None = dataclasses.field(default=None, repr=False)

    @property
    def max_upload_bytes(self) -> int:
        """Largest accepted file."""
        return self.max_upload_mb * 1_000_000

    @property
    def model_id(self) -> str:
        """The model's name for clients: the last part of its directory."""
        return self.model.resolve().name

    @property
    def threads(self) -> int:
        """Threads that each recognition process may use for its arithmetic."""
        return max(1, usable_cpus() // self.workers)


def usable_cpus() -> int:
    """Cores that this process may use: its affinity, further limited by a cgroup v2 quota (containers)."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup v2 here, or "max": no quota
        pass
    return cores


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _natural_int(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError("must be from 0 (any free port) to 65535")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be a number above 0")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m provision.asr",
        description="Serves speech recognition (FunASR SenseVoice) over HTTP.",
        epilog="Each option can be given in the environment as ASR_<OPTION>, as in ASR_MAX_UPLOAD_MB=50; "
        "the command line wins. The API key is taken from ASR_API_KEY only, so that it shows in no list of "
        "processes; with a key set, / (the page), /health, /metrics and /openapi.json stay open, everything "
        "else needs it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    default = {field.name: field.default for field in dataclasses.fields(Settings)}
    switch = argparse.BooleanOptionalAction
    add = parser.add_argument
    add("--model", metavar="DIR", help="directory of the recognition model (SenseVoiceSmall)")
    add("--vad-model", metavar="DIR", help="directory of the voice activity model (fsmn-vad)")
    add("--language", choices=LANGUAGES, help="language of requests that name none")
    add(
        "--device",
        help="where inference runs: cpu, cuda, cuda:0, npu:0, ...; the start fails if it is not there",
    )
    add("--host", help="address to listen on")
    add("--port", type=_port, help="port to listen on")
    add(
        "--workers",
        type=_positive_int,
        help="recognition processes, each with its own copy of the model in memory; "
        "without it up to 4, one a core, on a CPU, and 1 elsewhere",
    )
    add(
        "--queue",
        type=_positive_int,
        help="requests that may wait; a further one is answered 503 with Retry-After",
    )
    add(
        "--max-upload-mb",
        type=_positive_int,
        metavar="MB",
        help="largest file in millions of bytes, else 413",
    )
    add("--max-audio-seconds", type=_positive, metavar="S", help="longest audio, else 413")
    add("--timeout", type=_positive, metavar="S", help="longest time from upload to answer, else 504")
    add(
        "--body-timeout",
        type=_positive,
        metavar="S",
        help="longest silence of a client in mid-request, else 408",
    )
    add(
        "--recycle-after",
        type=_natural_int,
        metavar="N",
        help="replace a recognition process after N requests, against leaks; 0 = never",
    )
    add("--use-itn", action=switch, help="write numbers and punctuation (inverse text normalization)")
    add("--batch-size-s", type=_positive, metavar="S", help="seconds of audio recognised together at most")
    add("--merge-vad", action=switch, help="join short pieces of speech before recognition")
    add("--merge-length-s", type=_positive, metavar="S", help="length up to which pieces are joined")
    add("--ban-emo-unk", action=switch, help="always name an emotion, never 'unknown'")
    add(
        "--max-single-segment-time",
        type=_positive_int,
        metavar="MS",
        help="longest piece of speech in milliseconds",
    )
    add("--keep-alive", type=_positive_int, metavar="S", help="how long an idle connection is kept")
    add("--log-level", choices=LOG_LEVELS, help="least severe messages to log")
    parser.set_defaults(**{name: value for name, value in default.items() if name not in _NO_DEFAULT})
    return parser


_NO_DEFAULT = {"model", "vad_model", "workers", "api_key"}


def _arguments_from_environment(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> list[str]:
    """The ``ASR_*`` variables as arguments, to be validated like those of the command line."""
    arguments: list[str] = []
    for action in parser._actions:
        text = environ.get("ASR_" + action.dest.upper())
        if text is None or action.dest == "help":
            continue
        if isinstance(action, argparse.BooleanOptionalAction):
            truth = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(
                text.lower()
            )
            if truth is None:
                raise SettingsError(f"ASR_{action.dest.upper()} must be true or false, not {text!r}")
            arguments.append(action.option_strings[0 if truth else 1])
        else:
            arguments.append(f"{action.option_strings[0]}={text}")
    return arguments


def _check_api_key(key: str) -> None:
    if not key or key != key.strip() or not key.isascii() or not key.isprintable():
        raise SettingsError(
            "ASR_API_KEY must be printable ASCII without spaces around it; unset it to serve without a key"
        )


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Settings from a command line and an environment.

    Raises SettingsError; wrong usage and ``--help`` exit as argparse does (2 and 0).
    """
    parser = _parser()
    given = vars(parser.parse_args([*_arguments_from_environment(parser, environ), *argv]))
    for name in ("model", "vad_model"):
        if not given[name]:
            raise SettingsError(
                f"--{name.replace('_', '-')} DIR is needed: the directory that holds the model's files"
            )
        given[name] = Path(given[name])
    if given["workers"] is None:
        given["workers"] = min(usable_cpus(), 4) if given["device"] == "cpu" else 1
    api_key = environ.get("ASR_API_KEY")
    if api_key is not None:
        _check_api_key(api_key)
    return Settings(api_key=api_key, **given)
