"""What the kinds of services are compiled with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from provision.catalog.builder import Builder
from provision.catalog.environments import Environment
from provision.catalog.models import Model
from provision.catalog.templates import Templates
from provision.config.problems import did_you_mean
from provision.kinds.common.place import Place


@dataclass(frozen=True)
class Context:
    """The host's collected resources, and all that services may refer to.

    Args:
        builder: takes the resources.
        environments: those of all plays of the host, by name.
        models: likewise.
        templates: those for the playbook of the service.
    """

    builder: Builder
    environments: Mapping[str, Environment]
    models: Mapping[str, Model]
    templates: Templates

    def environment(self, here: Place, key: str = "environment") -> Environment | None:
        """Return the environment that a field of the service names, or note that there is none."""
        name: str = getattr(here.service, key)
        if name not in self.environments:
            message = f"there is no environment `{name}`"
            self.builder.problem(
                here.play, (*here.where, key), message, did_you_mean(name, self.environments)
            )
        return self.environments.get(name)

    def model(self, here: Place, key: str = "model") -> Model | None:
        """Return the model that a field of the service names, or note that there is none."""
        return self.model_at(here, (key,), getattr(here.service, key))

    def model_at(self, here: Place, where: tuple[str | int, ...], name: str) -> Model | None:
        """Return the model that is named at a place of the service, or note that there is none."""
        if name not in self.models:
            message = f"there is no model `{name}`"
            self.builder.problem(here.play, (*here.where, *where), message, did_you_mean(name, self.models))
        return self.models.get(name)
