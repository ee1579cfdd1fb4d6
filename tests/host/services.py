"""A service of our own making for the tests of what runs and proves services."""

from __future__ import annotations

import shlex
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provision.host.machine import Machine
from provision.host.resource import Changes, Resource, differences
from provision.host.resources.probe import Probe
from provision.host.resources.process import Process
from provision.wire.checks import Check, Fitting
from provision.wire.requests import Service as Facts
from provision.wire.specs.probe import ProbeSpec
from provision.wire.specs.process import ProcessSpec
from tests.host import heard

SERVER = Path(__file__).with_name("model_server.py")


_reserved: list[socket.socket] = []


def free_port() -> int:
    """Return a port that nobody else is given as long as this process lives.

    It stays bound and is not listened to, beside which a server may listen, as all of them set SO_REUSEADDR.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    _reserved.append(reserved)
    return int(reserved.getsockname()[1])


@dataclass
class Service:
    """A script-supervised service below one directory."""

    root: Path
    name: str = "tiny"
    port: int = field(default_factory=free_port)
    events: list[dict[str, Any]] = field(default_factory=list)
    stop_timeout: float = 20
    user: str | None = None

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.machine = Machine(heard.into(self.events), str(self.root / "state"))
        self.script("")

    def script(self, options: str, python: str = sys.executable) -> None:
        """Write the start script: the server with these options."""
        command = f"exec {shlex.quote(python)} {shlex.quote(str(SERVER))} {self.port} {options}"
        self.write(command)

    def write(self, command: str) -> None:
        path = self.root / "start.sh"
        path.write_text(f"#!/bin/sh\n{command}\n")
        path.chmod(0o755)

    @property
    def spec(self) -> ProcessSpec:
        return ProcessSpec(
            service=self.name,
            script=str(self.root / "start.sh"),
            directory=str(self.root),
            log=str(self.root / "logs" / "tiny.log"),
            pid_file=str(self.root / "run" / "tiny.pid"),
            user=self.user,
            stop_timeout=self.stop_timeout,
            port=self.port,
            bind="127.0.0.1",
        )

    @property
    def facts(self) -> Facts:
        """Return what `status` and `logs` are told of it."""
        spec = self.spec
        return Facts(
            service=self.name,
            log=spec.log,
            pid_file=spec.pid_file,
            kind="program",
            supervisor="script",
            port=self.port,
            url=None,
            model=None,
        )

    @property
    def log(self) -> str:
        return Path(self.spec.log).read_text()

    @property
    def pid(self) -> int:
        return int(Path(self.spec.pid_file).read_text().split()[0])

    def process(self) -> Process:
        return Process("process:tiny", self.spec)

    def probe(self, *checks: Check, **more: Any) -> Probe:
        spec = ProbeSpec(
            service=self.name,
            log=self.spec.log,
            pid_file=self.spec.pid_file,
            health=True,
            url=f"http://127.0.0.1:{self.port}",
            model="tiny",
            key_field="api_key",
            checks=list(checks) or [Fitting()],
            timeout=120,
        )
        return Probe("probe:tiny", spec.replace(**more))

    @property
    def https(self) -> str:
        """Return its URL when it speaks TLS."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def key(self) -> dict[str, str]:
        """Return where the probe finds the key that `write_key` has written."""
        return {"key_file": str(self.root / "env"), "key_name": "VLLM_API_KEY"}

    def write_key(self, key: str) -> None:
        """Write the env file."""
        (self.root / "env").write_text(f'VLLM_API_KEY="{key}"\n')

    def said(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.events if each["event"] == event]

    def look(self, resource: Resource) -> Changes:
        return differences(resource.expected(self.machine), resource.actual(self.machine))

    def serve(self) -> None:
        """Start it, and wait until it serves."""
        self.converge(self.process())
        deadline = time.monotonic() + 120
        while "startup complete" not in self.log:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def converge(self, resource: Resource) -> Changes:
        """Fix what differs and look again, as a run does; return what differed."""
        changes = self.look(resource)
        if changes:
            resource.fix(self.machine, changes)
            assert self.look(resource) == {}
        return changes
