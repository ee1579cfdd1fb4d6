"""Where in the files of the user is what a host tells something about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.wire.events import Event, Note

if TYPE_CHECKING:
    from provision.fleet.fleet import Fleet
    from provision.transport.target import OnEvent


def adding(fleet: Fleet, take: OnEvent) -> OnEvent:
    """Pass events on, those about a resource with the place where it is declared."""

    def passed(event: Event) -> None:
        if isinstance(event, Note) and event.id and event.finding.where is None:
            resources = fleet.catalogs[event.host].resources
            position = next((each.position for each in resources if each.id == event.id), None)
            if position is not None:
                event = event.replace(finding=event.finding.replace(where=str(position)))
        take(event)

    return passed
