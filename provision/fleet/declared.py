"""What decides whether a service can run, as its playbook declares it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provision.catalog.catalog import Declared
from provision.kinds.registry import KINDS

if TYPE_CHECKING:
    from provision.kinds.common.context import ServiceContext

CARDS = ("gpus", "device")
"""The fields that say which GPUs a service uses, of whatever kind it is."""


def declared(context: ServiceContext[Any]) -> Declared:
    """Return what a service says of itself, and where."""
    service, kind = context.service, KINDS[context.service.kind]
    fields = service.model_dump(exclude_unset=True, include={"kind", *kind.decides})
    if "env" in fields:  # without secrets, which are nobody's business here
        fields["env"] = {name: value for name, value in fields["env"].items() if isinstance(value, str)}
    named = sorted(service.model_fields_set.intersection(CARDS))
    places = {name: str(context.play.where(*context.where, name)) for name in (*fields, *named)}
    places[""] = str(context.play.where(*context.where, key=True))
    models = {name: model.path for name, model in context.models.items() if name in kind.required(service)}
    environment = context.environments.get(fields.get("environment", ""))
    wanted = environment.find(*kind.engines) if environment is not None else None
    release = str(wanted.pin) if wanted is not None and wanted.pin is not None else None
    return Declared(fields, places, models, release)
