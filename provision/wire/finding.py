"""Findings: everything that a person is told to change, or told to know."""

from __future__ import annotations

from provision.wire.record import Record

Severity = str
"""One of `SEVERITIES`."""

ERROR = "error"
WARNING = "warning"
INFO = "info"

SEVERITIES = (ERROR, WARNING, INFO)


class Finding(Record):
    """One thing that a person is told, with a code that stays the same from release to release.

    - `code`: lower-case words with hyphens, such as `unknown-key`; `provision explain CODE` says more of it
    - `severity`: `error`: it does not work so; `warning`: it may not work; `info`: good to know
    - `message`: one sentence that says what is wrong
    - `hint`: the way out, where it is known
    - `where`: `file:line:column` of what has to be changed, where that is a file of the user's. A host, which
      has no such file, names the field of a resource (`port`, `packages/0`), and the controller the place
    - `log`: the lines of output that explain it
    """

    code: str
    message: str
    severity: Severity = ERROR
    hint: str | None = None
    where: str | None = None
    log: list[str] = []

    def at(self, *keys: str | int) -> Finding:
        """Return it as one about a field of the resource that it is told of: the keys that lead there."""
        return self.replace(where="/".join(map(str, keys)))

    def sentence(self) -> str:
        """Return what it says and the way out, on one line."""
        return f"{self.message}; {self.hint}" if self.hint else self.message


def fault(code: str, message: str, hint: str | None = None) -> Finding:
    """Return what does not work."""
    return Finding(code=code, message=message, hint=hint)


def warning(code: str, message: str, hint: str | None = None) -> Finding:
    """Return what may not work."""
    return Finding(code=code, severity=WARNING, message=message, hint=hint)


def information(code: str, message: str, hint: str | None = None) -> Finding:
    """Return what is good to know, and asks for nothing."""
    return Finding(code=code, severity=INFO, message=message, hint=hint)
