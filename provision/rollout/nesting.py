"""Containers that are hosts of a run in which another host makes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from provision.wire.checks import Running
from provision.wire.events import (
    PROOF,
    Done,
    Error,
    Event,
    Hello,
    Inspected,
    Note,
    Proof,
    Result,
    Unreachable,
)
from provision.wire.finding import INFO, WARNING, Finding
from provision.wire.specs.container import ContainerSpec

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog


class Nesting:
    """Which hosts of a run are containers on others, and which of these are made by the run itself.

    Args:
        catalogs: those of all hosts of the run.
    """

    def __init__(self, catalogs: Sequence[Catalog]) -> None:
        self._outer: dict[str, str | None] = {}
        self._made: dict[str, ContainerSpec] = {}
        self._changed: set[str] = set()
        for catalog in catalogs:
            host = catalog.host
            if host.connection != "container":
                continue
            self._outer[host.name] = host.on
            for each in catalogs:
                runs_it = each.host.name == host.on if host.on else each.host.connection == "local"
                spec = _container(each, host.container or host.name) if runs_it else None
                if spec is not None:
                    self._outer[host.name] = each.host.name
                    self._made[host.name] = spec

    def outer(self, host: str) -> str | None:
        """Return the host that a container is on, as far as it has a part in the run."""
        return self._outer.get(host)

    def inner(self, host: str) -> tuple[str, ...]:
        """Return the containers on a host that are hosts themselves."""
        return tuple(name for name, outer in self._outer.items() if outer == host)

    def foreseen(self, catalog: Catalog, verb: str) -> Callable[[Finding], list[Event]] | None:
        """Return what to say instead of an error when a container is not there or does not run.

        That is for a plan in which the container comes from this very run, and for a removal; None otherwise.
        """
        host = catalog.host
        if host.connection != "container":
            return None
        if verb == "remove":
            return lambda why: [
                _note(host.name, why.code, f"{why.message}: nothing in it can be removed"),
                Done(host=host.name, ok=True),
            ]
        if verb == "inspect" and host.name in self._made:
            return lambda why: _to_come(catalog, why)
        return None

    def softened(self, catalog: Catalog) -> Catalog:
        """Return what to apply first: a container that is a host has to run, and no more at that time."""
        resources = [
            dataclasses.replace(resource, spec=resource.spec.replace(checks=[Running()]))
            if resource.id in self._probes(catalog)
            else resource
            for resource in catalog.resources
        ]
        return dataclasses.replace(catalog, resources=resources)

    def unproven(self, catalogs: Sequence[Catalog]) -> list[Catalog]:
        """Return the proofs that are left once all hosts are done.

        Where nothing has changed, neither on a host nor in its containers, all has been proven before.
        """
        left = []
        for catalog in catalogs:
            name = catalog.host.name
            wanted = self._probes(catalog)
            probes = [resource for resource in catalog.resources if resource.id in wanted]
            if probes and self._changed & {name, *self.inner(name)}:
                left.append(dataclasses.replace(catalog, resources=probes))
        return left

    def proofs(self, take: Callable[[Event], None]) -> Callable[[Event], None]:
        """Pass on, of a host that has said its last word before, how the proofs went."""

        def passed(event: Event) -> None:
            if isinstance(event, Proof | Error | Unreachable):
                take(event)
            elif isinstance(event, Done) and not event.ok:
                message = "what is in a container of this host does not answer through its ports"
                take(Error(host=event.host, finding=Finding(code="container-not-answering", message=message)))

        return passed

    def _probes(self, catalog: Catalog) -> set[str]:
        """Return the ids of the probes of containers on a host that are hosts themselves."""
        return {
            f"probe:{spec.service}"
            for name, spec in self._made.items()
            if self._outer[name] == catalog.host.name
        }

    def watch(self, take: Callable[[Event], None]) -> Callable[[Event], None]:
        """Pass events on, and add a note to a plan of what is in a container that will be recreated.

        What is found in it now is not what an apply of the plan will find.
        """
        recreated: set[tuple[str | None, str]] = set()

        def passed(event: Event) -> None:
            if isinstance(event, Result) and event.status == "changed":
                self._changed.add(event.host)
            if isinstance(event, Inspected) and event.work and event.work.recreate:
                recreated.add((event.host, event.work.recreate))
            made = self._made.get(event.host)
            name = made and made.container
            doomed = name is not None and (self._outer.get(event.host), name) in recreated
            if isinstance(event, Done) and doomed:
                event.digest = None
            take(event)
            if isinstance(event, Hello) and doomed:
                text = f"container {name} will be recreated, and everything in it with it"
                take(_note(event.host, "container-recreated", text, WARNING))

        return passed


def _container(catalog: Catalog, name: str) -> ContainerSpec | None:
    specs = (each.spec for each in catalog.resources if isinstance(each.spec, ContainerSpec))
    return next((spec for spec in specs if spec.container == name), None)


def _to_come(catalog: Catalog, why: Finding) -> list[Event]:
    host = catalog.host
    name = host.container or host.name
    if why.code == "container-stopped":
        text = f"container {name} does not run yet; what is in it shows once it does"
        note = _note(host.name, why.code, text)
        return [note, Done(host=host.name, ok=True)]
    text = f"container {name} does not exist yet; everything in it will be made once it runs"
    pending: list[Event] = [
        Inspected(
            host=host.name,
            id=resource.id,
            type=resource.type,
            label=resource.label,
            service=resource.service,
            role=PROOF if resource.type == "probe" else "",
            new=True,
            changes={"present": (None, True)},
            pending=True,
        )
        for resource in catalog.resources
    ]
    counts = {"ok": 0, "changed": len(pending), "failed": 0, "skipped": 0}
    return [_note(host.name, why.code, text), *pending, Done(host=host.name, ok=True, counts=counts)]


def _note(host: str, code: str, message: str, severity: str = INFO) -> Note:
    return Note(host=host, finding=Finding(code=code, severity=severity, message=message))
