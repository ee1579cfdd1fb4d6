"""One service that is judged, with all that is known of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from provision.foresight.naming import Meant, called, meant, whole
from provision.kinds.registry import KINDS
from provision.wire.finding import Finding

if TYPE_CHECKING:
    from provision.catalog.catalog import Declared, ServiceInfo
    from provision.config.services.base import Service
    from provision.kinds.common.demand import Share
    from provision.kinds.kind import Kind
    from provision.wire.figures import Figures
    from provision.wire.questions import Surveyed
    from provision.wire.requests import Stake
    from provision.wire.survey import Described, Gpu


@dataclass(frozen=True)
class Subject:
    """A service of a host.

    Args:
        info: what is known of it without the host.
        stake: the GPUs that it names, and what else was asked about it.
        declared: the fields that decide.
        surveyed: what the host has told.
    """

    info: ServiceInfo
    stake: Stake
    declared: Declared
    surveyed: Surveyed

    @property
    def name(self) -> str:
        """The name of the service."""
        return self.info.name

    @property
    def kind(self) -> Kind:
        """What is known of its kind."""
        return KINDS[self.info.facts.kind]

    @cached_property
    def service(self) -> Service | None:
        """Its fields, as far as they decide; None for a kind of which nothing is known."""
        if not self.kind.decides:
            return None
        return self.kind.fields.model_validate(self.declared.fields)

    @cached_property
    def visible(self) -> Meant:
        """The GPUs that it sees: those that it names, or all."""
        gpus = self.surveyed.gpus or []
        if self.stake.implied:
            return Meant(whole(gpus), [])
        return meant(self.stake.cards, gpus)

    @cached_property
    def needed(self) -> int | None:
        """How many GPUs of this host it uses; None where that is not known."""
        every = self.kind.cards(self.service) if self.service is not None else None
        return every // self.nodes if every is not None else None

    @property
    def nodes(self) -> int:
        """Over how many hosts it runs."""
        return len(self.info.group) or 1

    @property
    def used(self) -> list[Gpu]:
        """The GPUs that it uses: the first of those that it sees, and of a divided one its first part."""
        return [self._part(gpu) for gpu in self.visible.gpus[: self.needed]]

    def _part(self, gpu: Gpu) -> Gpu:
        parts = (each for each in self.surveyed.gpus or () if gpu.mig and each.uuid == gpu.mig[0])
        return next(parts, gpu)

    @property
    def share(self) -> Share | None:
        """The part of each GPU that it asks for, if its kind asks for one."""
        if self.service is None:
            return None
        return self.kind.share(self.service, self.release, self.declared.models.values())

    @property
    def release(self) -> Version | None:
        """The version of its engine: the one that is pinned, else the one that is there."""
        found = next((each.version for each in self.surveyed.engines if each.service == self.name), None)
        try:
            return Version(self.declared.release or found or "")
        except InvalidVersion:
            return None

    @property
    def models(self) -> Mapping[str, Described]:
        """What its models say of themselves, by their names."""
        said = {each.path: each for each in self.surveyed.models}
        return {name: said[path] for name, path in self.declared.models.items() if path in said}

    @property
    def figures(self) -> Figures | None:
        """What it logged about its last proven start."""
        known = (each.figures for each in self.surveyed.learned if each.service == self.name)
        return next(known, None)

    def about(self, finding: Finding, fields: Iterable[str] = (), gpus: Sequence[Gpu] = ()) -> Finding:
        """Return a finding with the service in front of it, and the place of the field that decides."""
        on = f" on {called(gpus)}" if gpus else ""
        if gpus and self.nodes > 1 and self.needed is not None:
            on += f" (of {self.needed * self.nodes} on {self.nodes} nodes)"
        message = f"service {self.name}{on}: {finding.message}"
        return finding.replace(message=message, where=self.declared.at(fields))


def subjects(services: Iterable[ServiceInfo], surveyed: Surveyed) -> list[Subject]:
    """Return the services of a host that can be judged, in the order in which they start."""
    return [
        Subject(info, info.stake, info.declared, surveyed)
        for info in services
        if info.stake is not None and info.declared is not None
    ]
