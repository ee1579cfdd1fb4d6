"""What a check looks at: the host, what this run changes on it, and in which order."""

from __future__ import annotations

from typing import Any, Callable, Collection, Dict, Iterable, List, NamedTuple, Tuple

from provision.host import causes
from provision.host.item import Item
from provision.host.machine import Machine
from provision.host.threads import each
from provision.wire.finding import ERROR, WARNING, Finding, warning

AT_ONCE = 8
"""Resources that are looked at at once."""

Items = Dict[str, Item]

Found = List[Tuple[Item, Finding]]
"""What a check has found: of which resource, and what."""


class Scene(NamedTuple):
    """A run before its first change."""

    machine: Machine
    items: Items
    known: dict[str, dict[str, Any]]
    """What earlier runs have put on the host, by id: entries of the ledger."""
    orphans: Collection[str]
    """Those that no playbook declares any more."""
    prunes: bool
    """The orphans are removed before services start."""

    def changing(self) -> list[Item]:
        """Return the resources that the run changes."""
        return [item for item in self.items.values() if item.changes and not item.error]

    def follow(self, item: Item) -> set[str]:
        """Return the ids of the resources that come after another one for certain."""
        after = {item.id}
        for other in self.items.values():  # each comes after what it needs
            if not after.isdisjoint(other.needs):
                after.add(other.id)
        return after

    def side_by_side(self, ask: Callable[[Item], Iterable[Finding]]) -> Found:
        """Return what is found of each resource that changes; they are looked at at once, as some wait."""
        found: Found = []

        def look(item: Item) -> None:
            try:
                told = list(ask(item))
            except Exception as error:
                failure = causes.explain(error)
                told = [warning("not-checked", failure.message, failure.hint)]
            found.extend((item, finding) for finding in told)

        each(look, self.changing(), AT_ONCE)
        order = list(self.items)
        return sorted(found, key=lambda pair: order.index(pair[0].id))

    def verdict(self, item: Item, finding: Finding, may: Callable[[Item], bool] | None = None) -> Finding:
        """Return an error as a warning where a change before it may remove the cause.

        Args:
            item: what the finding is about.
            finding: what was found.
            may: whether the change of a resource may do so; a declared command always may.
        """
        if finding.severity != ERROR:
            return finding
        after = self.follow(item)
        others = [other for other in self.changing() if other.id not in after]
        mends = [other for other in others if other.resource.arbitrary or (may and may(other))]
        if not mends:
            return finding
        hint = "; ".join(filter(None, [f"unless {mends[0].label} changes that", finding.hint]))
        return finding.replace(severity=WARNING, hint=hint)
