"""Why a resource, or a whole run, cannot go on."""

from __future__ import annotations

from typing import Iterable, TypeVar

from provision.wire.finding import Finding

F = TypeVar("F", bound="Failure")


class Failure(Exception):
    """A resource, or the whole run, cannot go on; the message is shown to a person as it is.

    Args:
        code: of the finding, as `provision explain` knows it.
        message: one sentence saying what is wrong.
        hint: what to change, when that is known.
        log: the last lines of the output that explains it.
        final: no other resource can remove the cause. If an inspection finds it, an apply changes nothing.
    """

    def __init__(
        self,
        code: str,
        message: str,
        hint: str | None = None,
        log: Iterable[str] = (),
        *,
        final: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.final = final
        self.message = message
        self.hint = hint
        self.log: list[str] = list(log)

    @classmethod
    def of(cls: type[F], finding: Finding) -> F:
        """Return the failure that a finding was made from."""
        return cls(finding.code, finding.message, finding.hint, finding.log)

    @property
    def finding(self) -> Finding:
        """What a person is told of it."""
        return Finding(code=self.code, message=self.message, hint=self.hint, log=self.log)
