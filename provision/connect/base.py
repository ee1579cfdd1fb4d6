"""What a connection is: a way to turn a shell script into the argument vector that runs it on a host."""

from __future__ import annotations

from typing import Protocol

from provision.wire.finding import Finding

PATIENCE = 15.0
"""Seconds to wait for a host's first word, unless told otherwise."""


ABSENT = ("container-missing", "container-stopped", "engine-missing")
"""Codes that tell that the way there works, but the container that is the host does not exist or run."""


class Connection(Protocol):
    """A way to run one shell script on one host.

    A connection holds no socket and no process: it only says what to execute here so that the script runs
    there, with its standard input, output and error being those of the local process; or, over a kept
    connection, whom to tell.
    """

    @property
    def host(self) -> str:
        """Name of the host in the inventory."""

    @property
    def python(self) -> str:
        """The interpreter that runs the host side: a name found on the host's PATH, or a path."""

    @property
    def become(self) -> bool:
        """Whether the script has to be wrapped so that it runs as root."""

    @property
    def asks_password(self) -> bool:
        """Whether a sudo on the way may ask for a password, by `become.PROMPT` on standard error."""

    def argv(self, script: str, patience: float = PATIENCE) -> list[str]:
        """Return what to execute here so that `sh` runs `script` on the host.

        Args:
            script: shell text.
            patience: seconds to wait for the first word of the script. A connection that knows why none
                comes gives up a little earlier, so that its message is seen.
        """

    def explain(self, code: int, stderr: str) -> Finding:
        """Say in one line why the host was not reached, from the exit code and the error text."""

    def kept(self) -> bool:
        """Whether there is an open connection, which needs no handshake."""

    def multiplexed(self, script: str) -> tuple[str, str] | None:
        """Return how a kept connection is told to run `script`; None if only by `argv`.

        That is the socket of the ssh that keeps it, and the command for the login shell of its host.
        """

    def forget(self) -> None:
        """Do not use the open connection again: it does not answer."""

    def telling(self, stderr: str) -> Connection | None:
        """Return a connection that shows the reason which this error text hides; None when it hides none."""


def last_line(text: str) -> str:
    """Return the last line of `text` that says something, or an empty string."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
