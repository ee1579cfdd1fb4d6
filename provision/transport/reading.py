"""Reading what a host says: lines of JSON become events, without control characters for a terminal."""

from __future__ import annotations

import re
from typing import Any

from provision.transport import typed
from provision.wire import plainjson, questions, statuses  # noqa: F401 (so that their events are known)
from provision.wire.events import Event, Inspected, Result
from provision.wire.record import Mismatch

_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
"""All but tab and newline; what turns the direction of writing, so that a line reads as another one; and
halves of surrogate pairs, which cannot be written at all."""


def read(line: bytes, host: str) -> Event:
    """Return the event that a line of JSON stands for.

    Args:
        line: what the host sent.
        host: its name, whatever the host itself says.

    Raises:
        Mismatch: it is none, or its fields are not those of this version.
        ValueError: it is no JSON.
    """
    event = Event.parse(parse(line))
    if event.BY_CONTROLLER:
        raise Mismatch(f"{type(event).__name__} is not for a host to say")
    typed.check(event)
    event.host = host
    if isinstance(event, Inspected | Result):
        event.changes = {key: (actual, expected) for key, (actual, expected) in event.changes.items()}
    return event


def parse(line: bytes) -> Any:
    """Return what a line of JSON says, with control characters in its texts as visible escapes.

    Raises:
        ValueError: it is no JSON.
    """
    text = line.decode("utf-8", "surrogatepass")
    try:
        data = plainjson.loads(text)
        # Without a backslash, JSON holds its texts as they are; so most lines need one look.
        return data if text.isprintable() and "\\" not in text else visible(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def visible(value: Any) -> Any:
    r"""Return plain data with control characters in its texts as escapes: `\x1b[2J` clears no screen."""
    if isinstance(value, str):
        return value if value.isprintable() else re.sub(_CONTROL, _escape, value)
    if isinstance(value, list):
        return [visible(item) for item in value]
    if isinstance(value, dict):
        return {visible(key): visible(item) for key, item in value.items()}
    return value


def _escape(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode()
