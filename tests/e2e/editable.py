"""A site whose playbook a test edits."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.command import Provision
from tests.lab import LabHost


class Editable:
    """A playbook that may be edited, and its host; a subclass makes them."""

    host: LabHost
    playbook: Path
    provision: Provision

    def edit(self, old: str, new: str, count: int = -1) -> None:
        """Replace a text that is there, everywhere or so often."""
        text = self.playbook.read_text()
        assert old in text
        self.playbook.write_text(text.replace(old, new, count))

    def sh(self, script: str) -> str:
        """Return what a script prints on the host, without the blank around it."""
        return self.host.exec(["sh", "-c", script]).stdout.strip()
