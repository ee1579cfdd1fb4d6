"""Events about hosts that are containers which another host of the run creates or removes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.fleet.edges import Node
from provision.transport.target import OnEvent
from provision.wire.events import PROOF, Done, Error, Event, Hello, Inspected, Note, Proof
from provision.wire.finding import Finding, fault, information, warning
from provision.wire.rollout import Unreachable

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog
    from provision.fleet.fleet import Fleet


def planned(catalog: Catalog, why: Finding) -> list[Event]:
    """Return the plan of a container that does not run yet: an apply creates or starts it."""
    host = catalog.host
    name = host.container or host.name
    if why.code == "container-stopped":
        text = f"container {name} does not run yet; what is in it is inspected once it runs"
        return [Note(host=host.name, finding=information(why.code, text)), Done(host=host.name, ok=True)]
    text = f"container {name} does not exist yet; everything in it is created once it runs"
    pending: list[Event] = [
        Inspected(
            host=host.name,
            id=resource.id,
            type=resource.type,
            label=resource.label,
            service=resource.service,
            role=PROOF if resource.proves else "",
            new=True,
            changes={"present": (None, True)},
            pending=True,
        )
        for resource in catalog.resources
    ]
    counts = {"ok": 0, "changed": len(pending), "failed": 0, "skipped": 0}
    return [
        Note(host=host.name, finding=information(why.code, text)),
        *pending,
        Done(host=host.name, ok=True, counts=counts),
    ]


def nothing_to_remove(catalog: Catalog, why: Finding) -> list[Event]:
    """Return the removal from a container that does not run: everything in it goes with it."""
    name = catalog.host.name
    text = f"{why.message}: nothing in it can be removed"
    return [Note(host=name, finding=information(why.code, text)), Done(host=name, ok=True)]


def noting_recreated(fleet: Fleet, take: OnEvent) -> OnEvent:
    """Pass a plan on, with a note for each host that is a container which the plan recreates.

    An apply of the plan will not find what is in it now, so its plan has no digest.
    """
    recreated: set[Node] = set()

    def passed(event: Event) -> None:
        if isinstance(event, Inspected) and event.work and event.work.recreate:
            recreated.add(Node(event.host, event.id))
        doomed = fleet.way_to(event.host) in recreated
        take(event.replace(digest=None) if isinstance(event, Done) and doomed else event)
        if isinstance(event, Hello) and doomed:
            name = fleet.catalogs[event.host].host.container or event.host
            text = f"container {name} will be recreated, and everything in it with it"
            take(Note(host=event.host, finding=warning("container-recreated", text)))

    return passed


def late_proofs(fleet: Fleet, take: OnEvent) -> OnEvent:
    """Pass on how the late proofs went, for hosts that have ended before."""

    def passed(event: Event) -> None:
        if isinstance(event, Proof | Error | Unreachable):
            take(event)
        elif isinstance(event, Done) and not event.ok:
            take(Error(host=event.host, finding=_silent(fleet, event.host)))

    return passed


def _silent(fleet: Fleet, host: str) -> Finding:
    """Return what is wrong where a late proof has failed: behind a container's ports, or behind a gateway."""
    gateways = [each.name for each in fleet.catalogs[host].services if each.asks]
    if gateways:
        names = ", ".join(gateways)
        return fault("gateway-not-answering", f"what is behind {names} does not answer through it")
    message = "what is in a container of this host does not answer through its ports"
    return fault("container-not-answering", message)
