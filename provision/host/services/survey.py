"""What decides whether services run on this host: its GPUs and who holds them, models, engines."""

from __future__ import annotations

import os
import re
from functools import partial
from typing import Any, Callable, Iterator, Sequence

from provision.host.foreseeing import Items, runs
from provision.host.machine import Machine
from provision.host.models import described
from provision.host.python import dist_info
from provision.host.services import figures, processes
from provision.host.services.gpus import cards, leftovers, memory
from provision.host.threads import within
from provision.wire import survey
from provision.wire.finding import warning
from provision.wire.questions import Surveyed
from provision.wire.requests import Converging, Stake
from provision.wire.specs.environment import EnvironmentSpec
from provision.wire.specs.model import ModelSpec
from provision.wire.survey import Described, Engine, Learned

LIMIT = 90.0
"""Seconds for all of it; each look has a limit of its own."""

NOT_LOOKED_AT = warning("not-checked", "the GPUs could not be looked at", "look at `nvidia-smi` on the host")

INTERPRETERS = re.compile(r"(python|pypy|node|java|bash|sh)[\d.]*$")


def survey_of(
    machine: Machine, items: Items, stakes: Sequence[Stake], starting: Sequence[str], asked: Converging
) -> Surveyed:
    """Look it up for the services of `stakes`, of which those in `starting` are started or restarted."""
    # Hubs and the driver are asked at the same time.
    looks: list[Callable[[], Any]] = [
        partial(_models, items, stakes),
        partial(_cards, machine, stakes, starting),
    ]
    told, gpus = within(LIMIT, looks)
    found: cards.Cards = gpus or cards.Cards(trouble=NOT_LOOKED_AT)
    return Surveyed(
        driver=found.driver,
        cuda=found.cuda,
        gpus=found.gpus,
        trouble=found.trouble,
        links=list(found.links),
        holders=_holders(found.holders, asked.end_left_over),
        models=told or [],
        engines=list(_engines(machine, items, stakes)),
        learned=_learned(machine),
        serving=[stake.service for stake in stakes if runs(items, stake.service)],
        starting=list(starting),
    )


def _cards(machine: Machine, stakes: Sequence[Stake], starting: Sequence[str]) -> cards.Cards:
    """Ask the driver, if a service that starts uses GPUs."""
    used = any(stake.cards for stake in stakes if stake.service in starting)
    return cards.read(machine) if used else cards.Cards()


def _models(items: Items, stakes: Sequence[Stake]) -> list[Described]:
    specs = {
        item.resource.spec.path: item for item in items.values() if isinstance(item.resource.spec, ModelSpec)
    }
    paths = dict.fromkeys(path for stake in stakes for path in stake.models)
    places = []
    for path in paths:
        item = specs.get(path)
        complete = item is None or not (item.changes or item.error)
        places.append(described.Place(path, item.resource.spec if item else None, complete))
    return described.describe(places)


def _engines(machine: Machine, items: Items, stakes: Sequence[Stake]) -> Iterator[Engine]:
    """Give the version of each engine: the one that this run installs, else the one that is there."""
    coming: dict[str, dict[str, str | None]] = {}
    for item in items.values():
        if isinstance(item.resource.spec, EnvironmentSpec) and "packages" in item.changes:
            coming[item.resource.spec.path] = item.changes["packages"][1] or {}
    for stake in stakes:
        if stake.environment is None or not stake.packages:
            continue
        wanted = coming.get(stake.environment, {})
        there = dist_info.installed(machine, stake.environment)
        named = [name for name in stake.packages if wanted.get(name)] or [
            n for n in stake.packages if n in there
        ]
        for package in named[:1]:
            pin = re.match(r"(?:\[.*\])?==([^,*]+)$", wanted.get(package) or "")
            version = pin.group(1) if pin else None if package in wanted else there[package]
            yield Engine(service=stake.service, package=package, version=version)


def _holders(found: Sequence[memory.Holder], end: bool) -> list[survey.Holder]:
    left_over = leftovers.among(found)
    return [
        survey.Holder(
            pid=holder.pid,
            command=_command(holder),
            gpu=holder.gpu,
            bytes=holder.bytes,
            service=memory.service_of(holder.pid),
            left_over=holder in left_over,
            ends=end and holder in left_over,
        )
        for holder in found
    ]


def _command(holder: memory.Holder) -> str:
    """Return what a process is called: its program, with the script or module that an interpreter runs.

    Other arguments are left out, as they may hold a key.
    """
    words = processes.arguments(holder.pid)
    if not words[0]:
        return holder.name
    program, *rest = words
    if not INTERPRETERS.match(os.path.basename(program)):
        return program.split(" ")[0]
    after = iter(rest)
    for word in after:
        if word == "-m":
            return f"{program} -m {next(after, '')}"
        if word and not word.startswith("-"):
            return f"{program} {word}"
        if word.startswith("-c"):
            break
    return program


def _learned(machine: Machine) -> list[Learned]:
    """Return the figures of all services of this host, also of those that this run is not about."""
    return [Learned(service=name, figures=found) for name, found in figures.every(machine.state).items()]
