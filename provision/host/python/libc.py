"""The C library of this host, for which wheels are built."""

from __future__ import annotations

import os


def glibc() -> str | None:
    """Return the version of the GNU C library, or None where there is none (musl)."""
    try:
        said = os.confstr("CS_GNU_LIBC_VERSION")
    except ValueError:
        return None
    return said.split()[-1] if said else None
