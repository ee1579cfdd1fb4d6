"""Whether there are wheels for this host: for its machine, its glibc, and the Python of the environment."""

from __future__ import annotations

import os

from provision.host.python import versions
from provision.host.python.libc import glibc
from provision.wire.finding import Finding, fault, warning
from provision.wire.specs.environment import Wheel

CODE = "no-wheel"


def missing(wheel: Wheel, python: str | None) -> Finding | None:
    """Return why there is no wheel of a release, and the way out; None where there is one.

    Args:
        wheel: what is known of the release.
        python: the version of the environment's Python; None where that is not there yet.
    """
    why = _why(wheel, python)
    return (fault if wheel.pinned else warning)(CODE, *why) if why else None


def _why(wheel: Wheel, python: str | None) -> tuple[str, str] | None:
    release = named(wheel)
    machine, here = os.uname().machine, glibc()
    oldest = wheel.glibc.get(machine)
    if oldest is None:
        built = " and ".join(wheel.glibc)
        return f"{release} has wheels for {built}, and this host is {machine}", "pin a release that has one"
    if here is None or versions.compare(here, oldest) < 0:
        has = f"glibc {here}" if here else "another C library"
        message = f"the wheels of {release} need glibc {oldest} or newer, and this host has {has}"
        return message, "pin an older release, or install a newer distribution"
    if python and not versions.matches(python, [tuple(each) for each in wheel.python]):
        needed = ",".join(operator + version for operator, version in wheel.python)
        message = f"{release} needs Python {needed}, and this environment has {python}"
        return message, "set `python:` of the environment to another one, or pin another release"
    return None


def named(wheel: Wheel) -> str:
    """Return what to call a release."""
    return f"{wheel.name} {wheel.version}" if wheel.pinned else f"the newest {wheel.name} ({wheel.version})"
