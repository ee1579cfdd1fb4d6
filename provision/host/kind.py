"""The kind of host that something is locked for, and what to say where a lock does not fit."""

from __future__ import annotations

import os
from typing import Sequence

from provision.host.failure import Failure
from provision.host.machine import os_release
from provision.host.python.libc import glibc
from provision.wire.finding import Finding, information

LOCK_AGAIN = "apply with --no-lock, and run `provision lock` again"
RESTORE = f"put back what is locked; or, if it is to change, {LOCK_AGAIN}"


def machine() -> str:
    """Return what programs are built for here, such as x86_64, or x86_64-musl."""
    return os.uname().machine + ("" if glibc() else "-musl")


def system() -> str:
    """Return the distribution and its release, such as `debian 12`."""
    release = {key: value.strip("\"'") for key, value in os_release().items()}
    return f"{release.get('ID', 'linux')} {release.get('VERSION_ID', '')}".strip()


def unknown(lock: str, wanted: str) -> Failure:
    """Return why nothing can be done here: a lock has nothing for this kind of host."""
    return Failure("not-locked", f"{lock} has nothing for {wanted}", hint=LOCK_AGAIN, final=True)


def not_as_declared() -> Failure:
    """Return why something is not locked: what it has come to is not what the playbook says."""
    return Failure("not-as-declared", "it is not as declared on this host", hint="apply first, then lock")


def drift(lock: str, names: Sequence[str]) -> Finding:
    """Return the reason why something is changed that is as declared: it is other than locked."""
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return information("not-as-locked", f"not as in {lock}: {shown}")
