"""What decides whether services run on this host: its GPUs and who holds them, models, engines."""

from __future__ import annotations

import os
import re
from typing import Sequence

from provision.host.foreseeing import Items, runs
from provision.host.machine import Machine
from provision.host.services import figures, processes
from provision.host.services.gpus import cards, leftovers, memory
from provision.wire import survey
from provision.wire.events import Surveyed
from provision.wire.requests import Converging
from provision.wire.survey import Learned, Stake

INTERPRETERS = re.compile(r"(python|pypy|node|java|bash|sh)[\d.]*$")


def survey_of(
    machine: Machine, items: Items, stakes: Sequence[Stake], starting: Sequence[str], asked: Converging
) -> Surveyed:
    """Look it up for the services of `stakes`, of which those in `starting` are started or restarted."""
    uses_gpus = any(stake.cards for stake in stakes if stake.service in starting)
    found = cards.read(machine) if uses_gpus else cards.Cards()
    return Surveyed(
        driver=found.driver,
        cuda=found.cuda,
        gpus=found.gpus,
        trouble=found.trouble,
        links=list(found.links),
        holders=_holders(found.holders, asked.end_left_over),
        models=[],
        engines=[],
        learned=_learned(machine),
        serving=[stake.service for stake in stakes if runs(items, stake.service)],
        starting=list(starting),
    )


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
