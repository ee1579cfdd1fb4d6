"""Checking a file's content before it is put in place."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from typing import Sequence

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services.failures import patterns

SYSTEMD = "systemd"
"""The rule for a unit file: `systemd-analyze verify` checks it."""

TIMEOUT = 60.0
"""Seconds a validator may take."""

# What systemd (245 to 257) says of a unit that it would not start. Unknown keys are not among them, as an
# older systemd ignores them, nor is a missing executable, which may be made later in the run.
_FATAL = re.compile(r"bad unit file setting|[Rr]efusing|fatal error|Failed to (prepare|load|create)")

_ALERT = re.compile(r"\[ALERT\] *\(\d+\) : (?:config : )?")
"""How HAProxy begins a line with an error; the first of them is the cause."""


def validate(
    machine: Machine, id: str, rule: str | Sequence[str], path: str, data: bytes, secret: bool = False
) -> None:
    """Have a validator check the content of a file before it is written.

    It is given a copy with the file's own name, which matters to some validators, in a private directory.

    Args:
        machine: where the validator runs.
        id: the resource; the validator's warnings are sent with this id.
        rule: `"systemd"`, or an argument vector in which `{path}` stands for the copy.
        path: the file that is meant.
        data: its content.
        secret: do not show what the validator prints, as it may quote the content.

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
    said = [line.strip() for line in log if line.strip()]
    alert = next((_ALERT.sub("", line) for line in said if _ALERT.match(line)), None)
    why = alert or next(reversed(said), "")
    known = patterns.explain(said)
    raise Failure(
        "content-refused",
        f"{path}: {os.path.basename(argv[0])} does not accept the new content{why and ': ' + why}",
        hint=known.hint if known else None,
        log=log[-40:],
    )


def _systemd(machine: Machine, id: str, copy: str, path: str) -> None:
    if shutil.which("systemd-analyze") is None:
        machine.output(id, "not validated: this host has no systemd-analyze")
        return
    verify = ["systemd-analyze", "verify", "--man=no", copy]
    # First without loading what it refers to (since systemd 250): a valid unit takes 10 ms instead of 45.
    done = machine.run([*verify, "--recursive-errors=no"], timeout=TIMEOUT, check=False)
    if done.code != 0:
        done = machine.run(verify, timeout=TIMEOUT, check=False)
    name = os.path.basename(path)
    # Units that this one refers to are checked as well; what is wrong with them does not count here.
    lines = [line.replace(copy, path) for line in (done.out + done.err).splitlines() if name in line]
    lines = [line for line in lines if "is not executable" not in line]
    if done.code != 0 and any(_FATAL.search(line) for line in lines):
        raise Failure(
            "content-refused", f"{path}: systemd would refuse this unit: {_reason(lines)}", log=lines
        )
    for line in lines:
        machine.output(id, line)


def _reason(lines: list[str]) -> str:
    """Return the most useful line: the last error with a line number, else a fatal one."""
    numbered = [
        line for line in lines if re.search(r":\d+: ", line) and not re.search(r"Unknown|not safe", line)
    ]
    return numbered[-1] if numbered else next(line for line in lines if _FATAL.search(line))
