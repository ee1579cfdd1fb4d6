"""Whether a service's user can read and write what the service is told, looked at before it is started.

`reach` in a spec holds `user`, `read` (paths) and `write`: mappings with `path`, `because` (a variable or a
key of the service), `said` (the playbook says that it is written to; else its name does) and `made` (a
declared directory is at it or above it, in which it can be made).
"""

from __future__ import annotations

import os
import pwd
from typing import Any, Iterator, Mapping

from provision.host.failure import Failure
from provision.host.machine import Machine

LOOK = 60.0
"""Seconds for looking, which a file system of the network may take."""

ASK = """
for each; do
    path="${each#?}"
    case "$each" in
        r*) [ -r "$path" ] || [ -x "$path" ] ;;
        w*) [ -w "$path" ] && { [ ! -d "$path" ] || [ -x "$path" ]; } ;;
    esac || printf '%s\\n' "$each"
done
"""
"""For sh: prints those of its arguments, `r` or `w` and a path, that its user may not read or write."""


def notes(machine: Machine, spec: Mapping[str, Any]) -> list[str]:
    """Return what would keep a service from reading or writing what it is told, a sentence each."""
    return [f"{message}; {hint}" for message, hint, _ in _problems(machine, spec)]


def require(machine: Machine, spec: Mapping[str, Any]) -> None:
    """Raise `Failure` for what a service cannot start without.

    What is only known by its name to be written to is none of that: a cache may be there to be read alone.
    """
    for message, hint, fatal in _problems(machine, spec):
        if fatal:
            raise Failure(message, hint=hint)


def _problems(machine: Machine, spec: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    reach = spec.get("reach")
    if not reach:
        return
    service, user = spec["service"], reach["user"]
    refused = _refused(machine, user, reach)
    for path in reach["read"]:
        if f"r{path}" in refused:
            yield (
                f"service {service} runs as {user}, who cannot read {path}",
                f"let {user} read it and enter the directories above it, or put it elsewhere",
                True,
            )
    for each in reach["write"]:
        path, because = each["path"], each["because"]
        if not os.path.lexists(path) and not each["made"]:
            yield (
                f"service {service} writes to {path} ({because}), which is not there",
                f"declare it: `directories: {{{path}: {{owner: {user}}}}}`",
                each["said"],
            )
        elif f"w{path}" in refused:
            yield (
                f"service {service} runs as {user}, who cannot write to {path} ({because})",
                f"give it to {user}: `directories: {{{path}: {{owner: {user}}}}}`"
                if path.count("/") > 1
                else f"name a directory of its own, such as {path}/{service}",
                each["said"],
            )


def _refused(machine: Machine, user: str, reach: Mapping[str, Any]) -> frozenset[str]:
    """Return `r` or `w` and the path for each that is there and closed to the user."""
    asked = [f"r{path}" for path in reach["read"]] + [f"w{each['path']}" for each in reach["write"]]
    asked = [each for each in asked if os.path.exists(each[1:])]
    if not asked or not machine.root or not _known(user):
        return frozenset()
    done = machine.run(["/bin/sh", "-c", ASK, "sh", *asked], user=user, cwd="/", timeout=LOOK, check=False)
    return frozenset(done.out.splitlines())


def _known(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return user != "root"
