"""Playbooks: what hosts are to have. A play is typed for each host, after its templates were rendered."""

from __future__ import annotations

import marshal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel

from provision.config import resources
from provision.config.declared import without_own_keys
from provision.config.documents import Document, Part, load
from provision.config.hosts import Host
from provision.config.model import HostPath, Model, Name, OneOrMany, Tags, Text, one_or_many
from provision.config.problems import ConfigError, Position, Problem, Problems, failure, found
from provision.config.rollout import Rollout
from provision.config.secrets import Secret
from provision.config.services.any import AnyService
from provision.config.validation import keys_of, meant, validate
from provision.config.variables import (
    COMMAND_LINE,
    Facts,
    Loc,
    Rendering,
    Scope,
    Variable,
    read_variables,
    static_parts,
)


class PlayFields(Model):
    """The keys of a play."""

    name: Text | None = None
    """What the play is called."""
    hosts: Annotated[list[Text], OneOrMany()]
    """The hosts: names, groups, globs, or all; ! excludes."""
    tags: Tags = []
    """Words to select the play by (`--tags`)."""
    vars: dict[str, Any] | None = None
    """Variables of the play."""
    rollout: Rollout = Rollout()
    """In which order its hosts are changed, where it has services. Default: one first, then all others."""
    packages: list[resources.AptPackage] = []
    """apt packages: "git", or "git=1:2.43.0-1" for one version."""
    groups: resources.Groups = {}
    """Unix groups by name."""
    users: resources.Users = {}
    """Unix users by name."""
    sysctls: resources.Sysctls = {}
    """Parameters of the kernel by name: `net.core.somaxconn: 4096`."""
    directories: resources.Directories = {}
    """Directories by path."""
    files: dict[HostPath, resources.File] = {}
    """Files by path."""
    commands: dict[Name, resources.Task] = {}
    """Commands by name, run in this order."""
    environments: resources.Environments = {}
    """Python environments by name."""
    models: resources.Models = {}
    """Models by name."""
    services: dict[Name, AnyService] = {}
    """Services by name."""


@dataclass(frozen=True)
class Play:
    """A play as it is for one host."""

    raw: RawPlay
    host: Host
    variables: Mapping[str, Any]
    """All variables that apply, rendered when they are looked up."""
    fields: PlayFields
    renamed: Mapping[Loc, str]
    """The keys that were rendered from templates, by location: what is written there."""

    @property
    def playbook(self) -> str:
        """The name of the playbook."""
        return self.raw.playbook.name

    @property
    def directory(self) -> Path:
        """The folder of the playbook, which relative paths start from."""
        return self.raw.playbook.path.parent

    def where(self, *loc: Part, key: bool = False) -> Position:
        """The place of the value at `loc`, or of its key, in the playbook."""
        return self.raw.where(as_written(loc, self.renamed), key=key)


def as_written(loc: Sequence[Part], renamed: Mapping[Loc, str]) -> Loc:
    """A location in rendered data as one in the file, where keys may be templates."""
    return tuple(renamed.get(tuple(loc[: index + 1]), part) for index, part in enumerate(loc))


class RawPlay:
    """A play as it is written."""

    def __init__(self, playbook: Playbook, document: Document, index: int) -> None:
        self.playbook = playbook
        self.hosts: list[str] = one_or_many(document.data[index]["hosts"])
        """The pattern of the hosts it is for."""
        self._document = document
        self._index = index
        # `vars` are rendered when they are used, each with its own position.
        # An HTTP header may well begin with `x-`, and so may what a check sends.
        kept = frozenset({"vars", "headers", "body"})
        self._data = without_own_keys({k: v for k, v in document.data[index].items() if k != "vars"}, kept)
        self._static = static_parts(self._data)
        self._typed: dict[bytes, PlayFields | list[Problem]] = {}

    def where(self, loc: Sequence[Part] = (), *, key: bool = False) -> Position:
        """The place of the value at `loc` of this play, or of its key."""
        return self._document.where((self._index, *loc), key=key)

    @cached_property
    def variables(self) -> dict[str, Variable]:
        """The play's own variables."""
        loc = (self._index, "vars")
        return read_variables(
            self._document.data[self._index].get("vars"), "play", self._document, loc, Problems()
        )

    @property
    def kinds(self) -> set[str]:
        """The kinds of its services, as they are written."""
        services = self._data.get("services")
        written = services.values() if isinstance(services, dict) else ()
        return {str(each.get("kind")) for each in written if isinstance(each, dict)}

    def for_host(self, host: Host, extra_vars: Mapping[str, Any] | None = None) -> Play:
        """The play as it is for one host: rendered, checked, typed.

        Args:
            host: one that the play is for.
            extra_vars: variables above every other level.

        Raises:
            ConfigError: everything that is wrong with it for this host.
        """
        extra = {name: Variable(value, COMMAND_LINE) for name, value in (extra_vars or {}).items()}
        scope = Scope({**host.variables, **self.variables, **extra}, {**host.facts, **self.playbook.facts()})
        problems = scope.circles()
        rendering = Rendering(scope, self.where, self._static)
        data = rendering.render(self._data)
        problems += rendering.problems
        # A play's own variables are its author's responsibility, used or not.
        for name in [] if problems else self.variables:
            try:
                scope[name]
            except ConfigError as error:
                problems += error.problems
        typed = self._validate(data, rendering)
        if isinstance(typed, list):
            raise ConfigError([*problems, *typed])
        if problems:
            raise ConfigError(problems)
        return Play(self, host, scope, typed, rendering.renamed)

    def _validate(self, data: Any, rendering: Rendering) -> PlayFields | list[Problem]:
        """The typed fields, or what is wrong; hosts for which the data is the same share them."""
        key = marshal.dumps((data, sorted(map(repr, rendering.failed)), sorted(rendering.renamed.items())), 2)
        if key in self._typed:
            return self._typed[key]
        problems: list[Problem] = []

        def locate(loc: Sequence[Part], key: bool) -> Position:
            return self.where(as_written(loc, rendering.renamed), key=key)

        typed = validate(PlayFields, data, locate, problems, rendering.failed)
        if typed is not None and not problems:
            typed = _with_places(typed, lambda loc: locate(loc, False), self.playbook.path.parent, ())
        self._typed[key] = typed if typed is not None and not problems else problems
        return self._typed[key]


