"""What a machine must offer before a lab can be booted on it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

PACKAGES = Path(__file__).with_name("packages.txt")
"""The apt packages that the lab needs on the controller machine, one a line."""

_PROGRAMS = ("systemd-nspawn", "debootstrap", "ip", "iptables", "ssh", "ssh-keygen", "nsenter", "mount")


def missing_requirements() -> str | None:
    """Why no lab can be booted here, or None when it can."""
    if os.geteuid() != 0:
        return "the lab boots hosts with systemd-nspawn, which needs root"
    absent = [program for program in _PROGRAMS if shutil.which(program) is None]
    if absent:
        packages = " ".join(PACKAGES.read_text(encoding="utf-8").split())
        return f"{', '.join(absent)} not found; run: apt-get install {packages}"
    return None
