"""Checks `extra_args` as vLLM's parser would, but before anything is started, and with the way out."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence

from packaging.version import Version

from provision.config.problems import closest
from provision.engines.vllm import releases
from provision.engines.vllm.successors import SUCCESSORS, absence
from provision.kinds.vllm.arguments import FIELD_OF, Refusal

LIMITS_BY_JSON_FROM = Version("0.10.0")
"""The first release in which `--limit-mm-per-prompt` takes JSON alone, and not `image=2` as well."""

_NUMBER = re.compile(r"-\d+(\.\d+)?|-\.\d+")


def is_value(argument: str) -> bool:
    """Say whether argparse takes `argument` for a value: no dash in front, or a negative number."""
    return not argument.startswith("-") or argument == "-" or _NUMBER.fullmatch(argument) is not None


def check(
    arguments: Sequence[str], version: Version, data: Collection[int] = (), foreign: bool = False
) -> list[Refusal]:
    """Return what is wrong with `extra_args` for a release; the index is that of the argument in the YAML.

    Args:
        arguments: as the command line has them.
        version: the release.
        data: the indices of arguments that were written as a mapping or a list.
        foreign: flags that no release has may be those of another build.
    """
    found: list[Refusal] = []
    previous: str | None = None  # the flag whose value may come next
    for index, argument in enumerate(arguments):
        here = ("extra_args", index)
        if is_value(argument):
            if previous is None or releases.takes_value(canonical(previous)) is False:
                after = f" after {previous}, which takes no value" if previous else ""
                message = f"{argument!r} is not a flag{after}"
                found.append(Refusal("flag-form", here, message, "write one flag, then its value"))
            elif reason := _json_problem(previous, argument, version, index in data):
                found.append(Refusal("flag-form", here, *reason))
            continue
        name, equals, value = argument.partition("=")
        wrong = _flag_problem(name, equals, value, version, foreign)
        if wrong is None and equals and (json_problem := _json_problem(_whole(name), value, version, False)):
            wrong = ("flag-form", *json_problem)
        complete = bool(equals) or (name.startswith("-O") and len(name) > 2)
        previous = None if complete else _whole(name)
        if wrong is None and _lacks_value(previous and canonical(name), arguments[index + 1 :]):
            wrong = ("flag-form", f"{name} needs a value", None)
        if wrong is not None:
            code, message, hint = wrong
            found.append(Refusal(code, here, message, hint))
    return found


def _whole(name: str) -> str:
    """Return the flag whose whole value follows: `--x.key` sets one key, whose value is any text."""
    return name if "." in name else canonical(name)


def _json_problem(flag: str, value: str, version: Version, data: bool) -> tuple[str, str | None] | None:
    """Say what is wrong with a value where the flag reads JSON; None when nothing is."""
    wanted = releases.wants_json(flag)
    if data:
        if wanted is False:
            return f"{flag} takes no JSON", "write each of its values as an item of its own, in text"
        return None
    if flag == "--limit-mm-per-prompt" and version < LIMITS_BY_JSON_FROM and "=" in value:
        return None
    if not wanted and not (value.startswith("{") and releases.wants_json(flag) is not False):
        return None
    try:
        json.loads(value)
    except ValueError as error:
        reason = str(error).partition(":")[0].lower()
        hint = "write its value as a mapping of YAML, {key: value}, which becomes JSON"
        return f"{flag} takes JSON, and its value is not JSON ({reason})", hint
    return None


def deprecations(arguments: Sequence[str], version: Version) -> list[str]:
    """Return a sentence for each argument that the release still accepts, but warns about."""
    notes = []
    for argument in arguments:
        flag = canonical(argument.partition("=")[0]) if argument.startswith("-") else ""
        if releases.deprecated(flag, version):
            gone = next((str(span.removed) for span in releases.history(flag) if span.has(version)), None)
            successor = SUCCESSORS.get(flag)
            note = f"{flag} is deprecated" + (f" and removed in vLLM {gone}" if gone else "")
            notes.append(note + (f"; {successor}" if successor else ""))
    return notes


def canonical(name: str) -> str:
    """Return the long flag that vLLM reads: underscores become dashes, `.key` of a JSON flag is cut off,
    short flags become long.
    """
    if not name.startswith("--"):
        short = "-O" if name.startswith("-O") else name.partition(".")[0]
        return releases.short().get(short, name)
    return name.partition(".")[0].replace("_", "-")


def _flag_problem(
    name: str, equals: str, value: str, version: Version, foreign: bool
) -> tuple[str, str, str | None] | None:
    """Return what is wrong with a flag: the code, the message and the hint; None when nothing is."""
    flag = canonical(name)
    if flag in ("--help", "-h"):
        return "flag-form", f"{name} prints a text and ends; it starts no server", None
    if flag == "--config" and equals:
        message = f"{name}={value} is silently ignored by vLLM, which would then serve a default model"
        return "flag-form", message, "write --config and the file as two arguments"
    if field := _field(flag):
        return "flag-form", f"{name} is what the field {field} is for", f"use the field {field}"
    if foreign or flag in releases.known(version) or _negated(flag, version):
        return None
    if len(parts := name.split()) > 1 and not equals:
        hint = f"write them as items of their own: {', '.join(parts)}"
        return "flag-form", f"{name} is a flag and its value in one", hint
    if not flag.startswith("--"):
        return "unknown-flag", f"vLLM has no flag {name}", "write the long form, --name"
    return "unknown-flag", *_explain(name, flag, version)


def _field(flag: str) -> str | None:
    positive = "--" + flag[5:] if flag.startswith("--no-") else flag
    return FIELD_OF.get(flag) or FIELD_OF.get(positive)


def _negated(flag: str, version: Version) -> bool:
    positive = "--" + flag[5:]
    return flag.startswith("--no-") and positive in releases.known(version) and releases.negatable(positive)


def _explain(name: str, flag: str, version: Version) -> tuple[str, str | None]:
    """Say why `flag`, which the release does not have, is refused."""
    if releases.history(flag):
        return absence(name, flag, version)
    known = releases.known(version)
    if flag.startswith("--no-") and "--" + flag[5:] in known:
        return f"--{flag[5:]} has no --no- form in vLLM", None
    long = sorted(candidate for candidate in known if candidate.startswith(flag)) if len(flag) > 3 else []
    if long:
        return f"{name} is an abbreviation of {' or '.join(long[:4])}", _in_full(long)
    close = closest(flag, known)
    message = f"vLLM {version} has no flag {name}"
    if close is None:
        return message, "if this build of vLLM has flags of its own, set `flags: unchecked` on the service"
    field = FIELD_OF.get(close)
    return message, f"did you mean {f'the field {field}' if field else close}?"


def _in_full(candidates: Sequence[str]) -> str:
    """Say what to write instead of an abbreviation, which breaks once a second flag begins with it."""
    if len(candidates) > 1:
        return "write the one you mean in full"
    field = FIELD_OF.get(candidates[0])
    return f"use the field {field}" if field else f"write {candidates[0]} in full"


def _lacks_value(flag: str | None, rest: Sequence[str]) -> bool:
    if flag is None or releases.takes_value(flag) is not True:
        return False
    return not rest or (rest[0].startswith("--") and len(rest[0]) > 2)