def _with_places(value: Any, where: Any, folder: Path, loc: Loc) -> Any:
    """The value with every secret in it told where it was written."""
    if isinstance(value, Secret):
        return value.located(where(loc), folder)
    if isinstance(value, BaseModel):
        changed = {}
        for name, field in type(value).model_fields.items():
            old = getattr(value, name)
            new = _with_places(old, where, folder, (*loc, field.alias or name))
            if new is not old:
                changed[name] = new
        return value.model_copy(update=changed) if changed else value
    if isinstance(value, dict):
        new_items = {key: _with_places(item, where, folder, (*loc, key)) for key, item in value.items()}
        return new_items if any(new_items[key] is not value[key] for key in value) else value
    if isinstance(value, list):
        items = [_with_places(item, where, folder, (*loc, index)) for index, item in enumerate(value)]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


@dataclass(frozen=True)
class Playbook:
    """A file of plays."""

    path: Path
    plays: list[RawPlay]

    @property
    def name(self) -> str:
        """The file's name without its ending: what hosts remember it by."""
        return self.path.stem

    def facts(self) -> Facts:
        """What templates know of where it is."""
        folder = self.path.absolute().parent
        project = folder.parent if folder.name == "playbooks" else folder
        return {"playbook_dir": lambda: str(folder), "project_dir": lambda: str(project)}


def load_playbook(path: Path | str) -> Playbook:
    """Read a playbook.

    Raises:
        ConfigError: everything that is wrong with it whatever the host.
    """
    path = Path(path)
    document = load(path)
    _check_shape(document)
    playbook = Playbook(path, [])
    playbook.plays.extend(RawPlay(playbook, document, index) for index in range(len(document.data)))
    return playbook


def _check_shape(document: Document) -> None:
    """Refuse what is not a list of mappings that name their hosts and have known keys."""
    plays = document.data
    if not isinstance(plays, list):
        message = f"a playbook is a list of plays, found {found(plays)}"
        is_inventory = isinstance(plays, dict) and isinstance(plays.get("hosts"), dict)
        begin = "begin each play with `- hosts: …`"
        hint = "it looks like an inventory, which is named with -i" if is_inventory else begin
        raise failure("wrong-document", message, document.where(), hint)
    if not plays:
        raise failure("empty-file", "the playbook has no plays", document.where())
    problems = Problems()
    for index, play in enumerate(plays):
        if not isinstance(play, dict):
            message = f"a play is a mapping, found {found(play)}"
            problems.add("wrong-document", document.where((index,)), message, "it begins with `hosts: …`")
            continue
        for key in play:
            if key not in keys_of(PlayFields) and not key.startswith("x-"):
                position = document.where((index, key), key=True)
                problems.add("unknown-key", position, f"unknown key `{key}`", meant(key, PlayFields))
        hosts = one_or_many(play.get("hosts"))
        if "hosts" not in play:
            hint = "name a host, a group, or all"
            problems.add("missing-key", document.where((index,)), "missing key `hosts`", hint)
        elif not hosts or not isinstance(hosts, list) or not all(isinstance(name, str) for name in hosts):
            message = f"`hosts`: expected a host pattern or a list of them, found {found(play['hosts'])}"
            problems.add("empty-value", document.where((index, "hosts")), message)
        read_variables(play.get("vars"), "play", document, (index, "vars"), problems)
    problems.raise_any()
