"""What is foreseen without any host: from what playbooks declare, and the GPUs that the inventory states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from provision.foresight.judge import foresee
from provision.foresight.naming import ALL, stated
from provision.foresight.subject import Subject, subjects
from provision.wire.finding import INFO, Finding, fault, warning
from provision.wire.questions import Surveyed

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog


NAMES = 4
"""Hosts that a finding names; the others are counted."""


def foreseen(catalogs: Mapping[str, Catalog]) -> list[Finding]:
    """Return what is impossible or doubtful on any host; of several hosts with their names."""
    hosts: dict[tuple[str | None, str, str], list[str]] = {}
    found: dict[tuple[str | None, str, str], Finding] = {}
    for name, catalog in catalogs.items():
        surveyed = _surveyed(catalog)
        judged = foresee(catalog, surveyed).findings if surveyed.gpus else _shares(catalog, surveyed)
        for finding in judged:
            if finding.severity != INFO:
                key = (finding.where, finding.code, finding.message)
                hosts.setdefault(key, []).append(name)
                found[key] = finding
    several = len(catalogs) > 1
    return [_on(hosts[key], finding) if several else finding for key, finding in found.items()]


def _on(hosts: Sequence[str], finding: Finding) -> Finding:
    named = ", ".join(hosts[:NAMES])
    more = f" and {len(hosts) - NAMES} more" if len(hosts) > NAMES else ""
    return finding.replace(message=f"{named}{more}: {finding.message}")


def _surveyed(catalog: Catalog) -> Surveyed:
    """Return what a host would tell that has the GPUs of its inventory, and nothing on them."""
    return Surveyed(
        driver=None,
        cuda=None,
        gpus=stated(catalog.host) or None,
        holders=[],
        models=[],
        engines=[],
        learned=[],
        serving=[],
        # Nobody but the host knows which GPU a UUID means.
        starting=[each.name for each in catalog.services if each.stake and _by_index(each.stake.cards)],
    )


def _by_index(cards: Sequence[str]) -> bool:
    return all(name.isdecimal() or name == ALL for name in cards)


def _shares(catalog: Catalog, surveyed: Surveyed) -> Iterator[Finding]:
    """Give the services that ask for more of a GPU than those before them leave, whichever GPU it is."""
    takers: defaultdict[str, list[tuple[Subject, float]]] = defaultdict(list)
    for subject in subjects(catalog.services, surveyed):
        share = subject.share
        if share is None:
            continue
        names = subject.stake.cards[: subject.needed]
        for name in names:
            before = takers[name]
            left = 1 - sum(takes for _, takes in before)
            if share.asks > left + ROUNDED:
                yield _too_much(subject, name, share.asks, before, left)
                break
        else:
            for name in names:
                takers[name].append((subject, share.takes))


ROUNDED = 1e-6
"""By how much a sum of shares may be off."""

SURE = 0.05
"""By how much it must be above 1 to be impossible: an engine may hold a little less than its share."""


def _too_much(
    subject: Subject, name: str, asks: float, before: Sequence[tuple[Subject, float]], left: float
) -> Finding:
    others = ", ".join(f"{each.name} takes {takes:g}" for each, takes in before if takes)
    message = f"gpu_memory_utilization {asks:g} is more than what is left of GPU {name}: {others}"
    hint = f"lower it below {left:.2g}, or use another GPU" if left > 0 else "use another GPU"
    judged = fault if asks > left + SURE else warning
    return subject.about(judged("gpu-taken", message, hint), ("gpu_memory_utilization", "gpus"))
