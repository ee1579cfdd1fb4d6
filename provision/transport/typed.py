"""Whether the fields of a record from a host have the types that they are declared with.

Whatever a host says, what comes after may rely on them: no list where a text is expected, no number that
cannot be written.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from provision.wire.finding import SEVERITIES
from provision.wire.record import Mismatch, Record

Test = Callable[[Any], bool]

LARGEST = 10**18
"""The largest number, in both directions: sizes in bytes and seconds since 1970 are below it."""

DEEPEST = 30
"""Lists and mappings in each other, where a field may hold anything."""


def check(record: Record) -> None:
    """Check a record and those in it.

    Raises:
        Mismatch: a value is of another type.
    """
    kind: Any = type(record)
    for name, annotation, fits in _tests(kind):
        value = getattr(record, name)
        if not fits(value):
            raise Mismatch(f"{type(record).__name__}: `{name}` is no {annotation}")
        if name in record.NESTED and value is not None:
            for each in value if isinstance(value, list) else [value]:
                check(each)


def declared(kind: type[Record]) -> dict[str, str]:
    """Return how each field of a record is declared."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        found |= base.__dict__.get("__annotations__", {})  # noqa: RUF063 (as records themselves do)
    return {name: found[name] for name in kind.FIELDS}


@functools.cache
def _tests(kind: Any) -> list[tuple[str, str, Test]]:
    return [(name, annotation, _test(annotation)) for name, annotation in declared(kind).items()]


@functools.cache
def _test(annotation: str) -> Test:
    """Return the test for an annotation, as the wire's records use them."""
    if annotation.endswith(" | None"):
        inner = _test(annotation.removesuffix(" | None"))
        return lambda value: value is None or inner(value)
    name, _, arguments = annotation.removesuffix("]").partition("[")
    if name in ("list", "dict", "tuple"):
        of = [_test(argument) for argument in _split(arguments)]
        return _CONTAINERS[name](of)
    return _PLAIN.get(name, _is_record)


def _split(arguments: str) -> list[str]:
    """Split at the commas that are in no further brackets."""
    found, depth = [""], 0
    for character in arguments:
        depth += (character == "[") - (character == "]")
        if character == "," and not depth:
            found.append("")
        else:
            found[-1] += character
    return [each.strip() for each in found]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _shallow(value: Any, depth: int = DEEPEST) -> bool:
    """Whether no list or mapping is nested too deeply to be written again."""
    if not isinstance(value, (list, dict)):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_shallow(each, depth - 1) for each in inner)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def _whole(value: Any) -> bool:
    return isinstance(value, int) and _number(value)


def _count(value: Any) -> bool:
    return _whole(value) and value >= 0


def _is_record(value: Any) -> bool:
    return isinstance(value, Record)


def _list(of: list[Test]) -> Test:
    (inner,) = of
    return lambda value: isinstance(value, list) and all(map(inner, value))


def _dict(of: list[Test]) -> Test:
    _, inner = of
    return lambda value: isinstance(value, dict) and all(map(inner, value.values()))


def _tuple(of: list[Test]) -> Test:
    def fits(value: Any) -> bool:
        sized = isinstance(value, (list, tuple)) and len(value) == len(of)
        return sized and all(inner(each) for inner, each in zip(of, value, strict=True))

    return fits


_CONTAINERS: dict[str, Callable[[list[Test]], Test]] = {"list": _list, "dict": _dict, "tuple": _tuple}

_PLAIN: dict[str, Test] = {
    "str": _text,
    "bool": lambda value: isinstance(value, bool),
    "int": _whole,
    "float": _number,
    "Any": _shallow,
    "Severity": SEVERITIES.__contains__,
    "Changes": _dict([_text, _tuple([_shallow] * 2)]),
    "Capability": _tuple([_count] * 2),
    "Link": _tuple([_count, _count, _text]),
    "TensorRow": _tuple([_text, _text, _list([_count]), _count]),
    "Options": _list([lambda value: bool(value) and _list([_text])(value)]),
}
