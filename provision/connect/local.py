"""The machine that provision itself runs on."""

from __future__ import annotations

from provision.connect.base import PATIENCE, last_line
from provision.dataclass import dataclass
from provision.wire.finding import Finding, fault


@dataclass(frozen=True)
class Local:
    """Runs scripts here, in a shell of their own."""

    host: str
    python: str = "python3"
    become: bool = False
    asks_password: bool = False

    def argv(self, script: str, patience: float = PATIENCE) -> list[str]:
        """Return the shell that runs `script`."""
        return ["sh", "-c", script]

    def explain(self, code: int, stderr: str) -> Finding:
        """Return the shell's own last words."""
        return fault("host-failed", last_line(stderr) or f"the local shell ended with exit code {code}")

    def kept(self) -> bool:
        """Nothing has to be opened."""
        return True

    def multiplexed(self, script: str) -> None:
        """A shell is started each time."""

    def forget(self) -> None:
        """Nothing is open."""

    def telling(self, stderr: str) -> Local | None:
        """Nothing is hidden."""
        return None
