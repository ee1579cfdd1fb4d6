"""Paths in a request that are others on this host, as in what an older version has made."""

from __future__ import annotations

from typing import Any, Mapping, TypeVar

from provision.host.item import Item
from provision.host.machine import Machine
from provision.wire.record import Record
from provision.wire.requests import Request

R = TypeVar("R", bound=Record)


def found(machine: Machine, request: Request) -> tuple[Request, dict[str, Item], dict[str, str]]:
    """Return the request with the paths of this host, its resources by id, and which paths are others."""
    items = {entry.id: Item(entry) for entry in request.resources}
    moved: dict[str, str] = {}
    for item in items.values():
        moved.update(item.resource.moved(machine))
    if not moved:
        return request, items, moved
    request = request.replace(
        resources=[_with(entry, moved) for entry in request.resources],
        stakes=[_with(stake, moved) for stake in request.stakes],
    )
    return request, {entry.id: Item(entry) for entry in request.resources}, moved


def _with(record: R, moved: Mapping[str, str]) -> R:
    return type(record).parse(_replaced(record.plain(), moved))


def _replaced(value: Any, moved: Mapping[str, str]) -> Any:
    """Return plain data with other paths in all of its texts."""
    if isinstance(value, str):
        for path, now in moved.items():
            value = value.replace(path, now)
        return value
    if isinstance(value, list):
        return [_replaced(each, moved) for each in value]
    if isinstance(value, dict):
        return {key: _replaced(each, moved) for key, each in value.items()}
    return value
