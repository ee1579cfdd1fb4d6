"""From plain data to models, with every error in our own words and at its place."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from provision.config import elsewhere
from provision.config.documents import Part
from provision.config.model import Model
from provision.config.problems import Position, Problem, closest, did_you_mean, found

Locate = Callable[[Sequence[Part], bool], Position | None]
"""The place of the value at a location, or of its key."""

M = TypeVar("M", bound=Model)


def validate(
    kind: type[M],
    data: Any,
    locate: Locate,
    problems: list[Problem],
    known: Collection[tuple[Part, ...]] = (),
) -> M | None:
    """The model of `data`, or None when something is wrong with it.

    Args:
        kind: the model.
        data: plain data.
        locate: finds the place of a location in `data`.
        problems: receives what is wrong.
        known: locations whose problem was reported; errors at or below one of them are left out.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            loc, owner = _follow(kind, details["loc"])
            # A key that is unknown is wrong whatever its value would be.
            unknown = details["type"] == "extra_forbidden"
            if unknown or not any(loc[: len(cause)] == cause for cause in known):
                problems.append(_problem(details, loc, owner, locate, _Trial(kind, data)))
        return None


@dataclass(frozen=True)
class _Trial:
    """Tries an advice before it is given: `data` as it would be with another value at one place."""

    kind: type[Model]
    data: Any

    def hint(self, loc: tuple[Part, ...], advice: Advice | None) -> str | None:
        """Return the advice if it helps; otherwise that of the error it would lead to, if any."""
        if advice is None:
            return None
        if advice.value is None:
            return advice.hint
        error = self._error(loc, advice.value)
        if error is None:
            return advice.hint
        return (error.get("ctx") or {}).get("hint") or None if error["type"] == "provision" else None

    def _error(self, loc: tuple[Part, ...], value: Any) -> ErrorDetails | None:
        """Return what would still be wrong at this place."""
        data = copy.deepcopy(self.data)
        place = data
        try:
            for part in loc[:-1]:
                place = place[part]
            place[loc[-1]] = value
        except (KeyError, IndexError, TypeError):
            return None
        try:
            self.kind.model_validate(data)
        except ValidationError as error:
            for details in error.errors(include_url=False):
                where, _ = _follow(self.kind, details["loc"])
                if where[: len(loc)] == loc:
                    return details
        return None


def _follow(kind: type[Model], loc: Sequence[Part]) -> tuple[tuple[Part, ...], type[Model] | None]:
    """The location without the tags that pydantic adds for unions, and the model that holds its last part."""
    annotation: Any = kind
    owner: type[Model] | None = None
    clean: list[Part] = []
    for part in loc:
        if part == "[key]":
            continue
        members = [member for member in _members(annotation) if member is not NoneType]
        tagged = [member for member in members if len(members) > 1 and _tag(member) == part]
        if tagged:
            annotation = tagged[0]
            continue
        clean.append(part)
        owner, annotation = _step(members, part)
    return tuple(clean), owner


