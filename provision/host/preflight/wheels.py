"""Whether there are wheels for this host: for its machine, its glibc, and the Python of the environment."""

from __future__ import annotations

import os

from provision.host.preflight.scene import Found, Scene
from provision.host.python import versions
from provision.wire.finding import fault, warning
from provision.wire.specs.environment import Wheel

CODE = "no-wheel"


def findings(scene: Scene) -> Found:
    """Return for each environment what it cannot install here."""
    found: Found = []
    for item in scene.changing():
        for wheel in item.resource.wheels(item.changes):
            why = _why(wheel, item.resource.interpreter(scene.machine))
            if why:
                message, hint = why
                kind = fault if wheel.pinned else warning
                finding = kind(CODE, f"{item.label}: {message}", hint).at(item.resource.asks_for(wheel.name))
                found.append((item, scene.verdict(item, finding)))
    return found


def _why(wheel: Wheel, python: str | None) -> tuple[str, str] | None:
    """Return why there is no wheel of a release, and the way out."""
    release = named(wheel)
    machine, here = os.uname().machine, _glibc()
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


def _glibc() -> str | None:
    """Return the version of the GNU C library, or None where there is none (musl)."""
    try:
        said = os.confstr("CS_GNU_LIBC_VERSION")
    except ValueError:
        return None
    return said.split()[-1] if said else None
