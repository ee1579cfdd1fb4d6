"""What each kind of service provides: its package has one such object, `KIND`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from provision.config.services.base import Service
    from provision.kinds.common.context import ServiceContext
    from provision.wire.specs.model import Expectation


@dataclass(frozen=True)
class Kind:
    """A kind of service.

    Args:
        fields: the keys of such a service; its field `kind` is a `Literal` with the kind's name.
        lower: adds the resources of a service to those of the host, or notes what is wrong with it.
        required: returns, for each model that a service uses, the files that the model must have.
        expects: returns, for each model that a service (with its name) uses, what it must be by its own
            configuration.
    """

    fields: type[Service]
    lower: Callable[[ServiceContext[Any]], None]
    required: Callable[[Any], dict[str, list[str]]] = lambda service: {}
    expects: Callable[[Any, str], dict[str, list[Expectation]]] = lambda service, name: {}

    @property
    def name(self) -> str:
        """The word that a playbook writes at `kind:`."""
        name: str = get_args(self.fields.model_fields["kind"].annotation)[0]
        return name
