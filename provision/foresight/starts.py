"""Services start one after another, and each finds what those before it have left."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from provision.foresight import machine
from provision.foresight.equal import demand_of
from provision.foresight.holding import UNKNOWN, Holding
from provision.foresight.naming import card, listed
from provision.foresight.subject import Subject, subjects
from provision.kinds.common.demand import NOBODY, About, Asked, Demand, Range, Taken
from provision.wire.finding import ERROR, INFO, Finding, information

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog
    from provision.wire.questions import Surveyed
    from provision.wire.survey import Gpu

_OF_MEMORY = ("gpu-taken", "gpu-memory", "may-not-fit")
"""Codes of findings that are about the memory of GPUs, which they name."""


class Starts:
    """The starts of the services of a host, in the order of its playbooks.

    Args:
        catalog: what the host is to have.
        surveyed: what it has told.
        changed: the services of which logged figures hold no longer.
    """

    def __init__(self, catalog: Catalog, surveyed: Surveyed, changed: Collection[str]) -> None:
        self.surveyed = surveyed
        self.changed = changed
        self.all = subjects(catalog.services, surveyed)
        self.starting = [each for each in self.all if each.name in surveyed.starting]
        self.holding = Holding(surveyed, {each.name for each in self.all})
        self.demands: dict[str, Demand] = {}
        """What was foreseen of the services that have started."""
        self.doomed: set[str] = set()
        """The services that cannot run."""

    def run(self) -> Iterator[Finding]:
        """Let them start, and give what is found on the way."""
        self._already()
        for subject in self.starting:
            found = list(machine.against(subject))
            if subject.used:
                found += self._start(subject, any(each.severity == ERROR for each in found))
            if any(each.severity == ERROR for each in found):
                self.doomed.add(subject.name)
            yield from found

    def _already(self) -> None:
        """Note what services hold that run now."""
        for subject in self.all:
            now = {
                gpu.uuid: (gpu, held)
                for gpu in self.surveyed.gpus or ()
                if (held := self.holding.now(gpu, subject.name)) is not None
            }
            for gpu, held in now.values():
                self.holding.hold(gpu, subject.name, Range.exactly(held))
            if now or subject.name not in self.surveyed.serving:
                continue
            for gpu in subject.used:
                self.holding.blur(gpu)
                demand = self._demand(subject, gpu, None)
                if demand is not None:
                    self.holding.hold(gpu, subject.name, demand.holds)

    def _start(self, subject: Subject, doomed: bool) -> Iterator[Finding]:
        """Let one service start on its GPUs; one that runs gives its memory back first."""
        before = {gpu.uuid: self.holding.now(gpu, subject.name) for gpu in subject.used}
        self.holding.release(subject.name)
        fullest = min(subject.used, key=lambda gpu: self.holding.room(gpu, subject.name))
        demand = self._demand(subject, fullest, self.holding.taken(fullest, subject.name))
        if demand is None:
            yield from self._unknown(subject, before)
            return
        self.demands[subject.name] = demand
        for about in demand.findings:
            yield self._advised(subject, about, fullest)
        if not doomed and demand.verdict != "does_not_fit":
            for gpu in subject.used:
                self.holding.hold(gpu, subject.name, _again(demand, before[gpu.uuid]))

    def _demand(self, subject: Subject, gpu: Gpu, taken: Taken | None, advise: bool = True) -> Demand | None:
        """Return what a service takes of a GPU; None where nothing is known.

        Args:
            subject: the service.
            gpu: of those that it uses, the one with the least room.
            taken: what others hold of it; None for a service that runs there already.
            advise: look for changes that help where it does not fit.
        """
        found, kind = card(gpu), subject.kind
        if subject.service is None or kind.demand is None or found is None:
            return None
        asked = Asked(
            subject.service,
            found,
            len(subject.visible.gpus) * subject.nodes,
            subject.release,
            subject.models,
            taken or NOBODY,
            subject.figures if taken is None or subject.name not in self.changed else None,
            advise,
        )
        return demand_of(kind, asked)

    def _unknown(self, subject: Subject, before: dict[str, int | None]) -> Iterator[Finding]:
        """Take it that a service of which nothing is known takes what it held before, if it ran."""
        for gpu in subject.used:
            held = before[gpu.uuid]
            if held is not None:
                self.holding.hold(gpu, subject.name, Range.exactly(held))
                continue
            shared = [each.name for each in self.all if each is not subject and gpu in each.used]
            if shared and not subject.stake.implied:
                others = f"{listed(shared)} {'uses' if len(shared) == 1 else 'use'} the GPU, too"
                message = f"what it takes is not known before it runs, and {others}"
                yield subject.about(information("demand-not-known", message), ("gpus",), [gpu])

    def _advised(self, subject: Subject, about: About, gpu: Gpu) -> Finding:
        """Return a finding with the ways out that the host offers in front of that of the kind."""
        finding, fields = about
        if finding.code == "gpu-taken":
            ways = [*self._ways_out(subject, gpu), *([finding.hint] if finding.hint else [])]
            finding = finding.replace(hint=", or ".join(ways) or "use another GPU")
        return subject.about(finding, fields, subject.used if finding.code in _OF_MEMORY else ())

    def _ways_out(self, subject: Subject, gpu: Gpu) -> Iterator[str]:
        """Give what frees enough of a GPU, or has enough: each was tried."""
        strangers = [taker.name for each in subject.used for taker in self.holding.strangers(each)]
        services = self.holding.taken(gpu, subject.name, strangers=False)
        if strangers and UNKNOWN not in strangers and self._fits(subject, gpu, services):
            left_over = all(map(self.holding.only_left_over, subject.used))
            yield "give --end-left-over" if left_over else f"end {listed(strangers)}"
        if len(subject.used) == 1:
            for other in self.surveyed.gpus or ():
                taken = self.holding.taken(other, subject.name)
                if other is not gpu and other.name == gpu.name and self._fits(subject, other, taken):
                    yield f"use GPU {other.index}"
                    return

    def _fits(self, subject: Subject, gpu: Gpu, taken: Taken) -> bool:
        """Whether nothing speaks against a service on a GPU of which others hold so much."""
        demand = self._demand(subject, gpu, taken, advise=False)
        return demand is not None and all(each.finding.severity == INFO for each in demand.findings)


def _again(demand: Demand, before: int | None) -> Range:
    """Return what a service will hold: what it holds now, where it starts again as it is."""
    holds = demand.holds
    if before is None or not demand.learned:
        return holds
    return Range(min(holds.least, before), before, max(holds.most, before))
