"""What is foreseen of a host, from what it has told and what its playbooks declare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from provision.config.problems import unrepeated
from provision.foresight.changed import changed
from provision.foresight.naming import card, listed, stated, summed, whole
from provision.foresight.outlook import forecasts
from provision.foresight.shown import loads
from provision.foresight.starts import Starts
from provision.kinds.common.cards import gib
from provision.wire.finding import ERROR, INFO, WARNING, Finding, information, warning
from provision.wire.rollout import Outlook

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog
    from provision.config.hosts import Host
    from provision.wire.events import Inspected
    from provision.wire.questions import Surveyed

_ORDER = {ERROR: 0, WARNING: 1, INFO: 2}


def foresee(catalog: Catalog, surveyed: Surveyed, differing: Sequence[Inspected] = ()) -> Outlook:
    """Return what is foreseen of a host.

    Args:
        catalog: what the host is to have; its services start one after another, in this order.
        surveyed: what the host has told.
        differing: what is not as declared.
    """
    starts = Starts(catalog, surveyed, changed(catalog, differing))
    found = [
        *starts.run(),
        *_trouble(starts),
        *_unsteady(starts),
        *_left_over(starts),
        *_unlike_stated(catalog.host, surveyed),
    ]
    return Outlook(
        host=surveyed.host,
        loads=list(loads(starts)),
        forecasts=list(forecasts(catalog.services, surveyed, starts.demands, starts.doomed)),
        findings=sorted(unrepeated(found), key=lambda each: _ORDER[each.severity]),
    )


def _trouble(starts: Starts) -> Iterator[Finding]:
    """Give what is wrong with the driver, where a service that starts may need it."""
    trouble = starts.surveyed.trouble
    if trouble is not None and any(each.stake.cards for each in starts.starting):
        yield trouble


def _unsteady(starts: Starts) -> Iterator[Finding]:
    """Give the services that measure their GPU while others on it may grow."""
    for subject in starts.starting:
        demand = starts.demands.get(subject.name)
        if demand is None or demand.steady is None:
            continue
        # What asks for no share takes what its work needs, at any time.
        others = [each for each in starts.all if each.share is None]
        beside = [each.name for each in others if any(gpu in each.used for gpu in subject.used)]
        if beside:
            message = (
                f"it measures the GPU while it starts, and gets less if {listed(beside)} grows meanwhile"
            )
            yield subject.about(information("cache-not-fixed", message, demand.steady), (), subject.used)


def _left_over(starts: Starts) -> Iterator[Finding]:
    """Give the workers of servers that have ended, on GPUs of services that start."""
    used = {gpu.uuid: gpu for each in starts.starting for gpu in each.used}
    for holder in starts.holding.left_over():
        gpu = used.get(holder.gpu)
        if gpu is not None and holder.service not in starts.surveyed.starting:
            held = f"{gib(holder.bytes)} of " if holder.bytes else ""
            message = (
                f"{holder.command} (pid {holder.pid}) still holds {held}GPU {gpu.index}, "
                "although the server that it belonged to has ended"
            )
            yield warning("left-over-worker", message, f"give --end-left-over, or end it: kill {holder.pid}")


def _unlike_stated(host: Host, surveyed: Surveyed) -> Iterator[Finding]:
    """Warn of other GPUs than the inventory says."""
    said = [found.name for gpu in stated(host) for found in [card(gpu)] if found]
    there = [found.name for gpu in whole(surveyed.gpus or ()) for found in [card(gpu)] if found]
    if said and said != there:
        message = f"the inventory says {summed(said)}, and the host has {summed(there) or 'none'}"
        finding = warning("gpus-differ", message, "correct `gpus` of the host")
        yield finding.replace(where=str(host.position) if host.position else None)
