"""Service kind `container`: a container on docker or podman, whichever the host has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, GetPydanticSchema, model_validator
from pydantic import WithJsonSchema as JsonSchema
from pydantic_core import core_schema

from provision.config import shellline
from provision.config.model import (
    PATTERN_NAME,
    ByteSize,
    Called,
    Count,
    HostPath,
    Name,
    OneOrMany,
    Text,
    reject,
    shaped,
    unique,
)
from provision.config.problems import quoted
from provision.config.services import engine_options as options
from provision.config.services.base import Listener, Spoken
from provision.config.services.gpus import GivenGpus
from provision.wire.specs.container import Port, Volume

_PORT = re.compile(r"(?:(\[[0-9a-fA-F:.]+\]|[0-9.]+):)?([0-9]{1,5}):([0-9]{1,5})(?:/(tcp|udp))?")

_VOLUME_OPTIONS = {"ro", "rw", "z", "Z"}


def _port(text: str) -> Port:
    match = _PORT.fullmatch(text)
    if match is None:
        raise reject(
            "wrong-form",
            f"expected a published port, found text {quoted(text)}",
            'write "8000:8000" or "127.0.0.1:8000:8000/tcp"',
        )
    address, port, target, protocol = match.groups()
    for number in (port, target):
        if not 1 <= int(number) <= 65535:
            raise reject("out-of-range", f"expected ports from 1 to 65535, found {number}")
    address = address.strip("[]") if address else None
    return Port(address=address, port=int(port), target=int(target), protocol=protocol or "tcp")


def _volume(text: str) -> Volume:
    parts = text.split(":")
    if len(parts) not in (2, 3) or not parts[0] or not parts[1].startswith("/"):
        raise reject(
            "wrong-form",
            f"expected a volume, found text {quoted(text)}",
            "write /on/the/host:/in/the/container, with :ro if read-only",
        )
    source, target, *rest = parts
    options = rest[0].split(",") if rest else []
    if not set(options) <= _VOLUME_OPTIONS:
        raise reject(
            "wrong-form",
            f"{quoted(rest[0])} is not a known option of a volume",
            "write ro, rw, z or Z (for SELinux)",
        )
    if not source.startswith("/") and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", source):
        raise reject("wrong-form", f"{quoted(source)} is neither an absolute path nor the name of a volume")
    label = next((option for option in options if option in ("z", "Z")), None)
    return Volume(source=source, target=target, read_only="ro" in options, label=label)


def _parsed(parse: Callable[[str], object]) -> GetPydanticSchema:
    """Let a text stand for what `parse` makes of it."""
    return GetPydanticSchema(
        lambda _, handler: core_schema.no_info_after_validator_function(parse, handler(Text))
    )


Arguments = Annotated[
    list[str],
    BeforeValidator(lambda value: shellline.words(value, "container")),
    JsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
    Called("text, or a list of arguments"),
]
"""An argument vector: a list, or a text that is split into words without any shell."""


class ContainerService(Spoken):
    """A container."""

    kind: Literal["container"]
    """What runs."""
    image: Annotated[str, AfterValidator(lambda value: _image(value))]
    """The image, such as docker.io/library/nginx:1.29. Fetched when the host lacks it, and only then."""
    archive: HostPath | None = None
    """An image archive on the host to load the image from, instead of pulling it."""
    name: Name | None = None
    """The name of the container. Default: the name of the service."""
    command: Arguments | None = None
    """What to run in it; not set: what the image says. A text is split into words, no shell is involved."""
    ports: list[Annotated[Port, _parsed(_port), Called("text")]] = []
    """Ports to publish: "8000:8000", "127.0.0.1:8000:80/tcp" (host first). Checks go to the first.

    With `network: host` nothing is published: there they only say where the container listens, "8000:8000".
    """
    volumes: list[Annotated[Volume, _parsed(_volume), Called("text")]] = []
    """What to mount: "/data/model:/models:ro" (host first)."""
    gpus: GivenGpus | None = None
    """GPUs to give to it: all, or a list of indices and UUIDs."""
    restart: Literal["no", "always", "on-failure", "unless-stopped"] = "always"
    """When to start it again after it ended. systemd does it where it supervises, else the engine itself."""
    network: (
        Annotated[str, shaped(PATTERN_NAME, "the name of a network", "write host, bridge or none")] | None
    ) = None
    """The network to join, such as host or bridge; not set: the engine's default."""
    ipc: Literal["host", "private", "shareable"] | None = None
    """Whose shared memory it uses; tensor parallelism needs host, or a large `shm_size`."""
    shm_size: ByteSize | None = None
    """The size of its own /dev/shm; not set: the engine's default, 64 MB."""
    init: bool = False
    """Let an init of the engine be its first process, which removes processes that have ended. For a
    container that takes the place of a host.
    """
    engine: Literal["docker", "podman"] | None = None
    """The engine to use. Default: the one that the host has."""
    user: options.User | None = None
    """The user in the container: 1000, "1000:1000", or a name of the image. Default: what the image says."""
    entrypoint: Arguments | None = None
    """The program instead of the image's own; `command` is what it is given. An empty list: none."""
    devices: Annotated[list[options.Device], AfterValidator(unique)] = []
    """Devices of the host: /dev/davinci0, "/dev/dri:/dev/dri:rw", or CDI names such as amd.com/gpu=0."""
    privileged: bool = False
    """Give it all rights and all devices of the host."""
    cap_add: Annotated[list[options.Capability], AfterValidator(unique)] = []
    """Capabilities in addition to the engine's own, such as SYS_PTRACE."""
    cap_drop: Annotated[list[options.Capability], AfterValidator(unique)] = []
    """Capabilities to remove, or ALL."""
    group_add: Annotated[list[options.Group], AfterValidator(unique)] = []
    """More groups of its user, by number or by name in the image, such as video and render."""
    security_opt: list[options.SecurityOption] = []
    """Security options, such as seccomp=unconfined or label=disable."""
    ulimits: options.Ulimits = []
    """Resource limits: `{memlock: -1, nofile: {soft: 1024, hard: 65535}}`."""
    env_file: Annotated[list[HostPath], OneOrMany()] = []
    """Files on the host with `NAME=value` lines, secrets among them; `env` wins. A change recreates it."""
    labels: options.Labels = []
    """Labels."""
    healthcheck: options.Healthcheck | None = None
    """How the engine checks it: `test`, `interval`, `timeout`, `retries`, `start_period`, `disable`."""
    working_dir: HostPath | None = None
    """The directory in the container in which it starts."""
    hostname: Annotated[str, shaped(r"[A-Za-z0-9.-]+", "a host name", "write it such as node-1")] | None = (
        None
    )
    """The host name in the container."""
    extra_hosts: options.ExtraHosts = []
    """More names for /etc/hosts: `{hub.internal: 10.0.0.5}`."""
    dns: options.Addresses = []
    """Addresses of name servers."""
    mem_limit: ByteSize | None = None
    """The most memory that it may use, such as 64g."""
    cpus: options.Cpus | None = None
    """The most processors that it may use, such as 8 or 1.5."""
    cpuset: options.Processor | None = None
    """The processors that it may use: 0-15."""
    pids_limit: Count | None = None
    """The most processes that it may have."""
    runtime: Name | None = None
    """The OCI runtime, such as nvidia or ascend, which the engine has to know."""
    tmpfs: options.TmpfsMounts = []
    """Where to mount a file system in memory: /run, or /run:size=64m."""
    read_only: bool = False
    """Whether its own file system is read-only; `volumes` and `tmpfs` are not."""
    pid: Annotated[str, shaped(r"host|private|container:\S+", "a PID namespace", "write host")] | None = None
    """The PID namespace, such as host."""
    sysctls: options.Sysctls = []
    """Kernel parameters: `{net.core.somaxconn: 1024}`."""
    stop_signal: options.Signal | None = None
    """The signal that asks it to stop; not set: what the image says, else SIGTERM."""

    elsewhere: ClassVar[str | None] = "container"

    @model_validator(mode="after")
    def _no_unit_of_its_own(self) -> Self:
        if self.writable:
            hint = f"mount it: `volumes: [{self.writable[0]}:{self.writable[0]}]`, and leave `writable` out"
            raise reject("conflicting-keys", "a container writes to what is mounted", hint, at="writable")
        if self.sandbox is not None:
            message = "a container is confined by its engine, not by a unit"
            raise reject(
                "conflicting-keys",
                message,
                "leave it out; the engine has keys of its own for that",
                at="sandbox",
            )
        return self

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.network == "host":
            for port in self.ports:
                if port.port != port.target or port.address is not None:
                    raise reject(
                        "conflicting-keys",
                        f"with `network: host` nothing maps port {port.port} to {port.target}",
                        f'write "{port.target}:{port.target}", or leave `network` out',
                        at="ports",
                    )
        if self.network == "none" and self.ports:
            raise reject(
                "conflicting-keys",
                "with `network: none` nothing can be published",
                "leave out one of the two",
                at="ports",
            )
        if self.ipc == "host" and self.shm_size is not None:
            raise reject(
                "conflicting-keys",
                "with `ipc: host` it has no /dev/shm of its own",
                "leave out one of the two",
                at="shm_size",
            )
        if self.pid == "private":
            raise reject(
                "conflicting-keys",
                "every container has its own processes anyway",
                "leave `pid` out",
                at="pid",
            )
        targets = [volume.target for volume in self.volumes]
        targets += [place.partition(":")[0] for place in self.tmpfs]
        for target in targets:
            if targets.count(target) > 1:
                raise reject(
                    "conflicting-keys",
                    f"two volumes are mounted at {quoted(target)}",
                    "leave out one of the two",
                    at="volumes",
                )
        if self.checks and not any(port.protocol == "tcp" for port in self.ports):
            raise reject(
                "impossible-check", "a check needs a published tcp port", "add it to `ports`", at="checks"
            )
        return self

    def listeners(self) -> Iterator[Listener]:
        """The published ports."""
        for index, port in enumerate(self.ports):
            yield Listener(("ports", index), port.address, port.port, port.protocol)


def _image(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*", value):
        raise reject(
            "wrong-form",
            f"{quoted(value)} is not the name of an image",
            "write one such as docker.io/library/nginx:1.29",
        )
    return value
