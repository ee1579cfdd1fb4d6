"""A container."""

from __future__ import annotations

from provision.wire.record import Record, many, one
from provision.wire.spec import Supervised


class Port(Record):
    """A published port: `port` of the host at `address` (None: every one) leads to `target`."""

    address: str | None
    port: int
    target: int
    protocol: str


class Volume(Record):
    """What is mounted: a path of the host or a named volume, and where; `label` is SELinux's z or Z."""

    source: str
    target: str
    read_only: bool
    label: str | None


class EngineOptions(Record):
    """What else the engine is told, by the names of its flags; None: nothing.

    A list is a flag for each. Durations of `health_…` are texts such as `30s`; `mem_limit` is in bytes.
    """

    devices: list[str] | None = None
    privileged: bool | None = None
    cap_add: list[str] | None = None
    cap_drop: list[str] | None = None
    group_add: list[str] | None = None
    security_opt: list[str] | None = None
    ulimits: list[str] | None = None
    labels: list[str] | None = None
    working_dir: str | None = None
    hostname: str | None = None
    extra_hosts: list[str] | None = None
    dns: list[str] | None = None
    mem_limit: int | None = None
    cpus: float | None = None
    cpuset: str | None = None
    pids_limit: int | None = None
    runtime: str | None = None
    tmpfs: list[str] | None = None
    read_only: bool | None = None
    pid: str | None = None
    sysctls: list[str] | None = None
    stop_signal: str | None = None
    health_cmd: str | None = None
    health_interval: str | None = None
    health_timeout: str | None = None
    health_retries: int | None = None
    health_start_period: str | None = None
    no_healthcheck: bool | None = None


class LockedImage(Record):
    """The image that a container has come to, for one kind of host.

    - `lock`: the file that says so, for people; empty: as it was found
    - `machine`: what it is for, such as x86_64
    - `id`: that the engine gives it, which is the digest of its configuration
    - `digests`: of its manifest, as registries know it; none of an image that came from a file
    """

    lock: str = ""
    machine: str
    id: str
    digests: list[str]


class ContainerSpec(Supervised):
    """A container that runs. What is None is left to the engine or the image.

    - `image`, or `archive`: where it comes from; `image_id`: which image the name meant when the service
      answered, of one that is put back
    - `command`, `entrypoint`: what runs
    - `env`: variables, of which those in `secrets` are never shown; `env_files`: files with more
    - `gpus`: those that it is given, by index or UUID, `all` for every one
    - `cards`: the GPUs on which it starts in its turn, under systemd
    - `restart`: the engine's policy
    - `shm_size`: bytes
    - `stop_timeout`: seconds
    - `locked`: which image a lock has, for each kind of host; empty: nothing is locked
    """

    container: str
    image: str
    archive: str | None = None
    image_id: str | None = None
    command: list[str] | None = None
    entrypoint: list[str] | None = None
    env: dict[str, str] = {}
    secrets: list[str] = []
    env_files: list[str] = []
    ports: list[Port] = many(Port, default=[])
    volumes: list[Volume] = many(Volume, default=[])
    gpus: list[str] | None = None
    cards: list[str] | None = None
    restart: str = "no"
    network: str | None = None
    user: str | None = None
    options: EngineOptions = one(EngineOptions)
    ipc: str | None = None
    shm_size: int | None = None
    init: bool = False
    stop_timeout: float = 60.0
    locked: list[LockedImage] = many(LockedImage, default=[])
