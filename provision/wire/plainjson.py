"""JSON by the C functions that the `json` package itself uses."""

from __future__ import annotations

from _json import encode_basestring, make_encoder, make_scanner
from typing import Any


def dumps(value: Any, sort_keys: bool = False) -> str:
    """Return plain data as JSON on one line, without spaces, and with the characters as they are.

    Raises:
        TypeError: it is no plain data.
    """
    encode = make_encoder({}, _refuse, encode_basestring, None, ":", ",", sort_keys, False, True)
    return "".join(encode(value, 0))


def loads(text: str) -> Any:
    """Return what a JSON text says.

    Raises:
        ValueError: it is no JSON.
    """
    text = text.strip(" \t\n\r")
    try:
        value, end = make_scanner(_Context)(text, 0)  # type: ignore[arg-type]
    except StopIteration:
        raise ValueError("no JSON") from None
    if end != len(text):
        raise ValueError("more than one JSON value")
    return value


class _Context:
    """What the scanner asks for its options."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def _refuse(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} is no plain data")
