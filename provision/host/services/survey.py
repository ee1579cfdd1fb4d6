"""What decides whether services run on this host: its GPUs and who holds them, models, engines."""

from __future__ import annotations

from typing import Sequence

from provision.host.foreseeing import Items, runs
from provision.host.machine import Machine
from provision.host.services import figures
from provision.wire.events import Surveyed
from provision.wire.survey import Learned, Stake


def survey(machine: Machine, items: Items, stakes: Sequence[Stake], starting: Sequence[str]) -> Surveyed:
    """Look it up for the services of `stakes`, of which those in `starting` are started or restarted."""
    serving = [stake.service for stake in stakes if runs(items, stake.service)]
    learned = [
        Learned(service=stake.service, figures=found)
        for stake in stakes
        for found in [figures.kept(machine.state, stake.service)]
        if found is not None
    ]
    return Surveyed(
        driver=None,
        cuda=None,
        gpus=None,
        holders=[],
        models=[],
        engines=[],
        learned=learned,
        serving=serving,
        starting=list(starting),
    )
