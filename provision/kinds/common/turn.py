"""The turn on a GPU: services that share one start one after another."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from posixpath import join
from typing import Any

from provision.kinds.common.context import ServiceContext
from provision.wire.requests import Stake
from provision.wire.specs.file import FileSpec

VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "ASCEND_RT_VISIBLE_DEVICES",
)
"""The variables that limit which GPUs a process sees."""

FILE = "gpu_turn.py"
"""The name of the program that waits."""

QUIET = (
    r"(?m)^# Services on one GPU start one after another\.\n|^\S+ -I .*gpu_turn\.py.*\n"
    r"|\"\$\$@\"; | \"[^\"]*\" \"-I\" \"[^\"]*gpu_turn\.py\".*"
)
"""What the turn adds to a script or unit. It does not affect a running server, so a change restarts none."""

STILL = 20.0
"""Seconds without a change of its GPU memory after which a program without a port counts as started."""

SETTLED = 5.0
"""The same for a program whose port answers: many open it before they load their model."""


@dataclass(frozen=True)
class Turn:
    """On which GPUs a service takes its turn, and how long it keeps it.

    Args:
        cards: indices or UUIDs; `all` for every one.
        implied: they follow from defaults, and count only on a host with GPUs.
        still: seconds for which the memory in use must not have changed before others may start; 0 for a
            server that opens its port, or calls itself healthy, only when it has its memory.
        port: the port that it opens once it has started; None for a service without one.
        bind: the address that it listens on; None for all.
    """

    cards: tuple[str, ...]
    implied: bool = False
    still: float = 0.0
    port: int | None = None
    bind: str | None = None

    def words(self, context: ServiceContext[Any]) -> list[str]:
        """Return the command that waits for the turn, and leaves a process behind that keeps it."""
        words = [context.builder.host.python, "-I", program(context), context.name]
        words += ["--cards", ",".join(self.cards)]
        words += ["--implied"] if self.implied else []
        if self.port is not None:
            words += ["--port", str(self.port)]
            if self.bind not in (None, "", "0.0.0.0", "::", "*"):
                words += ["--address", str(self.bind)]
        words += ["--still", f"{self.still:g}"] if self.still else []
        return [*words, "--limit", f"{context.service.start_timeout:g}"]


def of(
    cards: Sequence[object] | None,
    env: Mapping[str, object],
    port: int | None,
    bind: str | None,
    still: float = 0.0,
) -> Turn | None:
    """Return the turn of a service on the GPUs that its field names, or else its `env`; None without any."""
    if cards is None:
        cards = visible(env)
    return Turn(tuple(map(str, cards)), still=still, port=port, bind=bind) if cards else None


def stake(
    service: str,
    taken: Turn | None,
    *,
    port: int | None,
    models: Sequence[str] = (),
    environment: str | None = None,
    packages: Sequence[str] = (),
) -> Stake | None:
    """Return what decides on the host whether a service runs; None when nothing there can be foreseen.

    Args:
        service: its name.
        taken: its turn on its GPUs.
        port: that it opens.
        models: the directories of its models, the one that it serves first.
        environment: the directory of its environment.
        packages: whose version decides, the first that is installed counts.
    """
    if not (taken or port or models or packages):
        return None
    return Stake(
        service=service,
        cards=list(taken.cards) if taken else [],
        implied=taken is not None and taken.implied,
        models=list(dict.fromkeys(models)),
        environment=environment,
        packages=list(packages),
        port=port,
    )


def visible(env: Mapping[str, object]) -> list[str] | None:
    """Return the GPUs that a service sees by its `env`; None where that does not say it."""
    for name in VARIABLES:
        value = env.get(name)
        if isinstance(value, str):
            words = [word.strip() for word in value.split(",")]
            return [word for word in words if re.fullmatch(r"[0-9]+|(GPU|MIG)-[0-9A-Za-z/-]+", word)]
    return None


def shown(cards: Sequence[object] | None) -> dict[str, str]:
    """Return the variable that limits a process to these GPUs; none for None, which leaves it all of them."""
    return {} if cards is None else {"CUDA_VISIBLE_DEVICES": ",".join(map(str, cards))}


def program(context: ServiceContext[Any]) -> str:
    """Return where the program that waits is on the host."""
    return join(context.layout.prefix, FILE)


def add(context: ServiceContext[Any]) -> str:
    """Add the program that waits, which all services of a host share; returns its id."""
    builder, path = context.builder, program(context)
    builder.imply_directory(context.play, context.where, context.layout.prefix)
    spec = FileSpec(path=path, content=_source())
    return builder.add(context.play, context.where, f"file:{path}", spec, path).id


@cache
def _source() -> str:
    return (files("provision.host.services.gpus") / FILE).read_text(encoding="utf-8")
