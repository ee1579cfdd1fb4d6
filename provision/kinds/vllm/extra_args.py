"""Checks `extra_args` as vLLM's parser would, but before anything is started, and with the way out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from packaging.version import Version

from provision.config.problems import closest, quoted
from provision.engines.vllm import releases
from provision.engines.vllm.releases import Form
from provision.engines.vllm.successors import SUCCESSORS, absence
from provision.kinds.vllm.arguments import FIELD_OF, Refusal, complaint
from provision.kinds.vllm.uses import Use, read

KEYS_FROM = Version("0.9.0")
"""The first release in which `--x.key value` sets one key of a JSON flag."""

WITHOUT_KEYS = ("switch", "int", "float", "size", "size-or-auto", "name")
"""The types of values that no key can be set of."""

Reason = tuple[str, str, str | None]
"""The code, the message and the hint."""


def check(
    arguments: Sequence[str], version: Version, data: Collection[int] = (), foreign: bool = False
) -> list[Refusal]:
    """Return what is wrong with `extra_args` for a release; the index is that of the argument in the YAML.

    Args:
        arguments: as the command line has them.
        version: the release.
        data: the indices of arguments that were written as a mapping or a list.
        foreign: the build is another one: only what is about fields is refused.
    """

    def wants(use: Use) -> bool:
        form = releases.form(use.flag, version)
        return form is not None and not form.switch and not use.values

    found: list[Refusal] = []
    stray, uses = read(arguments, wants)
    for index in stray:
        message = f"{quoted(arguments[index])} is not a flag"
        found.append(Refusal("flag-form", ("extra_args", index), message, "write one flag, then its value"))
    for use in uses:
        reason = _flag_problem(use, version, foreign)
        if reason is not None:
            found.append(Refusal(reason[0], ("extra_args", use.index), *reason[1:]))
        elif not foreign:
            found += _value_problems(use, version, data)
    return found


def deprecations(arguments: Sequence[str], version: Version) -> list[str]:
    """Return a sentence for each argument that the release still accepts, but warns about."""
    notes = []
    release = releases.nearest(version)
    for use in read(arguments)[1]:
        if releases.deprecated(use.flag, version):
            ends = (s.removed for s in releases.history(use.flag) if s.removed and s.removed > release)
            gone = min(ends, default=None)
            successor = SUCCESSORS.get(use.flag)
            note = f"{use.flag} is deprecated" + (f" and removed in vLLM {gone}" if gone else "")
            notes.append(note + (f"; {successor}" if successor else ""))
    return notes


# -- values -----------------------------------------------------------------------------------------------


def _value_problems(use: Use, version: Version, data: Collection[int]) -> Iterator[Refusal]:
    form = releases.form(use.flag, version)
    if use.name == "-O":
        return  # an optimization level or a configuration, in a form that has changed often
    if form is None or form.switch:
        yield from _needless(use)
        return
    if use.keyed:
        yield from _key_problems(use, form, version)
        return
    most = form.nargs if isinstance(form.nargs, int) else 1 if form.nargs == "?" else len(use.values)
    least = form.nargs if isinstance(form.nargs, int) else 1 if form.nargs == "+" else 0
    most = max(most, 1) if use.attached else most
    if len(use.values) < least:
        few = "a value" if least == 1 else f"{least} values"
        yield Refusal("flag-form", ("extra_args", use.index), f"{use.name} needs {few}")
    for index, value in use.values[:most]:
        if index in data and (form.choices or form.type.rstrip("?") in (*WITHOUT_KEYS, "text")):
            hint = "write each of its values as an item of its own, in text"
            yield Refusal("flag-form", ("extra_args", index), f"{use.name} takes no JSON", hint)
        elif reason := complaint(use.name, use.flag, value, version):
            yield Refusal("flag-value", ("extra_args", index), *reason)
    for index, value in use.values[most:]:
        message = f"{quoted(value)} is not a flag after {use.name} {quoted(use.values[0][1])}, its only value"
        yield Refusal("flag-form", ("extra_args", index), message, "write one flag, then its value")


def _needless(use: Use) -> Iterator[Refusal]:
    for index, value in use.values[:1]:
        if use.attached:
            message, hint = f"{use.name} takes no value", f"write {use.name} alone, or leave it out"
        else:
            message = f"{quoted(value)} is not a flag after {use.name}, which takes no value"
            hint = "write one flag, then its value"
        yield Refusal("flag-form", ("extra_args", index), message, hint)


def _key_problems(use: Use, form: Form, version: Version) -> Iterator[Refusal]:
    here = ("extra_args", use.index)
    if version < KEYS_FROM:
        yield Refusal(
            "flag-form", here, f"{use.name} needs vLLM {KEYS_FROM} or later", "write the whole JSON"
        )
    elif form.choices or form.type.removesuffix("?") in WITHOUT_KEYS:
        yield Refusal("flag-form", here, f"{use.flag} takes no keys, as its value is no JSON")
    elif not use.values:
        yield Refusal("flag-form", here, f"{use.name} needs a value")


# -- flags ------------------------------------------------------------------------------------------------


def _flag_problem(use: Use, version: Version, foreign: bool) -> Reason | None:
    """Return what is wrong with a flag; None when nothing is."""
    name, flag = use.name, use.flag
    if flag in ("--help", "-h"):
        return "flag-form", f"{name} prints a text and ends; it starts no server", None
    if field := _field(flag, version):
        return "flag-form", f"{name} is what the field {field} is for", f"use the field {field}"
    if foreign:
        return None
    if flag == "--config":
        return _config(use)
    if flag == "--compilation-config" and name == "-O" and releases.form("--optimization-level", version):
        return None
    if releases.form(flag, version) is not None or _negated(flag, version):
        return None
    if len(parts := name.split()) > 1 and not use.attached:
        hint = f"write them as items of their own: {', '.join(parts)}"
        return "flag-form", f"{name} is a flag and its value in one", hint
    if not flag.startswith("--"):
        return "unknown-flag", f"vLLM has no flag {name}", "write the long form, --name"
    return _explain(name, flag, version)


def _config(use: Use) -> Reason:
    """Refuse a file of flags: what is in it could neither be checked nor shown."""
    hint = "write its flags as fields and in `extra_args`"
    if use.attached:
        message = (
            f"{use.name}={use.values[0][1]} is silently ignored by vLLM, which would serve a default model"
        )
        return "flags-in-file", message, hint
    return "flags-in-file", f"{use.name} hides flags in a file, where no plan can check or show them", hint


def _field(flag: str, version: Version) -> str | None:
    form = releases.form(flag, version)
    positive = "--" + flag[5:] if flag.startswith("--no-") else form.inverts if form else None
    return FIELD_OF.get(flag) or FIELD_OF.get(positive or "")


def _negated(flag: str, version: Version) -> bool:
    form = releases.form("--" + flag[5:], version) if flag.startswith("--no-") else None
    return form is not None and form.negatable


def _explain(name: str, flag: str, version: Version) -> Reason:
    """Say why `flag`, which the release does not have, is refused."""
    if releases.history(flag):
        return "unknown-flag", *absence(name, flag, version)
    known = releases.known(version)
    if flag.startswith("--no-") and "--" + flag[5:] in known:
        return "unknown-flag", f"--{flag[5:]} has no --no- form in vLLM {version}", None
    long = sorted(candidate for candidate in known if candidate.startswith(flag)) if len(flag) > 3 else []
    if long:
        return "abbreviated-flag", f"{name} is an abbreviation of {' or '.join(long[:4])}", _in_full(long)
    close = closest(flag, known)
    message = f"vLLM {version} has no flag {name}"
    if close is None:
        hint = "if this build of vLLM has flags of its own, set `flags: unchecked` on the service"
        return "unknown-flag", message, hint
    field = FIELD_OF.get(close)
    return "unknown-flag", message, f"did you mean {f'the field {field}' if field else close}?"


def _in_full(candidates: Sequence[str]) -> str:
    """Say what to write instead of an abbreviation, which breaks once a second flag begins with it."""
    if len(candidates) > 1:
        return "write the one you mean in full"
    field = FIELD_OF.get(candidates[0])
    return f"use the field {field}" if field else f"write {candidates[0]} in full"
