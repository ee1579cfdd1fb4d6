"""The command line of docker or podman: which of them is here, what it says of a container, what it logs."""

from __future__ import annotations

import os
import re
import time
from typing import Any, Callable, Dict, Sequence

from provision.host.capture import Completed, capture
from provision.host.failure import Failure
from provision.host.files.paths import which
from provision.host.machine import Machine
from provision.host.services.failures import exits
from provision.host.services.failures.known import containers, known
from provision.wire import plainjson

ENGINES = ("docker", "podman")
"""In the order in which they are taken when a service names none."""

DOCKER_SOCKET = "/var/run/docker.sock"

REFUSED = "exit 125"
"""How the engine's client ends when the engine itself has failed, and no program was started."""

LOOK = 60.0
"""Seconds for a question to the engine: it may be busy with another container."""

Inspected = Dict[str, Any]
"""What `inspect` says of one container or image."""


def find(wanted: str | None) -> str | None:
    """Return the engine to use: the wanted one, or what is installed; None when there is none.

    Where both are installed, docker comes first, unless only its client is there, which needs a daemon.
    """
    there = [name for name in ([wanted] if wanted else ENGINES) if which(name)]
    if len(there) > 1 and not (os.environ.get("DOCKER_HOST") or os.path.exists(DOCKER_SOCKET)):
        there.remove("docker")
    return there[0] if there else None


def require(wanted: str | None) -> str:
    """Return the engine to use, or raise `Failure` when it is not installed."""
    engine = find(wanted)
    if engine is None:
        missing = f"{wanted} is not" if wanted else "neither docker nor podman is"
        raise Failure(
            containers.CODE,
            f"{missing} installed, and the container needs {'it' if wanted else 'one of them'}",
            hint=f"add {wanted or 'podman'} to the packages of the play",
        )
    return engine


def call(
    machine: Machine,
    engine: str,
    argv: Sequence[str],
    timeout: float | None = LOOK,
    on_line: Callable[[str], None] | None = None,
) -> Completed:
    """Run a command of the engine.

    Raises:
        Failure: it failed, with the way out for what is known to go wrong.
    """
    done = machine.run([engine, *argv], timeout=timeout, check=False, on_line=on_line)
    if done.code != 0:
        raise _failure(engine, argv, done)
    return done


def bring_back(engine: str, name: str, fresh: str, unit: str | None) -> None:
    """Start a container whose restart was cut off, also in a run that was cancelled.

    Args:
        engine: docker or podman.
        name: its name.
        fresh: the name of the one that takes its place, if the old one has been removed.
        unit: the systemd unit that runs it.
    """
    start = ["systemctl", "start", "--no-block", unit] if unit else [engine, "start", name]
    for argv in ([engine, "rename", fresh, name], start):
        try:
            capture(argv, os.environ, LOOK, lambda pid: None)
        except OSError:
            pass


def _failure(engine: str, argv: Sequence[str], done: Completed) -> Failure:
    lines = [line.strip() for line in (done.err or done.out).splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if not line.startswith(("See '", "Run '"))), "")
    last = re.sub(r"^(?:docker: |Error: |Error response from daemon: )+", "", last)
    found = known.find(containers.KNOWN, "\n".join(lines))
    message = found[0].message if found else None
    return Failure(
        containers.CODE,
        message or f"{engine} {argv[0]}: {last or f'exit {done.code}'}",
        hint=hint(lines),
        log=lines[-10:],
    )


def hint(lines: Sequence[str]) -> str | None:
    """Return the way out for what an engine has printed, when it is known."""
    found = known.find(containers.KNOWN, "\n".join(lines))
    return str(found[0].advice) if found else None


# -- what there is ----------------------------------------------------------------------------------------


def container(machine: Machine, engine: str, name: str) -> Inspected | None:
    """Return what the engine knows of a container, read once until `forget`; None when there is none."""
    return machine.once(("container", engine, name), lambda: _inspect(machine, engine, "container", name))


def forget(machine: Machine, engine: str, name: str) -> None:
    """Read a container again the next time: it has been changed, or may have changed by itself."""
    machine.forget(("container", engine, name))


def image(machine: Machine, engine: str, reference: str) -> Inspected | None:
    """Return what the engine knows of an image that is on this host; None when it is not."""
    return _inspect(machine, engine, "image", reference)


def _inspect(machine: Machine, engine: str, kind: str, name: str) -> Inspected | None:
    argv = [kind, "inspect", name]
    done = machine.run([engine, *argv], timeout=LOOK, check=False)
    if done.code == 0:
        found: Inspected = plainjson.loads(done.out)[0]
        return found
    missing = r"no such (?:container|image|object)|no container with|image not known"
    if re.search(missing, done.err, re.IGNORECASE):
        return None
    raise _failure(engine, argv, done)


def invocation(found: Inspected | None) -> str | None:
    """Return what names this very life of a container, or None when it does not run."""
    state = found["State"] if found else {}
    if not found or not state.get("Running") or state.get("Restarting"):
        return None
    return f"{found['Id'][:12]}:{state.get('StartedAt')}"


def ended(found: Inspected) -> str | None:
    """Return how a container's program ended; None when it runs or never ran."""
    state = found["State"]
    # While it waits for its next try, docker says that it runs.
    runs = state.get("Running") and not state.get("Restarting")
    if runs or state.get("Status") in ("created", "configured", "initialized"):
        return None
    if state.get("OOMKilled"):
        return exits.OUT_OF_MEMORY
    return state.get("Error") or exits.how(int(state.get("ExitCode") or 0))


def now() -> str:
    """Return the time as `log` takes it: before a start, what tells its lines from those of earlier ones.

    Engines themselves note the time of a start after a quick program has printed its first line.
    """
    seconds, micros = divmod(int(time.time() * 1e6), 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{micros:06d}Z"


def log(machine: Machine, engine: str, name: str, lines: int, since: str | None = None) -> list[str]:
    """Return the last lines that a container has printed since a time (see `now`); none if that fails."""
    argv = [engine, "logs", "--tail", str(lines), *(["--since", since] if since else []), name]
    kept: list[str] = []
    try:
        machine.run(argv, timeout=LOOK, check=False, on_line=kept.append)
    except Failure:
        return []
    return kept[-lines:] if lines > 0 else []
