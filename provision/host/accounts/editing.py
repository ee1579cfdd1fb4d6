"""Calling the tools that edit /etc/passwd and /etc/group, one at a time."""

from __future__ import annotations

import errno
import os
import time
from _thread import allocate_lock
from typing import Sequence

from provision.host import causes
from provision.host.failure import Failure
from provision.host.files.paths import which
from provision.host.machine import ADMIN_PATH, Machine

FOLDER = "/etc"
"""Where the account files and their locks are."""

_LOCK_PATIENCE = 60.0
_one_at_a_time = allocate_lock()


def edit(machine: Machine, id: str, argv: Sequence[str]) -> None:
    """Run `useradd`, `groupmod` and the like; wait while another tool holds the account files.

    Raises:
        Failure: not root, no such tool, or the tool refuses; the message is the tool's own.
    """
    if not machine.root:
        raise Failure("needs-root", "only root can change users and groups", hint=causes.BECOME)
    tool = argv[0]
    if which(tool, ADMIN_PATH) is None:
        raise Failure(
            "missing-program",
            f"this host has no {tool}",
            hint="install the package `passwd` (Debian, Ubuntu)",
        )
    started = time.monotonic()
    with _one_at_a_time:
        while True:
            done = machine.run(argv, check=False, env={"PATH": ADMIN_PATH}, interruptible=False)
            if done.code == 0:
                return
            lines = (done.out + done.err).strip().splitlines() or [f"{tool} failed (exit {done.code})"]
            waited = time.monotonic() - started
            if "cannot lock" in lines[-1]:
                _require_writable()
            if "cannot lock" not in lines[-1] or waited > _LOCK_PATIENCE:
                raise Failure("command-failed", lines[-1], log=lines)
            machine.waiting(id, "the account files, which another tool edits", waited)
            machine.sleep(1)


def _require_writable() -> None:
    """Raise `Failure` when no file can be made beside the account files: then it is useless to wait."""
    try:
        os.close(os.open(FOLDER, os.O_TMPFILE | os.O_WRONLY, 0o600))
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):  # O_TMPFILE does not work here
            raise causes.failure(error, FOLDER) from None
