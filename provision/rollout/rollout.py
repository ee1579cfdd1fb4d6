"""The work on the hosts of a project: requests go out in the order of the graph, events come back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple, Protocol
from uuid import uuid4

from provision.catalog.catalog import Catalog
from provision.config.problems import ConfigError, Problem, failure
from provision.connect import connection_to
from provision.connect.base import PATIENCE
from provision.fleet.fleet import Fleet
from provision.fleet.waves import Waves, waves
from provision.rollout import containers, places
from provision.rollout.keyring import Keyring
from provision.rollout.meetings import Meetings
from provision.rollout.request import build
from provision.rollout.rotation import Rotation
from provision.rollout.run import FORKS, Beside, Limits, OnEnd, Order, Target, agreed, run
from provision.rollout.summary import Summary
from provision.rollout.turns import Turns
from provision.rollout.verdicts import Foresee, Verdicts, unforeseen
from provision.wire.questions import Leave, Meet, Return, Turn
from provision.wire.requests import Apply, Asked, Changing, Hold, Inspect, Remove, Rollback, Verify

if TYPE_CHECKING:
    from provision.config.pace import Portion
    from provision.fleet.gateways import Gateway
    from provision.project.project import Project
    from provision.rollout.ahead import Ahead
    from provision.transport.target import OnEvent, OnQuestion
    from provision.wire.events import Event
    from provision.wire.questions import Question
    from provision.wire.revision import Origin
    from provision.wire.survey import Answer


class Listener(Protocol):
    """Who is told what happens."""

    def take(self, event: Event) -> None:
        """Take one event; those of one host come in their order."""

    def close(self) -> None:
        """End: no event follows. It is not called when the run could not begin."""


class Reach(NamedTuple):
    """How hosts are reached.

    Args:
        forks: hosts at a time; None for the default.
        connect_timeout: seconds for a host's first word.
        password: for sudo, when it asks; None when there is none.
    """

    forks: int | None = None
    connect_timeout: float = PATIENCE
    password: str | None = None


class Rollout:
    """The work of one command on a project; each secret is looked up once, however much is asked.

    Args:
        project: what the hosts are to have.
        reach: how they are reached.
        foresee: says what is foreseen from what a host has told.
        serial: hosts of a wave, instead of what the plays say.
        ahead: what has been begun on hosts already.
    """

    def __init__(
        self,
        project: Project,
        reach: Reach,
        foresee: Foresee = unforeseen,
        serial: Portion | None = None,
        ahead: Ahead | None = None,
    ) -> None:
        self._project = project
        self._foresee = foresee
        self._fleet = project.fleet
        self._serial = serial
        self._ahead = ahead
        self._reach = reach
        self._keyring = Keyring()
        self._change = uuid4().hex[:12]

    @cached_property
    def order(self) -> Waves:
        """In which order an apply changes the hosts."""
        return waves(self._fleet, self._serial)

    @cached_property
    def _origin(self) -> Origin | None:
        """Where the playbooks come from, for what is noted in the history of services."""
        return self._project.origin()

    @cached_property
    def _together(self) -> Mapping[str, list[str]]:
        """By host, those that it is changed together with."""
        return self._fleet.together()

    def _require_whole_groups(self, asked: Asked) -> None:
        """Refuse to change some nodes of a service that runs over several hosts without the others.

        Raises:
            ConfigError: the selection leaves out nodes.
        """
        for each in self._fleet.endpoints:
            if isinstance(asked, Remove) and asked.names is not None and each.name not in asked.names:
                continue
            left_out = [name for name in each.group if name not in self._fleet.catalogs]
            if left_out and not each.joins:
                message = f"service {each.name} runs over {', '.join(each.group)}, which are changed together"
                raise failure("nodes-left-out", message, hint=f"select {', '.join(left_out)}, too")

    def run(self, asked: Asked, listener: Listener, digests: Mapping[str, str] | None = None) -> Summary:
        """Ask all hosts the same, and return how it went. An apply then proves what waits for other hosts.

        Args:
            asked: what to do.
            listener: is told what happens.
            digests: of the plan that was agreed to, by host; a host that differs from it refuses.

        Raises:
            ConfigError: secrets cannot be read; no host has been reached then.
        """
        several = isinstance(asked, Apply) and len(self.order.hosts) > 1
        if isinstance(asked, Apply):
            asked = asked.replace(waves=several)
        targets = self._targets(asked, self._fleet, digests or {})
        summary = Summary()
        take = places.adding(self._fleet, _both(summary.hear, listener.take))
        if isinstance(asked, Inspect):
            take = containers.noting_recreated(self._fleet, take)
        ignored = asked.ignore if isinstance(asked, Changing) else ()
        verdicts = Verdicts(self._foresee, ignored, take)
        rotation = self._rotation(take, ignored)
        turns = self._turns(asked, several, take)
        meetings = Meetings(self._fleet.catalogs, ignored, turns.held if turns else frozenset)

        def hear(event: Event) -> None:
            if turns:
                turns.hear(event)
                meetings.consider()
            verdicts.take(event)

        if isinstance(asked, Apply | Rollback | Remove):
            self._require_whole_groups(asked)
        if isinstance(asked, Changing) and not (isinstance(asked, Remove) and asked.dry):
            # Hosts begin in the order of the waves: one that waits for its turn holds up none before it. The
            # nodes of one service begin one after another, as each waits for the others.
            numbers, names = self.order.numbers(), list(self._fleet.catalogs)
            first = {name: min(map(names.index, others)) for name, others in self._together.items()}
            targets.sort(key=lambda target: (numbers[target.host], first[target.host]))
        with closing(listener):
            answer = answering(verdicts, turns, rotation, meetings)
            self._send(targets, hear, summary, answer, turns, rotation, meetings.ended)
            if isinstance(asked, Apply) and summary.ok:
                late = self._targets(Verify(late=True), self._late_proofs(summary.changed), {})
                if late:
                    self._send(late, containers.late_proofs(self._fleet, listener.take), summary)
        return summary

    def _turns(self, asked: Asked, several: bool, take: OnEvent) -> Turns | None:
        """Return who may change when; None where nobody waits for others.

        Without waves, a node may still have to leave its host to another run which holds another node.
        """
        if several:
            return Turns(self.order, take)
        if not isinstance(asked, Apply | Rollback | Remove) or not self._fleet.groups:
            return None
        names = tuple(self._fleet.catalogs)
        return Turns(Waves((names,), max_failures=len(names)), take)

    def _rotation(self, take: OnEvent, ignored: Collection[str]) -> Rotation:
        """Return what speaks with the hosts of gateways while services are changed."""
        hosts, asks = self._project.hosts, self._reach.password is not None

        def target(gateway: Gateway, asked: Hold) -> Target:
            host = hosts[gateway.host]
            request = build(Catalog(host, [], []), asked, self._keyring)
            return Target(connection=connection_to(host, hosts, asks), request=request)

        return Rotation(self._fleet.gateways, target, ignored, take)

    def _late_proofs(self, changed: Collection[str]) -> Fleet:
        """Return the proofs that had to wait for other hosts.

        Where nothing has changed, neither on the host nor on those that it waited for, they are still valid.
        """
        left = {}
        for name, catalog in self._fleet.catalogs.items():
            waiting = self._fleet.deferred(name)
            due = [
                each
                for each in catalog.resources
                if each.id in waiting and not {name, *waiting[each.id]}.isdisjoint(changed)
            ]
            if due:
                left[name] = replace(catalog, resources=due)
        return self._fleet._replace(catalogs=left)

    def _targets(self, asked: Asked, fleet: Fleet, digests: Mapping[str, str]) -> list[Target]:
        """Return what to ask of each host, in an order that follows the edges.

        Raises:
            ConfigError: secrets cannot be read; the error names all of them.
        """
        targets = []
        problems: list[Problem] = []
        for name in fleet.catalogs:
            try:
                targets.append(self._target(asked, fleet, name, digests.get(name)))
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)
        return targets

    def _target(self, asked: Asked, fleet: Fleet, name: str, digest: str | None) -> Target:
        catalog = fleet.catalogs[name]
        if isinstance(asked, Apply) and asked.waves:
            wave = self.order.numbers()[name] + 1
            asked = asked.replace(doing=f"apply, wave {wave} of {len(self.order.hosts)}")
        way = fleet.way_to(name)
        applies = isinstance(asked, Apply)
        # A container is created before what is in it, and removed after it.
        inside_out = isinstance(asked, Remove)
        absent = None
        if inside_out and catalog.host.connection == "container":
            absent = partial(containers.nothing_to_remove, catalog)
        elif isinstance(asked, Inspect) and way is not None and way.resource is not None:
            absent = partial(containers.planned, catalog)
        return Target(
            connection=connection_to(catalog.host, self._project.hosts, self._reach.password is not None),
            request=build(
                catalog,
                asked,
                self._keyring,
                fleet.deferred(name) if applies else (),
                digest,
                self._origin if isinstance(asked, Apply | Rollback) else None,
                self._fleet.fronted() if isinstance(asked, Changing) else None,
                self._change,
            ),
            install_python=applies,
            after=None if inside_out or way is None else way.host,
            behind=tuple(fleet.inside(name)) if inside_out else (),
            foreseen=absent,
        )

    def _send(
        self,
        targets: list[Target],
        take: OnEvent,
        summary: Summary,
        answer: OnQuestion = agreed,
        order: Order | None = None,
        beside: Beside | None = None,
        on_end: OnEnd | None = None,
    ) -> None:
        reach = self._reach
        largest = max((len(others) for others in self._together.values()), default=1)
        ended = run(
            targets,
            max(reach.forks or FORKS, largest),
            take,
            on_question=answer,
            order=order,
            beside=beside,
            on_end=on_end,
            password=reach.password,
            limits=Limits(connect=reach.connect_timeout),
            ahead=self._ahead,
        )
        summary.end(ended.outcomes, ended.cancelled)


def answering(verdicts: Verdicts, turns: Turns | None, rotation: Rotation, meetings: Meetings) -> OnQuestion:
    """Return what answers hosts: after a survey, before their turn, and around the stop of a service."""

    def answer(question: Question, send: Callable[[Answer], None]) -> None:
        if isinstance(question, Turn) and turns:
            turns.ask(question, send)
        elif isinstance(question, Leave):
            rotation.leave(question, send)
        elif isinstance(question, Return):
            rotation.back(question, send)
        elif isinstance(question, Meet):
            meetings.meet(question, send)
        else:
            verdicts.answer(question, send)

    return answer


def _both(first: OnEvent, then: OnEvent) -> OnEvent:
    """Return a function that gives events to both."""

    def take(event: Event) -> None:
        first(event)
        then(event)

    return take
