"""Whether a service's user can read and write the paths that the service is given, before it is started."""

from __future__ import annotations

import os
import pwd
from typing import Iterator

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.wire.finding import Finding, warning
from provision.wire.server import Access

LOOK = 60.0
"""Seconds for looking, as a network file system may be slow."""

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


def notes(machine: Machine, service: str, access: Access | None) -> list[Finding]:
    """Return what would keep a service from reading or writing its paths."""
    problems = _problems(machine, service, access)
    return [warning("unreadable-by-service", message, hint) for message, hint, _ in problems]


def require(machine: Machine, service: str, access: Access | None) -> None:
    """Raise `Failure` for what a service cannot start without.

    A path that only its name suggests to be written to is no reason: a cache may only be read.
    """
    for message, hint, fatal in _problems(machine, service, access):
        if fatal:
            raise Failure("unreadable-by-service", message, hint=hint)


def _problems(machine: Machine, service: str, access: Access | None) -> Iterator[tuple[str, str, bool]]:
    if access is None:
        return
    user = access.user
    refused = _refused(machine, access)
    for path in access.read:
        if f"r{path}" in refused:
            yield (
                f"service {service} runs as {user}, who cannot read {path}",
                f"let {user} read it and enter the directories above it, or put it elsewhere",
                True,
            )
    for each in access.write:
        path, because = each.path, each.because
        if not os.path.lexists(path) and not each.made:
            yield (
                f"service {service} writes to {path} ({because}), which is not there",
                f"declare it: `directories: {{{path}: {{owner: {user}}}}}`",
                each.said,
            )
        elif f"w{path}" in refused:
            yield (
                f"service {service} runs as {user}, who cannot write to {path} ({because})",
                f"give it to {user}: `directories: {{{path}: {{owner: {user}}}}}`"
                if path.count("/") > 1
                else f"name a directory of its own, such as {path}/{service}",
                each.said,
            )


def _refused(machine: Machine, access: Access) -> frozenset[str]:
    """Return `r` or `w` and the path for each that exists and that the user may not read or write."""
    asked = [f"r{path}" for path in access.read] + [f"w{each.path}" for each in access.write]
    asked = [each for each in asked if os.path.exists(each[1:])]
    if not asked or not machine.root or not _known(access.user):
        return frozenset()
    done = machine.run(
        ["/bin/sh", "-c", ASK, "sh", *asked], user=access.user, cwd="/", timeout=LOOK, check=False
    )
    return frozenset(done.out.splitlines())


def _known(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return user != "root"
