"""Whether vLLM's parser takes a value, as far as the flag and the release say it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from provision.engines.vllm.releases import Form

SIZE = re.compile(r"(\d+(?:\.\d+)?)([kKmMgGtT])")
"""A number with a unit: a power of 1000 in small letters, which may have decimals, or of 1024 in capitals."""

AS_YAML = "write its value as a mapping of YAML, {key: value}, which becomes JSON"

_SIZE_IN_JSON = re.compile(r"\b\d+(?:\.\d+)?[kKmMgGtT]\b")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


class Refused(NamedTuple):
    """Why a value is not taken.

    Args:
        wants: what the flag wants, such as `a whole number`.
        hint: the way out, when there is one.
        choices: the values that it takes, when they can be listed.
    """

    wants: str
    hint: str | None = None
    choices: tuple[str, ...] = ()


def refused(text: str, form: Form) -> Refused | None:
    """Return why a flag of this form does not take a value; None when it does, or when only vLLM knows."""
    type = form.type.removesuffix("?")
    value: Any = None
    if not (form.type.endswith("?") and text in ("", "None")):
        read = _READS.get(type)
        try:
            value = read(text) if read else text
        except _Wrong as wrong:
            return Refused(*wrong.args)
        except ValueError:
            return Refused(_WANTS[type])
    if form.choices is None or type == "other" or value in form.choices:
        return None
    # `None` as a text is left over from releases that could not choose it.
    listed = tuple(str(choice) for choice in form.choices if choice is not None)
    return Refused(f"one of {', '.join(listed)}", choices=listed)


class _Wrong(Exception):
    """What is wanted, and the hint."""


def _size(text: str) -> int:
    text = text.strip()
    match = SIZE.fullmatch(text)
    if match and match[2].isupper() and "." in match[1]:
        raise _Wrong("a whole number before a capital unit", f"write {text.lower()}, or a smaller unit")
    return 0 if match else int(text)


def _size_or_auto(text: str) -> int:
    return -1 if text.strip().lower() in ("-1", "auto") else _size(text)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        reason = str(error).partition(":")[0].lower()
        raise _Wrong(f"JSON, and its value is not JSON ({reason})", AS_YAML) from None


def _object(text: str) -> None:
    """Read JSON in which numbers may have a unit."""
    parts, strings = _STRING.split(text), [*_STRING.findall(text), ""]
    data = "".join(_SIZE_IN_JSON.sub("0", part) + string for part, string in zip(parts, strings, strict=True))
    if not isinstance(_json(data), dict):
        raise _Wrong("a JSON object", AS_YAML)


def _json_if_braces(text: str) -> None:
    if re.match(r"^{.*}$", text):
        _json(text)


_READS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "size": _size,
    "size-or-auto": _size_or_auto,
    "json": _json,
    "json-or-pairs": _json_if_braces,
    "object": _object,
    "object-or-text": _json_if_braces,
    "name": lambda text: text.lower().replace("-", "_"),
}

_WANTS = {
    "int": "a whole number",
    "float": "a number",
    "size": "a whole number, or one with a unit such as 1k or 2M",
    "size-or-auto": "a whole number, one with a unit such as 8k, or auto",
}
