"""What every verb that reaches hosts does: requests out, events to a view, an exit code."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from provision.cli import EXIT_INTERRUPTED
from provision.config.problems import ConfigError, Problem
from provision.connect import connection_to
from provision.rollout import run as fleet
from provision.rollout.keyring import Keyring
from provision.rollout.nesting import Nesting
from provision.rollout.request import build
from provision.transport.session import OnEvent

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog
    from provision.cli.options import Way
    from provision.project.project import Project
    from provision.show.progress import View


class Requests:
    """The requests of one command; secrets are looked up once however many verbs it runs."""

    def __init__(self, project: Project, way: Way) -> None:
        self._project = project
        self._way = way
        self._password = _sudo_password() if way.ask_become_pass else None
        self._keyring = Keyring()

    def run(
        self,
        verb: str,
        view: View,
        options: dict[str, Any],
        catalogs: Sequence[Catalog] | None = None,
        per_host: dict[str, dict[str, Any]] | None = None,
    ) -> fleet.Summary:
        """Carry out one verb on every host and return what became of each.

        Args:
            verb: for the host side.
            view: gets every event.
            options: for the host side.
            catalogs: what to work on; None for all of the project.
            per_host: options of single hosts.
        """
        catalogs = list(self._project.fleet.catalogs.values()) if catalogs is None else catalogs
        nesting = Nesting(catalogs)
        watched = nesting.watch(view.take)
        first = [nesting.softened(catalog) for catalog in catalogs] if verb == "apply" else catalogs
        targets = []
        problems: list[Problem] = []
        for catalog in first:
            asked = {**options, **(per_host or {}).get(catalog.host.name, {})}
            try:
                targets.append(self._target(nesting, catalog, verb, asked))
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)
        try:
            summary = self._carry_out(targets, watched)
            left = nesting.unproven(catalogs) if verb == "apply" and exit_code(summary) == 0 else []
            if left:
                targets = [self._target(nesting, catalog, "verify", {}) for catalog in left]
                proven = self._carry_out(targets, nesting.proofs(view.take))
                summary.outcomes.update(proven.outcomes)
                summary.cancelled = proven.cancelled
            return summary
        finally:
            view.close()

    def _target(self, nesting: Nesting, catalog: Catalog, verb: str, options: dict[str, Any]) -> fleet.Target:
        host = catalog.host
        # A container is made before what is in it, and removed after that.
        inside_out = verb == "remove"
        return fleet.Target(
            connection=connection_to(
                host,
                self._project.hosts,
                ask_password=self._password is not None,
            ),
            request=build(catalog, verb, self._keyring, options),
            install_python=verb == "apply",
            after=None if inside_out else nesting.outer(host.name),
            behind=nesting.inner(host.name) if inside_out else (),
            foreseen=nesting.foreseen(catalog, verb),
        )

    def _carry_out(self, targets: list[fleet.Target], take: OnEvent) -> fleet.Summary:
        limits = fleet.Limits(connect=self._way.connect_timeout)
        return asyncio.run(fleet.run(targets, self._way.forks, take, password=self._password, limits=limits))


def _sudo_password() -> str:
    if not sys.stdin.isatty():
        raise click.UsageError("--ask-become-pass needs a terminal to ask on")
    password: str = click.prompt("sudo password", hide_input=True, err=True)
    return password


def exit_code(summary: fleet.Summary) -> int:
    """Return 0 when every host did what it was asked, 130 after ^C, 1 otherwise."""
    if summary.cancelled:
        return EXIT_INTERRUPTED
    return int(any(outcome.status != "ok" for outcome in summary.outcomes.values()))
