"""The order in which accounts are made, whatever else is done at the same time.

A user or group without a declared number gets the next free one, so its number depends on the order. This is
the same in every run: what needs no package, then the packages, which may make accounts of their own, then
the rest; in each part groups before users, those with a number before those without, then by name.
"""

from __future__ import annotations

from typing import Mapping, Sequence, Tuple

from provision.host.item import Item

Rank = Tuple[int, str, bool, str]


def before(items: Sequence[Item]) -> dict[str, list[str]]:
    """Return for each account, and for the packages, the ids that come before it."""
    by_id = {item.id: item for item in items}
    ranks = {item.id: rank for item in items for rank in [_rank(item, by_id)] if rank}
    return {id: [other for other in ranks if ranks[other] < ranks[id]] for id in ranks}


def _rank(item: Item, by_id: Mapping[str, Item]) -> Rank | None:
    resource = item.resource
    if resource.brings_accounts:
        return (1, "", False, "")
    if not resource.number_field:
        return None
    number = getattr(resource.spec, resource.number_field)
    return (2 if _needs_packages(item, by_id) else 0, resource.type, number is None, resource.spec.name)


def _needs_packages(item: Item, by_id: Mapping[str, Item]) -> bool:
    needed = [by_id[need] for need in item.needs if need in by_id]
    return any(each.resource.brings_accounts or _needs_packages(each, by_id) for each in needed)
