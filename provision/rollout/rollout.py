"""What each verb does on the hosts of a project: requests out in the order of the graph, events back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from provision.config.problems import ConfigError, Problem
from provision.connect import connection_to
from provision.connect.base import PATIENCE
from provision.fleet.fleet import Fleet
from provision.rollout import containers
from provision.rollout.keyring import Keyring
from provision.rollout.request import build
from provision.rollout.run import Limits, Target, run
from provision.rollout.summary import Summary

if TYPE_CHECKING:
    from provision.project.project import Project
    from provision.transport.session import OnEvent
    from provision.wire.events import Event


class Listener(Protocol):
    """Who is told what happens."""

    def take(self, event: Event) -> None:
        """Hear one event; those of one host come in their order."""

    def close(self) -> None:
        """Hear that no event follows. It is not called when the run could not begin."""


@dataclass(frozen=True)
class Reach:
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
    """The work of one command on a project; secrets are looked up once, however many verbs it runs.

    Each verb returns how it went, and raises ConfigError before any host is reached when a secret cannot be
    had.

    Args:
        project: what the hosts are to have.
        reach: how they are reached.
    """

    def __init__(self, project: Project, reach: Reach) -> None:
        self._project = project
        self._fleet = project.fleet
        self._reach = reach
        self._keyring = Keyring()

    def inspect(self, listener: Listener, *, deep: bool = False) -> Summary:
        """Find out what an apply would change. `deep`: hash every model file."""
        asked = {"deep": deep, **self._playbooks()}
        watch = partial(containers.noting_recreated, self._fleet)
        return self._once("inspect", listener, self._fleet, asked, watch)

    def apply(
        self,
        listener: Listener,
        *,
        digests: Mapping[str, str] | None = None,
        deep: bool = False,
        prune: bool = False,
        verify: bool = False,
        rollback: bool = True,
    ) -> Summary:
        """Converge the hosts, then prove what has to wait for other hosts.

        Args:
            listener: is told what happens.
            digests: of the plan that was agreed to, by host; a host that is found otherwise refuses.
            deep: hash every model file.
            prune: remove what has left the playbooks.
            verify: run the checks of services that did not change, too.
            rollback: put back the files that a service last answered with when it no longer answers.
        """
        asked = {"deep": deep, "prune": prune, "verify": verify, "rollback": rollback, **self._playbooks()}
        targets = self._targets("apply", self._fleet, asked, digests or {})
        summary = Summary()
        with closing(listener):
            self._send(targets, _both(summary, listener), summary)
            late = self._late_proofs(summary.changed)
            if summary.ok and late.catalogs:
                proofs = containers.late_proofs(listener.take)
                self._send(self._targets("verify", late, {}), proofs, summary)
        return summary

    def verify(self, listener: Listener) -> Summary:
        """Run every check of every service."""
        return self._once("verify", listener, self._fleet, {})

    def status(self, listener: Listener) -> Summary:
        """Ask how the services are."""
        return self._once("status", listener, self._fleet, {})

    def logs(self, listener: Listener, *, lines: int, follow: bool = False) -> Summary:
        """Fetch the last lines of the logs of the services; with `follow`, go on."""
        return self._once("logs", listener, self._fleet, {"follow": follow, "lines": lines})

    def remove(
        self, listener: Listener, *, services: Collection[str], keep_models: bool, dry: bool = False
    ) -> Summary:
        """Take away what the playbooks have put on the hosts.

        Args:
            listener: is told what happens.
            services: only these; none means everything.
            keep_models: leave models on the disk.
            dry: only tell what would go.
        """
        asked = {
            "playbooks": self._project.playbook_names,
            "names": list(services) or None,
            "keep": ["model"] if keep_models else [],
            **({"dry": True} if dry else {}),
        }
        return self._once("remove", listener, self._fleet, asked)

    def _playbooks(self) -> dict[str, Any]:
        return {"playbooks": self._project.playbook_names, "partial": self._project.selection.partial}

    def _once(
        self,
        verb: str,
        listener: Listener,
        fleet: Fleet,
        options: dict[str, Any],
        watch: Callable[[OnEvent], OnEvent] = lambda take: take,
    ) -> Summary:
        """Send one request to each host; `watch` may add to what the listener hears."""
        targets = self._targets(verb, fleet, options)
        summary = Summary()
        with closing(listener):
            self._send(targets, watch(_both(summary, listener)), summary)
        return summary

    def _late_proofs(self, changed: Collection[str]) -> Fleet:
        """Return the proofs that had to wait for other hosts.

        Where nothing has changed, neither on the host nor on those that it waited for, they were proven
        before.
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
        return Fleet(left, self._fleet.edges)

    def _targets(
        self, verb: str, fleet: Fleet, options: dict[str, Any], digests: Mapping[str, str] | None = None
    ) -> list[Target]:
        """Return what to ask of each host, in an order that follows the edges.

        Raises:
            ConfigError: secrets cannot be had; all of them.
        """
        targets = []
        problems: list[Problem] = []
        for name in fleet.catalogs:
            digest = {"digest": digests[name]} if digests and name in digests else {}
            try:
                targets.append(self._target(verb, fleet, name, {**options, **digest}))
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)
        return targets

    def _target(self, verb: str, fleet: Fleet, name: str, options: dict[str, Any]) -> Target:
        catalog = fleet.catalogs[name]
        way = fleet.way_to(name)
        absent = None
        if verb == "remove" and catalog.host.connection == "container":
            absent = partial(containers.nothing_to_remove, catalog)
        elif verb == "inspect" and way is not None and way.resource is not None:
            absent = partial(containers.planned, catalog)
        # A container is created before what is in it, and removed after that.
        inside_out = verb == "remove"
        return Target(
            connection=connection_to(catalog.host, self._project.hosts, self._reach.password is not None),
            request=build(
                catalog, verb, self._keyring, options, fleet.deferred(name) if verb == "apply" else ()
            ),
            install_python=verb == "apply",
            after=None if inside_out or way is None else way.host,
            behind=tuple(fleet.inside(name)) if inside_out else (),
            foreseen=absent,
        )

    def _send(self, targets: list[Target], take: OnEvent, summary: Summary) -> None:
        reach = self._reach
        limits = Limits(connect=reach.connect_timeout)
        ended = asyncio.run(run(targets, reach.forks, take, password=reach.password, limits=limits))
        summary.end(ended.outcomes, ended.cancelled)


def _both(summary: Summary, listener: Listener) -> OnEvent:
    """Return a function that gives events to both."""

    def take(event: Event) -> None:
        summary.hear(event)
        listener.take(event)

    return take
