"""What each kind of service provides: its package has one such object, `KIND`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from packaging.version import Version

    from provision.catalog.layout import Layout
    from provision.config.services.base import Service
    from provision.config.services.nodes import All, Nodes, Of
    from provision.kinds.common.context import ServiceContext
    from provision.kinds.common.demand import Asked, Demand, Share
    from provision.kinds.common.front import Front
    from provision.kinds.common.offer import Offer
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
        engines: the packages of which one is its engine, by the names of their distributions.
        decides: the fields that decide whether such a service can run, and with how much of a GPU. The flags
            of all others may change, and what was logged before holds.
        cards: returns how many GPUs a service uses, on all its nodes; None where that is not known.
        share: returns the part of each GPU that a service asks for when its engine has this version and its
            models are in these directories; None for a kind that asks for none.
        demand: foresees what a service takes of a GPU; None for a kind of which nothing is known.
        offers: returns what a service (with its name) offers to a gateway; None when there can be none in
            front of it.
        front: returns how a service (with its name) passes requests to others; None for a kind that does not.
        nodes: the hosts over which a service runs, if it runs over several; None for one that does not.
    """

    fields: type[Service]
    lower: Callable[[ServiceContext[Any]], None]
    required: Callable[[Any], dict[str, list[str]]] = lambda service: {}
    expects: Callable[[Any, str], dict[str, list[Expectation]]] = lambda service, name: {}
    engines: Sequence[str] = ()
    decides: Sequence[str] = ()
    cards: Callable[[Any], int | None] = lambda service: None
    share: Callable[[Any, Version | None, Collection[str]], Share | None] = lambda *_: None
    demand: Callable[[Asked[Any]], Demand] | None = None
    offers: Callable[[Any, str], Offer | None] = lambda service, name: None
    front: Callable[[Any, str, Layout], Front] | None = None
    nodes: Callable[[Any], Nodes | All | Of | None] = lambda service: None

    @property
    def idle(self) -> frozenset[str]:
        """The flags of fields that decide nothing."""
        others = self.fields.model_fields.keys() - set(self.decides)
        return frozenset(f"--{name.replace('_', '-')}" for name in others)

    @property
    def name(self) -> str:
        """The word that a playbook writes at `kind:`."""
        name: str = get_args(self.fields.model_fields["kind"].annotation)[0]
        return name
