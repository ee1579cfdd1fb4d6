"""Service kind `vllm`."""

from __future__ import annotations

from provision.kinds.common.demand import Asked, Demand
from provision.kinds.kind import Kind
from provision.kinds.vllm import fields, launch, lower, named, share


def _demand(asked: Asked[fields.VllmService]) -> Demand:
    from provision.kinds.vllm.demand import demand  # here, as a run that starts nothing foresees nothing

    return demand(asked)


KIND = Kind(
    fields.VllmService,
    lower.lower,
    required=named.required,
    engines=launch.PACKAGES,
    decides=share.DECIDES,
    cards=share.cards,
    share=share.share,
    demand=_demand,
    offers=lower.offers,
    nodes=lambda service: service.nodes and service.nodes.where,
)
