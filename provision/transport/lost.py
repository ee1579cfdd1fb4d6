"""Why there is no result from a host: what cut it off, or what kept it from starting."""

from __future__ import annotations

import re
import signal

from provision.connect.base import last_line
from provision.connect.become import refusal
from provision.transport.execution import Execution, Verdict
from provision.wire.finding import Finding, fault

_SSH_FAILED = 255
"""How ssh ends when the fault is its own."""

_START_FILE = "a start file of its login shell, such as .bashrc"

_AGAIN = "what was done until then stays done; run again to go on"


def explain(execution: Execution) -> Finding:
    """Return why a command on a host ended without a result."""
    said = execution.said()
    if execution.verdict is Verdict.PASSWORD:
        return fault("sudo-password", "sudo did not accept the password")
    if execution.verdict is Verdict.SILENT:
        silent = f"no sign of life for {execution.limits.silence:g} s: the host hangs, or the connection does"
        return fault("host-silent", silent, _AGAIN)
    if not execution.reached:
        if execution.verdict is Verdict.LATE and execution.noise:
            return fault(
                "host-timeout",
                f"no command was begun within {execution.limit:g} s, but this was printed: "
                f"{execution.noise[-1]}",
                f"see what {_START_FILE}, does",
            )
        if execution.verdict is Verdict.LATE and not said.strip():
            return fault(
                "host-timeout",
                f"no answer within {execution.limit:g} s",
                "the address takes connections but does not answer, the host is overloaded, "
                f"or {_START_FILE}, waits",
            )
        return execution.connection.explain(
            execution.code, said if said.strip() else "\n".join(execution.noise)
        )
    return _cut_off(execution, said) or refusal(said) or _not_started(execution, said)


def _cut_off(execution: Execution, said: str) -> Finding | None:
    """Say what has cut off a run that had reached the host; None when nothing has."""
    if execution.killed:
        name = _signal_name(execution.killed)
        if re.search(rf"killed process {execution.pid}\b", said, re.IGNORECASE):
            cause = f"the host ran out of memory, and its kernel killed provision's process ({name})"
            return fault("host-killed", cause, f"free some memory there; {_AGAIN}")
        cause = f"somebody or something on the host killed provision's process there ({name})"
        known = "; if the memory was full, `dmesg` on the host says so" if name == "SIGKILL" else ""
        return fault("host-killed", cause, _AGAIN + known)
    program = execution.program
    if execution.code < 0:
        killed = f"{program} on this machine was killed ({_signal_name(-execution.code)})"
        return fault("connection-lost", killed, _AGAIN)
    if execution.code == _SSH_FAILED:
        reason = last_line(said)
        if reason:
            return fault("connection-lost", f"the connection was lost: {reason}", _AGAIN)
        also = "it looks the same when everything that belongs to the run was killed on the host"
        why = f"the connection was lost: {program} does not say why"
        return fault("connection-lost", why, f"{_AGAIN}; {also}")
    if execution.begun:
        reason = last_line(said) or f"exit code {execution.code}"
        ended = f"provision's process on the host ended before it was done: {reason}"
        return fault("host-killed", ended, _AGAIN)
    return None


def _not_started(execution: Execution, said: str) -> Finding:
    python = execution.connection.python
    if "Unknown option: -I" in said:
        hint = "name a Python 3.8 or newer with `python:` of this host"
        return fault("old-python", f"{python} is no Python 3", hint)
    if "zlib.error" in said:
        return fault(
            "host-failed",
            f"{python} has not got what was sent: something reads standard input before it",
            f"look for commands that read it in {_START_FILE}",
        )
    reason = last_line(said) or (execution.noise[-1] if execution.noise else f"exit code {execution.code}")
    what = "python3 could not be installed" if execution.installing else f"{python} did not start"
    return fault("host-failed", f"{what}: {reason}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
