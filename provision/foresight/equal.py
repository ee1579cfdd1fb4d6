"""What was foreseen for one host holds for all that are equal: of a hundred, one is computed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provision.kinds.common.demand import Asked, Demand
    from provision.kinds.kind import Kind

KEPT = 256
"""Answers that are kept; then all are forgotten."""

_KNOWN: dict[str, Demand] = {}


def demand_of(kind: Kind, asked: Asked[Any]) -> Demand | None:
    """Return what a kind answers; None for one that knows nothing."""
    if kind.demand is None:
        return None
    models = {name: [said.config, said.tensors, said.trouble] for name, said in asked.models.items()}
    rest = replace(asked, models={}, service=None)
    key = json.dumps([kind.name, asked.service.model_dump(mode="json"), models, repr(rest)], sort_keys=True)
    if key not in _KNOWN:
        if len(_KNOWN) >= KEPT:
            _KNOWN.clear()
        _KNOWN[key] = kind.demand(asked)
    return _KNOWN[key]
