"""A control group per host: nspawn would otherwise put all hosts into the caller's, where they collide."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_PARENT = "provision-lab"


@dataclass(frozen=True)
class ControlGroup:
    """One group by this name in each hierarchy of the machine (one with cgroup v2, several with v1)."""

    name: str

    def directories(self) -> list[Path]:
        """The group's directory in each hierarchy."""
        return [root / _PARENT / self.name for root in _hierarchies()]

    def create(self) -> list[Path]:
        """Make the group and return the files that a process writes its pid to, to join it."""
        for directory in self.directories():
            directory.mkdir(parents=True, exist_ok=True)
        return [directory / "cgroup.procs" for directory in self.directories()]

    def remove(self) -> None:
        """Remove the group and what its host made below it; groups that still hold processes stay."""
        for directory in self.directories():
            for path, _, _ in os.walk(directory, topdown=False):
                _remove_empty(path)
            _remove_empty(directory.parent)


def _remove_empty(directory: str | Path) -> None:
    try:
        os.rmdir(directory)
    except OSError:
        pass  # in use by another lab, or gone


def _hierarchies() -> list[Path]:
    found = []
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, mount, kind, options, *_ = line.split()
        # a v1 cpuset group takes no process before its CPUs are listed, and hosts have no use for it
        if re.fullmatch("cgroup2?", kind) and "cpuset" not in options.split(","):
            found.append(Path(mount))
    return found
