"""Containers that stand for hosts: reached by the engine's `exec`, here or through another host."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace

from provision.connect.base import PATIENCE, Connection
from provision.connect.become import as_root
from provision.wire.finding import Finding, fault

_FIND = (
    "E=podman; "
    "if command -v docker >/dev/null 2>&1 && "
    '{ [ -n "$DOCKER_HOST" ] || [ -e /var/run/docker.sock ] || ! command -v podman >/dev/null 2>&1; }; '
    "then E=docker; fi; "
)
"""Choose as the host side does: docker first, unless only its client is there and podman could do it."""


@dataclass(frozen=True)
class Container:
    """Runs scripts in a running container.

    Args:
        host: name in the inventory.
        container: name or id of the container.
        through: connection to the machine whose engine runs it.
        engine: `docker` or `podman`; None takes the first of them that is there.
        user: user inside the container; None is the image's own.
        python: see `Connection`.
        become: see `Connection`.
    """

    host: str
    container: str
    through: Connection
    engine: str | None = None
    user: str | None = None
    python: str = "python3"
    become: bool = False

    @property
    def asks_password(self) -> bool:
        """A sudo on the engine's machine may ask."""
        return self.through.asks_password

    def argv(self, script: str, patience: float = PATIENCE) -> list[str]:
        """Return what runs `script` in the container."""
        return self.through.argv(self._command(script), patience)

    def multiplexed(self, script: str) -> tuple[str, str] | None:
        """As for the machine that runs the engine."""
        return self.through.multiplexed(self._command(script))

    def _command(self, script: str) -> str:
        find = "" if self.engine else _FIND
        user = ["--user", self.user] if self.user else []
        rest = shlex.join(["exec", "-i", *user, "--", self.container, "sh", "-c", script])
        command = f"{find}exec {self.engine or '$E'} {rest}"
        if self.through.become:
            command = as_root(command, self.through.asks_password)
        return command

    def explain(self, code: int, stderr: str) -> Finding:
        """Say what the engine's message means; else what the way to the engine says."""
        for pattern, known in _MESSAGES:
            if re.search(pattern, stderr, re.IGNORECASE):
                engine = self.engine or "docker or podman"
                return known.replace(message=known.message.format(container=self.container, engine=engine))
        return self.through.explain(code, stderr)

    def kept(self) -> bool:
        """As for the machine that runs the engine."""
        return self.through.kept()

    def forget(self) -> None:
        """As for the machine that runs the engine."""
        self.through.forget()

    def telling(self, stderr: str) -> Connection | None:
        """As for the machine that runs the engine."""
        through = self.through.telling(stderr)
        return None if through is None else replace(self, through=through)


_MESSAGES: tuple[tuple[str, Finding], ...] = (
    (
        r"no such container|no container with name or id",
        fault(
            "container-missing",
            "there is no container {container}",
            "start it first, or correct `container:`",
        ),
    ),
    (
        r"container .*is not running|can only create exec sessions on running|container state improper",
        fault("container-stopped", "the container {container} is not running", "start it first"),
    ),
    (
        r"permission denied while trying to connect to the docker (?:daemon|api)",
        fault(
            "container-engine",
            "this user may not use {engine}",
            "set `become: true` on the host that runs it, or add the user to its group",
        ),
    ),
    (
        r"(?:cannot|failed to) connect to the docker|unable to connect to podman",
        fault("container-engine", "the service of {engine} does not answer", "start it"),
    ),
    (
        r"(?:docker|podman): (?:command )?not found",
        fault("engine-missing", "{engine} is not installed", "install it, or set `engine:`"),
    ),
    (
        r"executable file .?sh.? not found|\"?sh\"?: executable file not found|exec: \"sh\"",
        fault("container-engine", "the container {container} has no shell", "use an image that has one"),
    ),
)
