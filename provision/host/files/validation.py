"""Trying a file's content out before it takes the file's place."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from typing import Sequence

from provision.host.failure import Failure
from provision.host.machine import Machine

SYSTEMD = "systemd"
"""The rule that has a unit file judged by `systemd-analyze verify`."""

TIMEOUT = 60.0
"""Seconds a validator may take."""

# What systemd (245 to 257) says of a unit that it would not start. Not among them: unknown keys, which an
# older systemd rightly ignores, and a missing executable, which may be on its way.
_FATAL = re.compile(r"bad unit file setting|[Rr]efusing|fatal error|Failed to (prepare|load|create)")


def validate(
    machine: Machine, id: str, rule: str | Sequence[str], path: str, data: bytes, secret: bool = False
) -> None:
    """Have a validator judge content that is to become the file `path`.

    It is given a copy with the file's own name in a private directory: some validators care for the name,
    and no half-trusted file ever stands beside the real one.

    Args:
        machine: where the validator runs.
        id: the resource in whose name the validator's warnings are passed on.
        rule: `"systemd"`, or an argument vector in which `{path}` stands for the copy.
        path: the file that is meant.
        data: its content.
        secret: keep what the validator prints to ourselves, as it may quote the content.

    Raises:
        Failure: the content is refused, or the validator cannot be run.
    """
    directory = os.path.join(machine.state, "validate-" + hashlib.sha256(path.encode()).hexdigest()[:16])
    shutil.rmtree(directory, ignore_errors=True)  # left by a run that was killed here
    os.makedirs(directory, mode=0o700)
    try:
        copy = os.path.join(directory, os.path.basename(path))
        with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        if rule == SYSTEMD:
            _systemd(machine, id, copy, path)
        else:
            _command(machine, [argument.replace("{path}", copy) for argument in rule], copy, path, secret)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _command(machine: Machine, argv: list[str], copy: str, path: str, secret: bool) -> None:
    done = machine.run(argv, timeout=TIMEOUT, check=False)
    if done.code == 0:
        return
    log = [] if secret else [line.replace(copy, path) for line in (done.out + done.err).splitlines()]
    why = next((": " + line.strip() for line in reversed(log) if line.strip()), "")
    raise Failure(
        "content-refused",
        f"{path}: {os.path.basename(argv[0])} does not accept the new content{why}",
        log=log[-40:],
    )


def _systemd(machine: Machine, id: str, copy: str, path: str) -> None:
    if shutil.which("systemd-analyze") is None:
        machine.output(id, "not validated: this host has no systemd-analyze")
        return
    verify = ["systemd-analyze", "verify", "--man=no", copy]
    # A sound unit is known by 10 ms, without loading what it refers to (since systemd 250), instead of 45.
    done = machine.run([*verify, "--recursive-errors=no"], timeout=TIMEOUT, check=False)
    if done.code != 0:
        done = machine.run(verify, timeout=TIMEOUT, check=False)
    name = os.path.basename(path)
    # Units that ours refers to are judged as well; what is wrong with them is not this file's fault.
    lines = [line.replace(copy, path) for line in (done.out + done.err).splitlines() if name in line]
    lines = [line for line in lines if "is not executable" not in line]
    if done.code != 0 and any(_FATAL.search(line) for line in lines):
        raise Failure(
            "content-refused", f"{path}: systemd would refuse this unit: {_reason(lines)}", log=lines
        )
    for line in lines:
        machine.output(id, line)


def _reason(lines: list[str]) -> str:
    """Pick the line that says most: the last with a line number that is no warning, else a fatal one."""
    numbered = [
        line for line in lines if re.search(r":\d+: ", line) and not re.search(r"Unknown|not safe", line)
    ]
    return numbered[-1] if numbered else next(line for line in lines if _FATAL.search(line))
