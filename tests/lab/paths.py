"""Where the lab keeps its files."""

from __future__ import annotations

import os
from pathlib import Path


def state_directory() -> Path:
    """The directory of base images, caches and running labs: PROVISION_LAB, or /var/tmp/provision-lab."""
    return Path(os.environ.get("PROVISION_LAB") or "/var/tmp/provision-lab").resolve()


def labs_directory() -> Path:
    """One directory per lab that is up (or crashed)."""
    return state_directory() / "labs"
