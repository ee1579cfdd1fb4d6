"""The command line of docker or podman: which of them is here, what it knows of a container, what it logs."""

from __future__ import annotations

import os
import re
import time
from typing import Any, Callable, Dict, NamedTuple, Sequence

from provision.host.capture import Completed
from provision.host.failure import Failure
from provision.host.files.paths import which
from provision.host.light import plainjson
from provision.host.machine import Machine
from provision.host.services.failures import exits

ENGINES = ("docker", "podman")
"""In the order in which they are taken when a service names none."""

DOCKER_SOCKET = "/var/run/docker.sock"

REFUSED = "exit 125"
"""How the engine's client ends when the engine itself has failed, and no program was started."""

LOOK = 60.0
"""Seconds for a question to the engine: it may be busy with another container."""

Inspected = Dict[str, Any]
"""What `inspect` says of one container or image."""


class _Known(NamedTuple):
    pattern: str
    message: str | None
    hint: str


_KNOWN: Sequence[_Known] = (
    _Known(
        r"permission denied while trying to connect to the docker",
        "this user may not use docker",
        "set `become: true` on the host, or add the user to the group docker",
    ),
    _Known(
        r"(?:cannot|failed to) connect to the docker|is the docker daemon running",
        "docker's daemon does not answer",
        "start it (systemctl start docker), or set `engine: podman`",
    ),
    _Known(
        r"could not select device driver .*gpu|unknown or invalid runtime name: nvidia",
        None,
        "install the NVIDIA Container Toolkit on the host, or leave `gpus` out",
    ),
    _Known(
        r"CDI device|nvidia\.com/gpu",
        None,
        "install the NVIDIA Container Toolkit on the host and run "
        "`nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`",
    ),
    _Known(
        r"short-name .* did not resolve|no unqualified-search registries",
        None,
        "write the whole name, such as docker.io/library/nginx:1.29",
    ),
    _Known(
        r"unauthorized|authentication required|access .*denied",
        None,
        "log in to the registry on the host, or correct `image:`",
    ),
    _Known(
        r"manifest unknown|manifest for .* not found|name unknown|does not exist",
        None,
        "correct `image:`",
    ),
    _Known(
        r"no such host|dial tcp|i/o timeout|connection refused|network is unreachable|name resolution",
        None,
        "a host that cannot reach the registry can load the image from an `archive:`",
    ),
    _Known(
        r"payload does not match|invalid tar header|not a valid .*archive|unrecognized image format",
        None,
        "an image archive is what `docker save` or `podman save` writes",
    ),
    _Known(
        r"address already in use|port is already allocated",
        None,
        "stop what listens there, or publish another port",
    ),
    _Known(
        r"catatonit|container-init binary|docker-init",
        None,
        "install catatonit on the host, or leave `init` out",
    ),
    _Known(
        r"(?:unknown|invalid) runtime|could not find runtime|default OCI runtime .* not found",
        None,
        "install that runtime on the host and make it known to the engine, or correct `runtime`",
    ),
    _Known(
        r"error gathering device information|stat /dev/\S+: no such file|no such device",
        None,
        "the host has no such device: install its driver, or correct `devices`",
    ),
    _Known(
        r"no space left on device",
        None,
        "make room on the host: the engine keeps images and containers there",
    ),
)


def find(wanted: str | None) -> str | None:
    """Return the engine to use: the wanted one, or what is installed; None when there is none.

    Where both are, docker comes first, unless only its client is there: it can do nothing without its daemon.
    """
    there = [name for name in ([wanted] if wanted else ENGINES) if which(name)]
    if len(there) > 1 and not (os.environ.get("DOCKER_HOST") or os.path.exists(DOCKER_SOCKET)):
        there.remove("docker")
    return there[0] if there else None


def require(wanted: str | None) -> str:
    """Return the engine to use.

    Raises:
        Failure: it is not installed.
    """
    engine = find(wanted)
    if engine is None:
        which = f"{wanted} is not" if wanted else "neither docker nor podman is"
        raise Failure(
            "container-engine",
            f"{which} installed, which is to run the container",
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


def _failure(engine: str, argv: Sequence[str], done: Completed) -> Failure:
    lines = [line.strip() for line in (done.err or done.out).splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if not line.startswith(("See '", "Run '"))), "")
    last = re.sub(r"^(?:docker: |Error: |Error response from daemon: )+", "", last)
    known = _known(lines)
    message = known.message if known else None
    return Failure(
        "container-engine",
        message or f"{engine} {argv[0]}: {last or f'exit {done.code}'}",
        hint=hint(lines),
        log=lines[-10:],
    )


def hint(lines: Sequence[str]) -> str | None:
    """Return the way out for what an engine has printed, when it is known."""
    known = _known(lines)
    return known.hint if known else None


def _known(lines: Sequence[str]) -> _Known | None:
    text = "\n".join(lines)
    return next((known for known in _KNOWN if re.search(known.pattern, text, re.IGNORECASE)), None)


# -- what there is ----------------------------------------------------------------------------------------


def container(machine: Machine, engine: str, name: str) -> Inspected | None:
    """Return what the engine knows of a container, read once until `forget`; None when there is none."""
    return machine.once(("container", engine, name), lambda: _inspect(machine, engine, "container", name))


def forget(machine: Machine, engine: str, name: str) -> None:
    """Read a container anew the next time: it has been changed, or may have changed by itself."""
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
    waits = state.get("Restarting")  # for its next try; docker says that it runs
    if state.get("Running") and not waits:
        return None
    if state.get("Status") in ("created", "configured", "initialized"):
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
    """Return the last lines that a container has printed; none when they cannot be had.

    Args:
        machine: where it runs.
        engine: docker or podman.
        name: of the container.
        lines: how many at most.
        since: nothing older; see `now`.
    """
    argv = [engine, "logs", "--tail", str(lines), *(["--since", since] if since else []), name]
    kept: list[str] = []
    try:
        machine.run(argv, timeout=LOOK, check=False, on_line=kept.append)
    except Failure:
        return []
    return kept[-lines:] if lines > 0 else []
