"""Looks every 10 ms for marks in the arguments and variables of all processes that have begun.

sampler.py < MARKS: one mark a line, an empty line begins the look, the end of standard input ends it.
Each find is a line: pid, uid, what, mark, and the command's name.
"""

from __future__ import annotations

import os
import select
import sys

EVERY = 0.01
"""Seconds between two looks."""

LOOKED_AT = ("cmdline", "environ")


def pids() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def main() -> None:
    marks = []
    for line in iter(sys.stdin.buffer.readline, b"\n"):
        marks.append(line.strip())
    before = set(pids())
    print("begun", flush=True)
    told: set[tuple[str, str, bytes]] = set()
    while not select.select([0], [], [], EVERY)[0]:
        for pid in pids():
            if pid not in before:
                look(pid, marks, told)


def look(pid: str, marks: list[bytes], told: set[tuple[str, str, bytes]]) -> None:
    for what in LOOKED_AT:
        try:
            with open(f"/proc/{pid}/{what}", "rb") as file:
                data = file.read()
            found = [mark for mark in marks if mark in data and (pid, what, mark) not in told]
            for mark in found:
                told.add((pid, what, mark))
                with open(f"/proc/{pid}/comm") as file:
                    name = file.read().strip()
                uid = os.stat(f"/proc/{pid}").st_uid
                print(pid, uid, what, mark.decode(), name, flush=True)
        except OSError:
            continue


if __name__ == "__main__":
    main()
