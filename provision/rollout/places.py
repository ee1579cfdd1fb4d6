"""Where in the files of the user is what a host tells something about."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from provision.wire.events import Event, Note

if TYPE_CHECKING:
    from provision.config.documents import Document
    from provision.config.problems import Position
    from provision.fleet.fleet import Fleet
    from provision.transport.target import OnEvent


def adding(fleet: Fleet, take: OnEvent) -> OnEvent:
    """Pass events on, those about a resource with the place of the field that decides."""
    read = cache(_document)

    def passed(event: Event) -> None:
        if isinstance(event, Note) and event.id:
            resources = fleet.catalogs[event.host].resources
            position = next((each.position for each in resources if each.id == event.id), None)
            where = None
            if position is not None:
                where = str(_of(position, event.finding.where, read))
            event = event.replace(finding=event.finding.replace(where=where))
        take(event)

    return passed


def _of(position: Position, field: str | None, read: Callable[[str], Document | None]) -> Position:
    """Return the place of a field below what is declared at a place, or that place where it is not set."""
    document = read(position.path) if field else None
    if document is None or field is None:
        return position
    return document.below(position, [int(key) if key.isdigit() else key for key in field.split("/")])


def _document(path: str) -> Document | None:
    """Return a playbook; None for what can no longer be read."""
    # Most runs find nothing to tell, and have remembered what the playbooks say.
    from provision.config import documents
    from provision.config.problems import ConfigError

    try:
        return documents.load(path)
    except ConfigError:
        return None
