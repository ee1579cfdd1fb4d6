"""From the fields of a vLLM service to the flags of one vLLM release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from packaging.version import Version

from provision.config.problems import closest, quoted
from provision.config.services.base import Service
from provision.engines.vllm import releases, speculative, values
from provision.engines.vllm.successors import absence
from provision.kinds.vllm.fields import VllmService
from provision.kinds.vllm.flag import Flag, NoFlag
from provision.wire.finding import Finding, fault

LISTED = 16
"""Choices that a message lists; of more it only says how many there are."""

Words = tuple[str, ...]
"""One flag with its values: `("--port", "8002")`."""


def flag_of(field: str) -> str:
    """Return the flag that is called as a field."""
    return "--" + field.replace("_", "-")


class Refusal(NamedTuple):
    """A field that a release cannot serve.

    Args:
        code: see `provision explain`.
        where: the field, and for `extra_args` the index in it, as in the YAML.
        message: what is wrong.
        hint: the way out, when there is one.
    """

    code: str
    where: tuple[str | int, ...]
    message: str
    hint: str | None = None

    def finding(self) -> Finding:
        """Return it as a finding."""
        return fault(self.code, self.message, self.hint)


def _marks() -> dict[str, Flag | NoFlag]:
    """Return the mark of each field that only vLLM's services have."""
    found: dict[str, Flag | NoFlag] = {}
    for name, field in VllmService.model_fields.items():
        if name not in Service.model_fields or name == "kind":
            marks = [mark for mark in field.metadata if isinstance(mark, (Flag, NoFlag))]
            found[name] = marks[-1] if marks else Flag()
    return found


FIELDS: dict[str, Flag] = {name: mark for name, mark in _marks().items() if isinstance(mark, Flag)}
"""The fields that are the flags of their names; the order is the order in a start script."""

FIELD_OF: dict[str, str] = {
    **{flag_of(name): name for name in FIELDS},
    **{flag: name for name, mark in _marks().items() for flag in mark.also},
}
"""The field that says the same as a flag. Such a flag does not belong in `extra_args`."""

LOGS_REQUESTS_UNTIL = Version("0.10.1")
"""The first release that logs requests only when asked to; before it there is `--disable-log-requests`."""

REASONING_ALONE_FROM = Version("0.9.0")
"""The first release in which `--reasoning-parser` works without `--enable-reasoning`."""


def render(fields: Mapping[str, Any], model: str, version: Version) -> tuple[list[Words], list[Refusal]]:
    """Return the flags of one release for `fields`, and what the release cannot do.

    Args:
        fields: a vLLM service's fields; None and absent are left to vLLM. `tls` holds the paths `cert` and
            `key`, `lora` the adapters' paths by name, `speculative` the path of its `model` and settings.
        model: the directory of the model.
        version: the release; the nearest known one decides.
    """
    flags: list[Words] = [("--model", model)]
    refusals: list[Refusal] = []
    for field, mark in FIELDS.items():
        value, flag = fields.get(field), flag_of(field)
        if value is None:
            continue
        if releases.form(flag, version) is None:
            refusals.append(Refusal("unknown-flag", (field,), *absence(f"{field} ({flag})", flag, version)))
        elif isinstance(value, bool):
            if value or not mark.switch:
                flags.append((flag,) if value else ("--no-" + flag[2:],))
        else:
            words = [mark.written(each) for each in (value if isinstance(value, list) else [value])]
            reasons = (complaint(field, flag, word, version) for word in words)
            refusals += [Refusal("flag-value", (field,), *reason) for reason in reasons if reason]
            flags.append((flag, *words))
    if fields.get("reasoning_parser") is not None and version < REASONING_ALONE_FROM:
        flags.append(("--enable-reasoning",))
    if tls := fields.get("tls"):  # all releases have these, and those of adapters
        flags += [("--ssl-certfile", tls["cert"]), ("--ssl-keyfile", tls["key"])]
    if lora := fields.get("lora"):
        flags += [("--enable-lora",), ("--lora-modules", *(f"{name}={path}" for name, path in lora.items()))]
    drafting, refused = speculative.render(fields.get("speculative"), version)
    flags += drafting
    refusals += [Refusal("unknown-flag", *each) for each in refused]
    if fields.get("middleware") is not None:
        flags.append(("--middleware", str(fields["middleware"])))
    flags += _logging(fields, version)
    return [_safe(flag) for flag in flags], refusals


def complaint(name: str, flag: str, value: str, version: Version) -> tuple[str, str | None] | None:
    """Return the message and the hint for a value that a release does not take; None when it does.

    Args:
        name: how the user wrote the flag.
        flag: the long flag, with its dashes; one that the release does not have takes everything.
        value: as the command line has it.
        version: the release.
    """
    form = releases.form(flag, version)
    wrong = values.refused(value, form) if form is not None else None
    if wrong is None:
        return None
    message, hint = f"{name} wants {wrong.wants}", wrong.hint
    if wrong.choices:
        near = closest(value, wrong.choices)
        hint = _elsewhere(flag, value, version) or (f"did you mean {near}?" if near else None)
        if len(wrong.choices) > LISTED:
            message = f"{name} has {len(wrong.choices)} possible values in vLLM {version}"
    return message if wrong.hint and not wrong.choices else f"{message}, found {quoted(value)}", hint


def _elsewhere(flag: str, value: str, version: Version) -> str | None:
    """Say which release takes a value that this one does not."""
    taking = [
        release
        for release in releases.versions()
        if (form := releases.form(flag, release)) is not None and not values.refused(value, form)
    ]
    later = [release for release in taking if release > version]
    if later:
        return f"vLLM {later[0]} and later take it"
    return f"vLLM {taking[-1]} was the last that took it" if taking else None


def _logging(fields: Mapping[str, object], version: Version) -> list[Words]:
    flags: list[Words] = []
    logs_by_default = releases.nearest(version) < LOGS_REQUESTS_UNTIL
    if fields.get("log_requests") is False and logs_by_default:
        flags.append(("--disable-log-requests",))
    if fields.get("log_requests") is True and not logs_by_default:
        flags.append(("--enable-log-requests",))
    if fields.get("log_stats") is False:
        flags.append(("--disable-log-stats",))
    return flags


def _safe(flag: Words) -> Words:
    """Join flag and value with `=` where argparse would take the value for another flag."""
    name, *values = flag
    if len(values) == 1 and values[0].startswith("-"):
        return (f"{name}={values[0]}",)
    return flag
