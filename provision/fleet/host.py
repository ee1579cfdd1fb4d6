"""From the plays of one host to its catalog."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from provision.catalog import environments, generic, models
from provision.catalog.builder import Builder
from provision.catalog.catalog import Catalog
from provision.catalog.environments import Environment
from provision.catalog.layout import Layout
from provision.catalog.models import Model, Use
from provision.catalog.templates import Templates
from provision.config.crosschecks import check_host
from provision.config.pace import Pace, Portion
from provision.config.problems import ConfigError, Problem, did_you_mean, failure, quoted
from provision.config.services.nodes import Of
from provision.fleet.declared import declared
from provision.fleet.graph import ordered
from provision.kinds.common import cards, modelpaths
from provision.kinds.common.context import ServiceContext
from provision.kinds.registry import KINDS

if TYPE_CHECKING:
    from provision.config.hosts import Host
    from provision.config.playbook import Play
    from provision.config.rollout import Rollout
    from provision.config.services.base import Service
    from provision.fleet.groups import Groups
    from provision.kinds.common.offer import Replicas


def compile_host(host: Host, plays: Sequence[Play], replicas: Replicas, groups: Groups) -> Catalog:
    """Return everything that `host` is to have.

    Reads templates and the files that plays name as sources; no clock, no network, no secret.

    Args:
        host: from the inventory.
        plays: those of all playbooks that are for this host, rendered for it, in order.
        replicas: the services of all hosts, by name.
        groups: the nodes of services that run over several hosts.

    Raises:
        ConfigError: everything that is wrong, at its place in the playbooks.
    """
    if not host.prefix:
        message = f"host {host.name} is used without root and names no directory to work in"
        hint = "give the host a prefix: /path that its user may write to, or become: true"
        raise failure("needs-prefix", message, plays[0].where("hosts"), hint)
    builder = Builder(host)
    builder.problems += _unknown_gpus(host)
    layouts = [_layout(host.prefix, play) for play in plays]
    generics: list[list[str]] = []
    known: dict[str, Environment] = {}
    for play, layout in zip(plays, layouts, strict=True):
        generics.append(generic.add(builder, play))
        known.update(environments.add(builder, play, layout))
    uses = _uses(plays, known)
    mounted = list(_mounted(plays))
    found: dict[str, Model] = {}
    for index, (play, layout) in enumerate(zip(plays, layouts, strict=True)):
        earlier = [each for each in plays[: index + 1] if each.playbook == play.playbook]
        commands = [f"command:{name}" for each in earlier for name in each.fields.commands]
        found.update(models.add(builder, play, layout, known, uses, commands, mounted))
    previous: dict[str, list[str]] = {}
    for play, layout, first in zip(plays, layouts, generics, strict=True):
        made = [f"environment:{name}" for name in play.fields.environments]
        # The plays of one playbook come one after another, independent of other playbooks.
        run = generic.commands(builder, play, [*previous.get(play.playbook, []), *first, *made])
        previous[play.playbook] = run[-1:] or previous.get(play.playbook, [])
        templates = _templates(play)
        for name, service in sorted(play.fields.services.items(), key=_follows):
            after = [*first, *run]
            service = modelpaths.led(service, builder)
            context = ServiceContext(
                builder,
                play,
                name,
                service,
                layout,
                tuple(after),
                known,
                found,
                templates,
                replicas,
                groups.of(play, name),
            )
            context.check_supervision()
            before = len(builder.services)
            with context.blame():
                KINDS[service.kind].lower(context)
            for info in builder.services[before:]:
                info.declared = declared(context)
    builder.problems += check_host(plays)
    resources, problems = ordered(builder.finish())
    if builder.problems or problems:
        raise ConfigError([*builder.problems, *problems])
    paces = {str(play.where("hosts")): _pace(play.fields.rollout) for play in plays if play.fields.services}
    return Catalog(host.reached(), resources, builder.services, builder.notes, paces)


def _follows(declared: tuple[str, Service]) -> bool:
    """Whether a service is one of nodes that another brings, which then comes first."""
    service = declared[1]
    return isinstance(KINDS[service.kind].nodes(service), Of)


def _pace(rollout: Rollout) -> Pace:
    return Pace(
        canary=rollout.canary,
        serial=Portion.read(rollout.serial),
        max_failures=Portion.read(rollout.max_failures),
        pause=rollout.pause,
        declared=bool(rollout.model_fields_set),
    )


def _unknown_gpus(host: Host) -> Iterator[Problem]:
    """Find GPUs of the inventory of which nothing is known."""
    for index, text in enumerate(host.gpus):
        _, name = cards.counted(text)
        if cards.card(name) is None:
            setting = host.settings["gpus"][0]
            position = setting.at((index,)) if isinstance(setting.value, list) else setting.position
            hint = did_you_mean(name, cards.cards()) or f"known: {', '.join(cards.cards())}"
            yield Problem("unknown-gpu", position, f"no GPU {quoted(name)} is known", hint)


def _layout(prefix: str, play: Play) -> Layout:
    root = play.variables.get("model_root")
    return Layout(prefix, root if isinstance(root, str) else None)


def _uses(plays: Sequence[Play], known: Mapping[str, Environment]) -> Mapping[str, Use]:
    """Return by model what the services that use it ask for."""
    uses: defaultdict[str, Use] = defaultdict(Use)
    for play in plays:
        for name, service in play.fields.services.items():
            kind = KINDS[service.kind]
            environment = known.get(getattr(service, "environment", ""))
            for model, files in kind.required(service).items():
                uses[model].required += files
                uses[model].environment = uses[model].environment or environment
            for model in getattr(service, "models", ()):
                uses[model].unnamed = True
            for model, wanted in kind.expects(service, name).items():
                uses[model].expects += wanted
    return uses


def _mounted(plays: Sequence[Play]) -> Iterator[str]:
    """Give the directories of the host that containers see."""
    for play in plays:
        for service in play.fields.services.values():
            yield from (volume.source for volume in getattr(service, "volumes", ()))


def _templates(play: Play) -> Templates:
    """Return the templates for a playbook: those beside it win, then its project's, then the shipped ones."""
    directory = play.directory
    beside = [directory / "templates"]
    if directory.name == "playbooks":
        beside.append(directory.parent / "templates")
    return Templates(beside)
