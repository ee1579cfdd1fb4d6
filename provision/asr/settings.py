"""What the service was asked to do: command line flags, then ``ASR_*`` variables, then defaults."""

from __future__ import annotations

import argparse
import dataclasses
import os
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .classes import ROLES
from .declared import HOTWORD_HINT, OPTIONS, Option, default, is_hotword


class SettingsError(Exception):
    """A setting that cannot work; the text says which and what to do."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of one run, validated. Times are seconds and sizes bytes unless the name says otherwise."""

    model: Path
    vad_model: Path
    language: str = default("language")
    device: str = default("device")
    host: str = default("host")
    port: int = default("port")
    workers: int = default("workers")
    queue: int = default("queue")
    max_upload_mb: int = default("max_upload_mb")
    max_audio_seconds: float = default("max_audio_seconds")
    timeout: float = default("timeout")
    body_timeout: float = default("body_timeout")
    recycle_after: int = default("recycle_after")
    use_itn: bool = default("use_itn")
    batch_size_s: float = default("batch_size_s")
    merge_vad: bool = default("merge_vad")
    merge_length_s: float = default("merge_length_s")
    ban_emo_unk: bool = default("ban_emo_unk")
    max_single_segment_time: int = default("max_single_segment_time")
    keep_alive: int = default("keep_alive")
    log_level: str = default("log_level")
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    punc_model: Path | None = None
    spk_model: Path | None = None
    hotwords: tuple[str, ...] = ()
    api_keys: tuple[str, ...] = dataclasses.field(default=(), repr=False)

    @property
    def models(self) -> dict[str, Path]:
        """The directories of all models that are used, by the option that names each."""
        named = {name: getattr(self, name) for name in ROLES}
        return {name: path for name, path in named.items() if path is not None}

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


class _Number:
    """Reads a number within an option's limits, as argparse wants it."""

    def __init__(self, option: Option) -> None:
        self._kind = type(option.default)
        self._option = option

    def __call__(self, text: str) -> float:
        """The number. Raises ArgumentTypeError."""
        try:
            value: float = self._kind(text)
        except ValueError:
            noun = "a whole number" if self._kind is int else "a number"
            raise argparse.ArgumentTypeError(f"must be {noun}, not {text!r}") from None
        option = self._option
        if option.above is not None and not option.above < value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be a number above {option.above}")
        if option.least is not None and value < option.least:
            raise argparse.ArgumentTypeError(f"must be at least {option.least}")
        if option.most is not None and value > option.most:
            raise argparse.ArgumentTypeError(f"must be at most {option.most}")
        return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m provision.asr",
        description="Serves speech recognition (FunASR: SenseVoice, Paraformer) over HTTP.",
        epilog="Each option can be given in the environment as ASR_<OPTION>, as in ASR_MAX_UPLOAD_MB=50; "
        "the command line wins. API keys are taken from ASR_API_KEY, ASR_API_KEY_2 and so on only, so that "
        "they show in no list of processes; with a key set, / (the page), /health, /metrics and "
        "/openapi.json stay open, everything else needs one.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--model", metavar="DIR", help="directory of the model that recognizes speech")
    parser.add_argument("--vad-model", metavar="DIR", help="directory of the voice activity model (fsmn-vad)")
    parser.add_argument("--ssl-certfile", metavar="FILE", help="certificate in PEM to speak TLS with")
    parser.add_argument("--ssl-keyfile", metavar="FILE", help="private key of the certificate, in PEM")
    parser.add_argument("--punc-model", metavar="DIR", help="directory of the punctuation model (ct-punc)")
    parser.add_argument("--spk-model", metavar="DIR", help="directory of the speaker model (CAM++)")
    parser.add_argument(
        "--hotword",
        metavar="WORD",
        dest="hotwords",
        action="append",
        default=[],
        help="a word to expect; may be given several times",
    )
    for name, option in OPTIONS.items():
        parser.add_argument("--" + name.replace("_", "-"), help=option.help, **_reading(option))
    parser.set_defaults(
        **{name: option.default for name, option in OPTIONS.items() if name not in _NO_DEFAULT}
    )
    return parser


def _reading(option: Option) -> dict[str, Any]:
    """How argparse reads an option."""
    if isinstance(option.default, bool):
        return {"action": argparse.BooleanOptionalAction}
    if isinstance(option.default, str):
        return {"choices": option.choices}
    return {"type": _Number(option), "metavar": option.metavar}


_NO_DEFAULT = {"workers"}


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


_KEY = "ASR_API_KEY"


def is_key(variable: str) -> bool:
    """Whether an environment variable holds an API key: ASR_API_KEY, ASR_API_KEY_2, and so on."""
    return variable == _KEY or variable.startswith(_KEY + "_")


def _api_keys(environ: Mapping[str, str]) -> tuple[str, ...]:
    found = {name: key for name, key in sorted(environ.items()) if is_key(name)}
    for name, key in found.items():
        if not key or key != key.strip() or not key.isascii() or not key.isprintable():
            raise SettingsError(
                f"{name} must be printable ASCII without spaces around it; unset it to serve without a key"
            )
    return tuple(found.values())


def _check_certificate(certificate: str | None, key: str | None) -> None:
    if bool(certificate) != bool(key):
        raise SettingsError("--ssl-certfile and --ssl-keyfile belong together")
    if certificate and key:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        except OSError as error:
            raise SettingsError(
                f"cannot speak TLS with {certificate} and {key}: {error.strerror or error}"
            ) from None


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
    for name in ROLES:
        given[name] = Path(given[name]) if given[name] else None
    given["hotwords"] = tuple(given["hotwords"])
    if bad := [word for word in given["hotwords"] if not is_hotword(word)]:
        raise SettingsError(f"--hotword {bad[0]!r}: {HOTWORD_HINT}")
    if given["workers"] is None:
        given["workers"] = min(usable_cpus(), 4) if given["device"] == "cpu" else 1
    _check_certificate(given["ssl_certfile"], given["ssl_keyfile"])
    return Settings(api_keys=_api_keys(environ), **given)