def _members(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def _tag(member: Any) -> str | None:
    if isinstance(member, type) and issubclass(member, Model) and "kind" in member.model_fields:
        return str(get_args(member.model_fields["kind"].annotation)[0])
    return None


def _step(members: list[Any], part: Part) -> tuple[type[Model] | None, Any]:
    for member in members:
        if isinstance(member, type) and issubclass(member, Model):
            for name, field in member.model_fields.items():
                if part in (field.alias, name):
                    return member, field.annotation
            return member, None
        if get_origin(member) in (dict, list):
            return None, get_args(member)[-1]
    return None, None


def _problem(
    details: ErrorDetails,
    loc: tuple[Part, ...],
    owner: type[Model] | None,
    locate: Locate,
    trial: _Trial,
) -> Problem:
    at_key = details["type"] == "extra_forbidden" or details["loc"][-1:] == ("[key]",)
    if details["type"] == "missing":
        return Problem("missing-key", locate(loc[:-1], True), f"missing key `{loc[-1]}`")
    if details["type"] == "extra_forbidden":
        return Problem(
            "unknown-key", locate(loc, True), f"unknown key `{loc[-1]}`", meant(str(loc[-1]), owner)
        )
    kinds = f"kinds: {', '.join(_kinds())}" if details["type"].startswith("union_tag") else ""
    if details["type"] == "union_tag_not_found":
        return Problem("missing-key", locate(loc, True), "missing key `kind`", kinds)
    if details["type"] == "union_tag_invalid":
        wrong = str(details["ctx"]["tag"])
        near = closest(wrong, _kinds())
        hint = f"did you mean `{near}`? ({kinds})" if near else kinds
        return Problem("unknown-kind", locate((*loc, "kind"), False), f"unknown kind `{wrong}`", hint)
    code, message, advice = _explained(details)
    way_out = trial.hint(loc, advice)
    culprit = details.get("ctx", {}).get("at")
    if culprit:
        return Problem(code, locate((*loc, culprit), True), message, way_out)
    if at_key:
        return Problem(code, locate(loc, True), message, way_out)
    name = _display(loc)
    return Problem(code, locate(loc, False), f"`{name}`: {message}" if name else message, way_out)


def meant(key: str, owner: type[Model] | None) -> str | None:
    """What to write instead of a key that a model does not know."""
    known = keys_of(owner)
    return elsewhere.hint(key, known, owner.elsewhere if owner else None) or did_you_mean(key, known)


def keys_of(owner: type[Model] | None) -> list[str]:
    """The keys that a model knows, as written in YAML."""
    if owner is None:
        return []
    return [field.alias or name for name, field in owner.model_fields.items()]


def _kinds() -> list[str]:
    # Here, as inventories do without them.
    from provision.config.services.any import SERVICES

    return sorted(SERVICES)


def _display(loc: tuple[Part, ...]) -> str:
    """The last key of a location, with the indices after it: `gpus[1]`."""
    shown = ""
    for part in reversed(loc):
        if isinstance(part, str):
            return part + shown
        shown = f"[{part}]" + shown
    return ""


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "finite_number": "a finite number",
}


@dataclass(frozen=True)
class Advice:
    """A way out; with the value that it tells to write, where it tells one."""

    hint: str
    value: Any = None


def _explained(details: ErrorDetails) -> tuple[str, str, Advice | None]:
    """The code, one sentence about a value, and the way out."""
    kind, value = details["type"], details["input"]
    if kind == "provision":
        hint = details["ctx"]["hint"]
        return details["ctx"]["code"], details["ctx"]["message"], Advice(hint) if hint else None
    if kind in _EXPECTED:
        return "wrong-type", f"expected {_EXPECTED[kind]}, found {found(value)}", _type_hint(kind, value)
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", details["ctx"]["expected"])
        hint = did_you_mean(value, choices) if isinstance(value, str) else None
        ticked = [f"`{choice}`" for choice in choices]
        shown = " or ".join(filter(None, [", ".join(ticked[:-1]), ticked[-1]]))
        near = Advice(hint) if hint and hint.startswith("did") else None
        return "unknown-choice", f"expected {shown}, found {found(value)}", near
    if kind == "too_short":
        return (
            "empty-value",
            f"expected at least {details['ctx']['min_length']} values, found {len(value)}",
            None,
        )
    message = details["msg"]
    return "wrong-form", message[:1].lower() + message[1:], None


def _type_hint(kind: str, value: Any) -> Advice | None:
    if value is None:
        return Advice("give a value, or leave the key out")
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return Advice("put it in quotes", str(value).lower() if isinstance(value, bool) else str(value))
    if (
        kind in ("int_type", "float_type")
        and isinstance(value, str)
        and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value)
    ):
        number = str(int(value)) if re.fullmatch(r"-?[0-9]+", value) else value
        return Advice(f"write {number} without quotes", float(number) if "." in number else int(number))
    if kind == "bool_type" and isinstance(value, str):
        meant = {"yes": "true", "on": "true", "y": "true", "true": "true"}
        meant |= {"no": "false", "off": "false", "n": "false", "false": "false"}
        if value.lower() in meant:
            return Advice(f"write {meant[value.lower()]}", meant[value.lower()] == "true")
    if kind == "list_type" and isinstance(value, (str, int)) and not isinstance(value, bool):
        short = len(str(value)) <= 40 and "\n" not in str(value)
        return Advice(f"write [{value}]", [value]) if short else None
    return None
