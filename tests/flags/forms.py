"""What an argument accepts, as the catalogue writes it."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
from typing import Any

from tests.flags.values import Undecided, plain

READS: dict[Any, str] = {
    int: "int",
    float: "float",
    str: "text",
    bool: "text",
    json.loads: "json",
    None: "text",
}
"""What Python's own functions read."""

NAMES: dict[str, str] = {
    "human_readable_int": "size",
    "human_readable_int_or_auto": "size-or-auto",
    "nullable_kvs": "pairs",
    "nullable_str": "text?",
    "parse_dataclass": "object",
    "parse_reasoning_parser": "text",
    "union_dict_and_str": "object-or-text",
}
"""What vLLM's own functions read. A question mark: or nothing, written as `None` or as an empty text."""

DEPRECATED = re.compile(r"\[deprecated\]|is deprecated| Deprecated\w+Action$", re.IGNORECASE)
"""What says that an argument will go, in its help text or in the name of its action."""

Form = dict[str, Any]


def form(settings: dict[str, Any]) -> Form:
    """Return what an argument accepts; `settings` is what `add_argument` gets.

    The keys are `type`, `default`, and where they say something `choices`, `nargs`, `repeated`, `negatable`
    and `deprecated`. Choices and defaults that depend on the machine are left out.
    """
    action = settings.get("action")
    found: Form = {"type": _type(action, settings.get("type"))}
    if action is argparse.BooleanOptionalAction:
        found["negatable"] = True
    if action == "append":
        found["repeated"] = True
    if settings.get("nargs") is not None:
        found["nargs"] = settings["nargs"]
    if settings.get("deprecated") or DEPRECATED.search(f"{settings.get('help')} {_name(action)}"):
        found["deprecated"] = True
    values = {"default": settings.get("default", False if action == "store_true" else None)}
    if settings.get("choices"):  # a registry that is filled elsewhere is empty here
        values["choices"] = settings["choices"]
    for key, value in values.items():
        with contextlib.suppress(Undecided):
            found[key] = plain(value)
    return found


def _type(action: Any, read: Any) -> str:
    if action in ("store_true", argparse.BooleanOptionalAction):
        return "switch"
    return _read(read) if action in (None, "append") else "other"


def _read(read: Any) -> str:
    """Return what a function reads that gets the text of a value."""
    if read in READS:
        return READS[read]
    name = _name(read)
    if name in ("_optional_type", "_parse_type"):
        inner = _read(read.scope.get("return_type"))
        if inner == "json" and _takes(read, "a=1"):
            inner = "json-or-pairs"
        return inner if name == "_parse_type" or inner == "other" else inner.removesuffix("?") + "?"
    if name == "<lambda>" and _takes(read, "A-b") and read("A-b") == "a_b":
        return "name"
    return NAMES.get(name, "other")


def _takes(read: Any, text: str) -> bool:
    try:
        read(text)
    except Exception:
        return False
    return True


def _name(value: Any) -> str:
    return str(getattr(value, "__name__", ""))
