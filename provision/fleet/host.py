"""From the plays of one host to its catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from provision.catalog import environments, generic, models
from provision.catalog.builder import Builder
from provision.catalog.catalog import Catalog
from provision.catalog.environments import Environment
from provision.catalog.layout import Layout
from provision.catalog.models import Model
from provision.catalog.templates import Templates
from provision.config.crosschecks import check_host
from provision.config.problems import ConfigError
from provision.fleet.graph import ordered
from provision.kinds.common.context import service_context
from provision.kinds.registry import KINDS
from provision.wire.specs.model import Expectation

if TYPE_CHECKING:
    from provision.config.hosts import Host
    from provision.config.playbook import Play


def compile_host(host: Host, plays: Sequence[Play]) -> Catalog:
    """Return all that `host` is to have.

    Reads templates and the files that plays name as sources; no clock, no network, no secret.

    Args:
        host: from the inventory.
        plays: those of all playbooks that are for this host, rendered for it, in order.

    Raises:
        ConfigError: everything that is wrong, at its place in the playbooks.
    """
    builder = Builder(host)
    prefix = _prefix(builder, plays)
    if prefix is None:
        raise ConfigError(builder.problems)
    layouts = [Layout(prefix, _model_root(play)) for play in plays]
    first: dict[int, list[str]] = {}
    known: dict[str, Environment] = {}
    for index, (play, layout) in enumerate(zip(plays, layouts, strict=True)):
        first[index] = generic.add(builder, play)
        first[index] += generic.reload(builder, play)
        known.update(environments.add(builder, play, layout))
    used_with, required = _uses(plays, known)
    expected = _expected(plays)
    found: dict[str, Model] = {}
    for index, (play, layout) in enumerate(zip(plays, layouts, strict=True)):
        earlier = [each for each in plays[: index + 1] if each.playbook == play.playbook]
        commands = [f"command:{name}" for each in earlier for name in each.commands]
        found.update(models.add(builder, play, layout, known, used_with, required, expected, commands))
    previous: dict[str, list[str]] = {}
    for index, (play, layout) in enumerate(zip(plays, layouts, strict=True)):
        made = [f"environment:{name}" for name in play.environments]
        # The plays of one playbook come one after another; those of others are no business of theirs.
        run = generic.commands(builder, play, [*previous.get(play.playbook, []), *first[index], *made])
        previous[play.playbook] = run[-1:] or previous.get(play.playbook, [])
        _services(builder, play, layout, [*first[index], *run], known, found)
    builder.problems += check_host(plays)
    resources, problems = ordered(builder.finish())
    if builder.problems or problems:
        raise ConfigError([*builder.problems, *problems])
    return Catalog(host.reached(), resources, builder.services, builder.notes)


def _prefix(builder: Builder, plays: Sequence[Play]) -> str | None:
    """Return the host's prefix, or note that it has none; the state is kept there whatever is declared."""
    host = builder.host
    if not host.prefix:
        builder.problem(
            "needs-prefix",
            plays[0],
            ("hosts",),
            f"host {host.name} is used without root and names no directory to work in",
            "give the host a prefix: /path that its user may write to, or become: true",
        )
    return host.prefix or None


def _model_root(play: Play) -> str | None:
    root = play.variables.get("model_root")
    return root if isinstance(root, str) else None


def _uses(
    plays: Sequence[Play], known: Mapping[str, Environment]
) -> tuple[dict[str, Environment], dict[str, list[str]]]:
    """Return by model the environment of the first service that uses it, and the files that services
    require.
    """
    used_with: dict[str, Environment] = {}
    required: dict[str, list[str]] = {}
    for play in plays:
        for service in play.services.values():
            environment = known.get(getattr(service, "environment", ""))
            for model, files in KINDS[service.kind].required(service).items():
                required.setdefault(model, []).extend(files)
                if environment is not None:
                    used_with.setdefault(model, environment)
    return used_with, required


def _expected(plays: Sequence[Play]) -> dict[str, list[Expectation]]:
    """Return by model what the services that use it take it for."""
    found: dict[str, list[Expectation]] = {}
    for play in plays:
        for name, service in play.services.items():
            for model, wanted in KINDS[service.kind].expects(service, name).items():
                found.setdefault(model, []).extend(wanted)
    return found


def _services(
    builder: Builder,
    play: Play,
    layout: Layout,
    after: Sequence[str],
    known: Mapping[str, Environment],
    found: Mapping[str, Model],
) -> None:
    templates = _templates(play)
    for name, service in play.services.items():
        context = service_context(builder, play, name, layout, after, known, found, templates)
        with context.blame():
            KINDS[service.kind].lower(context)


def _templates(play: Play) -> Templates:
    """Return the templates for a playbook: those beside it win, then its project's, then the shipped ones."""
    directory = play.directory
    beside = [directory / "templates"]
    if directory.name == "playbooks":
        beside.append(directory.parent / "templates")
    return Templates(beside)
