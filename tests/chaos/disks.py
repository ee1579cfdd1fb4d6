"""The disks of hosts, kept so that each case begins with the same."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lab import Lab, LabHost
from tests.lab.commands import run

PARTS = ("upper", "containers")
"""What a host has changed of its base, and the images and containers of a nested one."""


class Disks:
    """What hosts had on their disks when they were saved; they are off then, until `restore`.

    Args:
        lab: whose hosts they are.
        names: of the hosts.
        directory: where to keep the copies: on the file system of the lab.
    """

    def __init__(self, lab: Lab, names: Sequence[str], directory: Path) -> None:
        self._lab = lab
        self._names = names
        self._directory = directory
        for name in names:
            lab[name].exec(["sync"])
            lab.stop(name)
            for part in PARTS:
                _copy(lab[name].directory / part, directory / name / part)

    def restore(self) -> None:
        """Boot the hosts with what they had."""
        hosts = [self._lab[name] for name in self._names]
        with ThreadPoolExecutor(len(hosts)) as pool:
            list(pool.map(self._restore, hosts))
        for host in hosts:
            host.start()
        for name in self._names:
            self._lab.start(name)  # waits until it has booted

    def forget(self) -> None:
        """Remove the copies."""
        shutil.rmtree(self._directory)

    def _restore(self, host: LabHost) -> None:
        host.stop()
        while host.root.is_mount():
            run(["umount", str(host.root)])
        for part in (*PARTS, "work"):
            shutil.rmtree(host.directory / part, ignore_errors=True)
        for part in PARTS:
            _copy(self._directory / host.name / part, host.directory / part)
        host.prepare(self._lab.key)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        run(["cp", "--archive", "--reflink=auto", str(source), str(target)])
