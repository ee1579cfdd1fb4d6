"""What is foreseen of a host, from what it has told and what its playbooks declare."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from provision.config.problems import unrepeated
from provision.foresight import machine
from provision.foresight.changed import changed
from provision.foresight.holding import UNKNOWN, Holding
from provision.foresight.naming import card, listed, stated, summed, whole
from provision.foresight.subject import Subject, subjects
from provision.kinds.common.cards import gib
from provision.kinds.common.demand import NOBODY, About, Asked, Demand, Range, Taken
from provision.wire.events import Outlook
from provision.wire.finding import ERROR, INFO, WARNING, Finding, information, warning
from provision.wire.survey import Forecast, Load, Taker

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog
    from provision.wire.events import Surveyed
    from provision.wire.survey import Gpu

_ORDER = {ERROR: 0, WARNING: 1, INFO: 2}


def foresee(catalog: Catalog, surveyed: Surveyed, differing: Collection[str] = ()) -> Outlook:
    """Return what is foreseen of a host.

    Args:
        catalog: what the host is to have; its services start one after another, in this order.
        surveyed: what the host has told.
        differing: ids of the resources that are not as declared.
    """
    return _Judge(catalog, surveyed, changed(catalog, differing)).outlook()


class _Judge:
    def __init__(self, catalog: Catalog, surveyed: Surveyed, changed: Collection[str]) -> None:
        self.host = catalog.host
        self.surveyed = surveyed
        self.changed = changed
        self.infos = {info.name: info for info in catalog.services}
        self.all = subjects(catalog.services, surveyed)
        self.holding = Holding(surveyed, {each.name for each in self.all})
        self.demands: dict[str, Demand] = {}
        self.findings: list[Finding] = []

    def outlook(self) -> Outlook:
        """Let the services start one after another, and see."""
        self._already()
        for subject in self.all:
            if subject.name in self.surveyed.starting:
                self.findings += machine.against(subject)
                if subject.used:
                    self._start(subject)
        if self.surveyed.trouble and any(
            each.name in self.surveyed.starting and each.stake.cards for each in self.all
        ):
            self.findings.append(self.surveyed.trouble)
        self.findings += self._unsteady()
        self.findings += self._left_over()
        self.findings += self._unlike_stated()
        found = unrepeated(self.findings)
        return Outlook(
            host=self.surveyed.host,
            loads=list(self._loads()),
            forecasts=list(self._forecasts()),
            findings=sorted(found, key=lambda each: _ORDER[each.severity]),
        )

    def _already(self) -> None:
        """Note what services hold that run now."""
        for subject in self.all:
            for gpu in subject.used:
                held = self.holding.now(gpu, subject.name)
                if held is not None:
                    self.holding.hold(gpu, subject.name, Range.exactly(held))
                elif subject.name in self.surveyed.serving:
                    self.holding.blur(gpu)
                    demand = self._demand(subject, gpu, None)
                    if demand is not None:
                        self.holding.hold(gpu, subject.name, demand.holds)

    def _start(self, subject: Subject) -> None:
        """Let one service start on its GPUs; one that runs gives its memory back first."""
        before = {gpu.uuid: self.holding.now(gpu, subject.name) for gpu in subject.used}
        self.holding.release(subject.name)
        fullest = min(subject.used, key=lambda gpu: self.holding.room(gpu, subject.name))
        demand = self._demand(subject, fullest, self.holding.taken(fullest, subject.name))
        if demand is None:
            self._unknown(subject, before)
            return
        self.demands[subject.name] = demand
        for about in demand.findings:
            self.findings.append(self._advised(subject, about, fullest))
        if demand.verdict != "does_not_fit":
            for gpu in subject.used:
                self.holding.hold(gpu, subject.name, _again(demand, before[gpu.uuid]))

    def _demand(self, subject: Subject, gpu: Gpu, taken: Taken | None) -> Demand | None:
        """Return what a service takes of a GPU; None where nothing is known.

        Args:
            subject: the service.
            gpu: of those that it uses, the one with the least room.
            taken: what others hold of it; None for a service that runs there already.
        """
        found, kind = card(gpu), subject.kind
        if subject.service is None or kind.demand is None or found is None:
            return None
        asked = Asked(
            subject.service,
            found,
            subject.release,
            subject.models,
            taken or NOBODY,
            subject.figures if taken is None or subject.name not in self.changed else None,
        )
        return kind.demand(asked)

    def _unknown(self, subject: Subject, before: dict[str, int | None]) -> None:
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
                found = information("demand-not-known", message)
                self.findings.append(subject.about(found, ("gpus",), [gpu]))

    def _advised(self, subject: Subject, about: About, gpu: Gpu) -> Finding:
        """Return a finding with the way out that the host offers, if the kind has none."""
        finding, fields = about
        if finding.code == "gpu-taken":
            ways = list(self._ways_out(subject, gpu))
            ways += [finding.hint] if finding.hint else []
            finding = finding.replace(hint=", or ".join(ways) or "use another GPU")
        on = subject.used if finding.code in ("gpu-taken", "gpu-memory", "may-not-fit") else ()
        return subject.about(finding, fields, on)

    def _ways_out(self, subject: Subject, gpu: Gpu) -> Iterator[str]:
        """Give what frees enough of a GPU, or has enough: each was tried."""
        strangers = [each.name for each in self.holding.strangers(gpu)]
        services = self.holding.taken(gpu, subject.name, strangers=False)
        if strangers and UNKNOWN not in strangers and self._fits(subject, gpu, services):
            yield f"end {listed(strangers)}"
        if len(subject.used) == 1:
            for other in self.surveyed.gpus or ():
                taken = self.holding.taken(other, subject.name)
                if other is not gpu and other.name == gpu.name and self._fits(subject, other, taken):
                    yield f"use GPU {other.index}"
                    return

    def _fits(self, subject: Subject, gpu: Gpu, taken: Taken) -> bool:
        """Whether a service fits on a GPU of which others hold so much."""
        demand = self._demand(subject, gpu, taken)
        return demand is not None and all(each.finding.severity == INFO for each in demand.findings)

    def _unsteady(self) -> Iterator[Finding]:
        """Give the services that measure their GPU while others on it may grow."""
        for subject in self.all:
            demand = self.demands.get(subject.name)
            if demand is None or demand.steady is None:
                continue
            # What asks for no share takes what its work needs, at any time.
            others = [each for each in self.all if each.share is None]
            beside = [each.name for each in others if any(gpu in each.used for gpu in subject.used)]
            if beside:
                message = (
                    f"it measures the GPU while it starts, and gets less if {listed(beside)} grows meanwhile"
                )
                yield subject.about(information("cache-not-fixed", message, demand.steady), (), subject.used)

    def _left_over(self) -> Iterator[Finding]:
        """Give the workers of servers that have ended, on GPUs of services that start."""
        used = {
            gpu.uuid: gpu for each in self.all if each.name in self.surveyed.starting for gpu in each.used
        }
        for holder in self.holding.left_over():
            gpu = used.get(holder.gpu)
            if gpu is not None and holder.service not in self.surveyed.starting:
                held = f"{gib(holder.bytes)} of " if holder.bytes else ""
                message = (
                    f"{holder.command} (pid {holder.pid}) still holds {held}GPU {gpu.index}, "
                    "although the server that it belonged to has ended"
                )
                yield warning(
                    "left-over-worker", message, f"give --end-left-over, or end it: kill {holder.pid}"
                )

    def _unlike_stated(self) -> Iterator[Finding]:
        """Warn of other GPUs than the inventory says."""
        said = [found.name for gpu in stated(self.host) for found in [card(gpu)] if found]
        there = [found.name for gpu in whole(self.surveyed.gpus or ()) for found in [card(gpu)] if found]
        if said and said != there:
            message = f"the inventory says {summed(said)}, and the host has {summed(there) or 'none'}"
            finding = warning("gpus-differ", message, "correct `gpus` of the host")
            yield finding.replace(where=str(self.host.position) if self.host.position else None)

    def _loads(self) -> Iterator[Load]:
        for gpu in self.surveyed.gpus or ():
            found = card(gpu)
            takers = [taker for each in self.all if gpu in each.used for taker in self._taker(each, gpu)]
            takers += self.holding.strangers(gpu)
            if found and takers:
                yield Load(index=gpu.index, name=found.name, memory=found.total, takers=takers)

    def _taker(self, subject: Subject, gpu: Gpu) -> Iterator[Taker]:
        """Give what a service takes of a GPU once everything runs."""
        demand = self.demands.get(subject.name)
        held = self.holding.held(gpu, subject.name)
        figures = subject.figures if demand is None else None
        weights = demand.weights if demand else figures.weights if figures else None
        cache = demand.cache if demand else figures.cache if figures else None
        parts = weights + cache if weights is not None and cache is not None else 0
        total = max(held or (demand.holds.usual if demand else 0), parts)
        if total:
            yield Taker(
                name=subject.name,
                foreign=False,
                bytes=total,
                weights=weights,
                cache=cache,
                rest=total - parts if parts else None,
                learned=demand.learned if demand else figures is not None,
            )

    def _forecasts(self) -> Iterator[Forecast]:
        figures = {each.service: each.figures for each in self.surveyed.learned}
        for name in self.surveyed.starting:
            demand, last = self.demands.get(name), figures.get(name)
            if name not in self.infos or (demand is None and last is None):
                continue
            yield Forecast(
                service=name,
                verdict=demand.verdict if demand else "fits",
                tokens=demand.tokens if demand else None,
                length=demand.length if demand else None,
                sequences=demand.sequences if demand else None,
                seconds=last.seconds if last else None,
                learned=demand.learned if demand else False,
                drain=self.infos[name].drain,
            )


def _again(demand: Demand, before: int | None) -> Range:
    """Return what a service will hold: what it holds now, where it starts again as it is."""
    holds = demand.holds
    if before is None or not demand.learned:
        return holds
    return Range(min(holds.least, before), before, max(holds.most, before))
