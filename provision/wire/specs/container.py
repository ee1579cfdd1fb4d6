"""A container."""

from __future__ import annotations

from typing import Any

from provision.wire.record import Record, many
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


class ContainerSpec(Supervised):
    """A container that runs; its name is in `container`. What is None is left to the engine.

    - `image`, or `archive`: where it comes from
    - `command`, `entrypoint`: what runs
    - `env`: variables, of which those in `secrets` are never shown; `env_files`: files with more
    - `cards`: the GPUs on which it starts in its turn, under systemd
    - `restart`: the engine's policy
    - `options`: what else the engine is told, by the name of the service's field
    - `stop_timeout`: seconds
    """

    image: str
    archive: str | None
    command: list[str] | None
    entrypoint: list[str] | None
    env: dict[str, str]
    secrets: list[str]
    env_files: list[str]
    ports: list[Port] = many(Port)
    volumes: list[Volume] = many(Volume)
    gpus: Any
    cards: list[str] | None
    restart: str
    network: str | None
    user: str | None
    options: dict[str, Any]
    ipc: str | None
    shm_size: int | str | None
    init: bool
    stop_timeout: float
