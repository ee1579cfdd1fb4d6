"""What goes wrong on request, and what the hub remembers of each request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong with the requests whose path holds ``match``.

    Exactly one of the kinds is given.
    """

    match: str
    cut: int | None = None
    """Close the connection after this many bytes of a file's body."""
    corrupt: bool = False
    """Flip one bit of the file's first byte."""
    status: int | None = None
    """Answer with this HTTP status."""
    slow: int | None = None
    """Send at most this many bytes a second."""
    hold: int | None = None
    """Stop after this many bytes of a file's body until the hub is mended."""
    hang: bool = False
    """Accept the request and say nothing until the hub stops."""
    times: int | None = None
    """How many requests are hit; None: every one."""


@dataclass
class Request:
    """One request as the hub saw it and answers it; in the record before the first byte of the answer."""

    method: str
    path: str
    """Decoded, with the query."""
    range: str | None
    authorized: bool
    """Whether the request carried a credential, right or wrong."""
    status: int
    sent: int = 0
    """Bytes of body so far."""
    cut: bool = False
    """Whether a fault ended the body early."""
