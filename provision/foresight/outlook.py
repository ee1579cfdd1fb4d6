"""What is foreseen of a host; where no GPU is in it, without all that is known of engines and GPUs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from provision.wire.rollout import Outlook
from provision.wire.survey import Forecast

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog, ServiceInfo
    from provision.kinds.common.demand import Demand
    from provision.wire.events import Inspected
    from provision.wire.questions import Surveyed


def foresee(catalog: Catalog, surveyed: Surveyed, differing: Sequence[Inspected] = ()) -> Outlook:
    """Return what is foreseen of a host; the arguments are those of `judge.foresee`."""
    if _without_gpus(catalog, surveyed):
        found = list(forecasts(catalog.services, surveyed))
        return Outlook(host=surveyed.host, loads=[], forecasts=found, findings=[])
    # Here, as it takes a quarter of a second to import the kinds of services: all hosts wait for it.
    from provision.foresight import judge

    return judge.foresee(catalog, surveyed, differing)


def _without_gpus(catalog: Catalog, surveyed: Surveyed) -> bool:
    """Whether a host has no GPU, and neither its services nor the inventory say that it has."""
    named = any(each.stake.cards and not each.stake.implied for each in catalog.services if each.stake)
    return not (surveyed.gpus or surveyed.trouble or catalog.host.gpus or named)


def forecasts(
    services: Sequence[ServiceInfo],
    surveyed: Surveyed,
    demands: Mapping[str, Demand] | None = None,
    doomed: Collection[str] = (),
) -> Iterator[Forecast]:
    """Give what is foreseen of each service that starts, as far as anything is.

    Args:
        services: those of the host.
        surveyed: what it has told.
        demands: by name, what was foreseen of the services that have started.
        doomed: the services that cannot run.
    """
    seconds = {each.service: each.figures.seconds for each in surveyed.learned}
    for info in services:
        demand, last = (demands or {}).get(info.name), seconds.get(info.name)
        hopeless = info.name in doomed
        if info.name in surveyed.starting and (hopeless or demand or last is not None):
            yield Forecast(
                service=info.name,
                verdict="does_not_fit" if hopeless else demand.verdict if demand else "fits",
                tokens=demand.tokens if demand else None,
                length=demand.length if demand else None,
                sequences=demand.sequences if demand else None,
                seconds=last,
                learned=demand.learned if demand else False,
                drain=info.drain,
            )
