"""The settings of a run: from command line flags, then ``ASR_*`` variables, then defaults."""

from __future__ import annotations

import argparse
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .declared import ALL, HOTWORD_HINT, Option, Settings, is_hotword

_KEY = "ASR_API_KEY"
_TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class SettingsError(Exception):
    """A setting that cannot work; the text says which and what to do."""


def usable_cpus() -> int:
    """Cores that this process may use: its affinity, further limited by a cgroup v2 quota (containers)."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup v2 here, or "max": no quota
        pass
    return cores


def _number(option: Option) -> Callable[[str], float]:
    """What reads a number within an option's limits, as argparse wants it."""
    kind, noun = (int, "a whole number") if isinstance(option.default, int) else (float, "a number")

    def read(text: str) -> float:
        try:
            value: float = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be {noun}, not {text!r}") from None
        if option.above is not None and not option.above < value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be a number above {option.above}")
        if option.least is not None and value < option.least:
            raise argparse.ArgumentTypeError(f"must be at least {option.least}")
        if option.most is not None and value > option.most:
            raise argparse.ArgumentTypeError(f"must be at most {option.most}")
        return value

    return read


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _reading(option: Option) -> dict[str, Any]:
    """How argparse reads an option."""
    if isinstance(option.default, bool):
        return {"action": argparse.BooleanOptionalAction}
    if isinstance(option.default, str):
        return {"choices": option.choices}
    return {"type": _path if option.default is None else _number(option), "metavar": option.metavar}


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
    for name, option in ALL.items():
        default = option.default if name != "workers" else None  # it depends on the device
        parser.add_argument(_flag(name), help=option.help, default=default, **_reading(option))
    parser.add_argument(
        "--hotword",
        metavar="WORD",
        dest="hotwords",
        action="append",
        default=[],
        help="a word to expect; may be given several times",
    )
    return parser


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _arguments_from_environment(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> list[str]:
    """The ``ASR_*`` variables as arguments, to be validated like those of the command line."""
    arguments: list[str] = []
    for action in parser._actions:
        variable = "ASR_" + action.dest.upper()
        text = environ.get(variable)
        if text is None or action.dest == "help":
            continue
        if not isinstance(action, argparse.BooleanOptionalAction):
            arguments.append(f"{action.option_strings[0]}={text}")
        elif text.lower() in _TRUTH:
            arguments.append(action.option_strings[0 if _TRUTH[text.lower()] else 1])
        else:
            raise SettingsError(f"{variable} must be true or false, not {text!r}")
    return arguments


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


def _check_certificate(certificate: Path | None, key: Path | None) -> None:
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
        if given[name] is None:
            raise SettingsError(f"{_flag(name)} DIR is needed: the directory that holds the model's files")
    if bad := [word for word in given["hotwords"] if not is_hotword(word)]:
        raise SettingsError(f"--hotword {bad[0]!r}: {HOTWORD_HINT}")
    if given["workers"] is None:
        given["workers"] = min(usable_cpus(), 4) if given["device"] == "cpu" else 1
    _check_certificate(given["ssl_certfile"], given["ssl_keyfile"])
    given["hotwords"] = tuple(given["hotwords"])
    return Settings(api_keys=_api_keys(environ), **given)
