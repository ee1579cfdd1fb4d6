"""A host on which something goes wrong, and what a fault has to look like to the person in front of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from provision.findings import catalogue
from tests.e2e.command import Answer, Provision
from tests.lab import Lab, LabHost

LIMIT = 150
"""Seconds after which a run counts as one without a bound: far above all waits, as machines may be busy."""

CODED = re.compile(r" \[([a-z]+(?:-[a-z0-9]+)+)\]$")

FOLLOWS = {"skipped-step", "foreseen-failure"}
"""What follows from the fault, and names no cause."""


class Trouble:
    """One host, one playbook, and the fault of the moment.

    Args:
        lab: whose host it is.
        host: the host.
        folder: for the playbook.
        note: is told the line that a person reads, for the table of the documentation.
    """

    def __init__(self, lab: Lab, host: LabHost, folder: Path) -> None:
        self.lab = lab
        self.host = host
        self.folder = folder
        self.page = folder / "site.yml"
        self.note: Callable[[str, str], None] = lambda name, value: None
        self.provision = Provision(["-i", str(lab.inventory)], cwd=folder)
        self.printed = ""

    def play(self, text: str) -> None:
        """Write the playbook; `text` are the keys of its play."""
        lines = "".join(f"  {line}\n" for line in text.strip("\n").splitlines())
        self.page.write_text(f"- hosts: {self.host.name}\n{lines}")

    def sh(self, script: str, check: bool = True) -> str:
        """Run a script as root on the host, whatever is wrong with its ssh."""
        return self.host.exec(["/bin/sh", "-c", script], check=check).stdout

    def run(self, verb: str = "apply", *more: str, **how: object) -> Answer:
        """Run a verb, which has to end within `LIMIT` seconds."""
        asked = [*(["--yes"] if verb in ("apply", "remove") else []), *more]
        answer = self.provision.run(verb, self.page, *asked, timeout=LIMIT, **how)  # type: ignore[arg-type]
        self.printed = answer.out + answer.err
        return answer

    def start(self, *argv: str | Path, **how: Any) -> subprocess.Popen[str]:
        """Begin a run, and go on."""
        command = [sys.executable, "-m", "provision", *map(str, argv)]
        env = {**os.environ, **self.provision.env}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **how}
        return subprocess.Popen(command, cwd=self.folder, env=env, text=True, **pipes)

    def fails(self, code: str, says: str, *more: str, verb: str = "apply") -> str:
        """Meet the fault: the run ends, and one line says what is wrong, with a code. Return that line."""
        answer = self.run(verb, *more)
        assert answer.code == 1, self.printed
        lines = causes(self.printed)
        assert [CODED.findall(line)[0] for line in lines] == [code], self.printed
        assert re.search(says, lines[0]), self.printed
        assert code in catalogue()  # `provision explain` knows it
        self.note("code", code)
        self.note("printed", lines[0])
        return lines[0]

    def works(self, *more: str, verb: str = "apply") -> str:
        """Apply once more: all is well, and nothing is left of the fault."""
        answer = self.run(verb, *more)
        assert answer.code == 0, self.printed
        return self.printed

    def settled(self) -> None:
        """There is nothing left to do."""
        assert self.run("plan", "--detailed-exitcode").code == 0, self.printed

    @contextmanager
    def small(self, path: str, size: str = "64k", options: str = "") -> Iterator[None]:
        """Put a small file system of its own at a path, with what was there."""
        self.sh(
            f"mkdir -p {path} /run/kept && cp -a {path}/. /run/kept/ && "
            f"mount -t tmpfs -o size={size},mode=755{options} tmpfs {path} && cp -a /run/kept/. {path}/ && "
            "rm -rf /run/kept"
        )
        try:
            yield
        finally:
            self.sh(f"umount -l {path}")

    @contextmanager
    def full(self, path: str) -> Iterator[None]:
        """Fill the file system at a path to its last byte."""
        self.sh(f"dd if=/dev/zero of={path}/.fill bs=4k status=none 2>/dev/null || true")
        try:
            yield
        finally:
            self.sh(f"rm -f {path}/.fill")

    @contextmanager
    def read_only(self, path: str) -> Iterator[None]:
        """Make a directory a read-only file system."""
        self.sh(f"mkdir -p {path}; mount --bind {path} {path} && mount -o remount,ro,bind {path}")
        try:
            yield
        finally:
            self.sh(f"umount -l {path}")


def causes(printed: str) -> list[str]:
    """Return the lines that tell what is wrong, each once: not what follows from it, nor the last lines."""
    found = []
    for line in printed.splitlines():
        match = CODED.search(line)
        if match and match[1] not in FOLLOWS and re.match(r"\S+  ✗ |\S+  failed: |  ! |error: ", line):
            found.append(line)
    told = [line for line in found if "  ✗ " in line or line.startswith(("  ! ", "error: "))]
    return list(dict.fromkeys(told or found))
