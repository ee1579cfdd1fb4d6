"""Hosts and groups: which machines there are, how to reach them, and the variables of each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from provision.config import inputs, patterns
from provision.config.groups import Group, ancestors, members, ordered_ancestors
from provision.config.hosts import Connection, Host
from provision.config.loading import Document, Part, load
from provision.config.model import HostPath, Model, Name, Port, Text, reject, shaped
from provision.config.problems import ConfigError, Position, Problem, did_you_mean, failure, quoted
from provision.config.validation import M, validate_except
from provision.config.variables import COMMAND_LINE, Rendering, Scope, Variable, name_problem, read_variables

LOCALHOST = "localhost"
SUFFIXES = (".yml", ".yaml")


def _checks_host_keys(option: str) -> str:
    words = option.lower().replace("=", " ").split()
    if words[:1] in (["stricthostkeychecking"], ["-ostricthostkeychecking"]) and words[1:] not in (
        ["yes"],
        ["accept-new"],
    ):
        raise reject("host keys are always checked", "accept-new trusts a host at first sight")
    return option


Address = Annotated[
    str, shaped(r"[^\s-]\S*", "a name or an address", "write 10.0.0.12, gpu-1.lan or an alias of ssh_config")
]
Login = Annotated[str, shaped(r"[^\s-]\S*", "the name of a user", "write ops")]
SshOption = Annotated[Text, AfterValidator(_checks_host_keys)]


class HostFields(Model):
    """How a host is reached."""

    connection: Connection | None = None
    """How to reach it. Default: ssh; for `localhost`, local."""
    address: Address | None = None
    """Name, address or ssh_config alias to connect to. Default: the name of the host."""
    port: Port | None = None
    """SSH port; not set: what ssh_config says."""
    user: Login | None = None
    """User to log in as; not set: what ssh_config says."""
    become: bool = False
    """Become root by sudo."""
    identity_file: Text | None = None
    """SSH key; not set: what ssh_config and the agent say."""
    ssh_options: list[SshOption] = []
    """More for ssh: `Name=value` as in ssh_config, or ssh's own arguments, each item one argument."""
    python: Annotated[str, shaped(r"[A-Za-z0-9_./+-]+", "a Python interpreter", "write python3.12")] = (
        "python3"
    )
    """The Python to run on the host: a name or a path; 3.8 or later."""
    prefix: HostPath | None = None
    """Where everything goes.

    Default: /opt/provision; on this machine without `become`, ~/.local/share/provision.
    """
    engine: Literal["docker", "podman"] | None = None
    """For `connection: container`: the engine. Default: the one that is there."""
    container: Name | None = None
    """For `connection: container`: the container's name. Default: the name of the host."""
    on: Name | None = None
    """For `connection: container`: the host that runs the engine. Default: this machine."""
    vars: dict[str, Any] | None = None
    """Variables of this host."""


class GroupFields(Model):
    """Hosts that belong together."""

    hosts: list[Text] | None = None
    """Names of hosts, or globs such as gpu-*."""
    groups: list[Name] | None = None
    """Groups whose hosts belong to this one, too."""
    vars: dict[str, Any] | None = None
    """Variables of all its hosts."""


class InventoryFile(Model):
    """One inventory file."""

    vars: dict[str, Any] | None = None
    """Variables of all hosts."""
    hosts: dict[Name, HostFields | None] | None = None
    """Hosts by name."""
    groups: dict[Name, GroupFields | None] | None = None
    """Groups by name."""


@dataclass(frozen=True)
class Explained:
    """A variable of a host: its value, where it comes from, and what it overrides."""

    name: str
    value: Any
    origin: str
    overridden: list[tuple[Any, str]]


def explain(host: Host) -> list[Explained]:
    """Each variable of a host with its rendered value, sorted by name.

    A value that cannot be rendered without a play's variables is shown as it is written.
    """
    scope = Scope(host.variables, host.facts)
    explained = []
    for name, variable in sorted(host.variables.items()):
        try:
            value = scope[name]
        except ConfigError:
            value = variable.value
        lost = [(other.value, other.origin) for other in host.overridden.get(name, ())]
        explained.append(Explained(name, value, variable.origin, lost))
    return explained


class Inventory:
    """All hosts and groups."""

    def __init__(self, hosts: dict[str, Host], groups: dict[str, list[str]], implicit: Host | None) -> None:
        self.hosts = hosts
        """Hosts by name, in the order they are written; `localhost` only when it is defined."""
        self.groups = groups
        """Names of the hosts of each group, those of its child groups included."""
        self._implicit = implicit

    @classmethod
    def empty(cls) -> Inventory:
        """An inventory that knows only `localhost`."""
        return _Reader({}).inventory()

    def select(self, pattern: str | Sequence[str], position: Position | None = None) -> list[Host]:
        """The hosts that a pattern means, in the inventory's order; `position` is where it was written.

        Raises:
            ConfigError: it, or a part of it, matches no host.
        """
        hidden = [self._implicit.name] if self._implicit else []
        return [
            self.host(name) for name in patterns.select(pattern, self.hosts, self.groups, hidden, position)
        ]

    def host(self, name: str) -> Host:
        """The host of this name.

        Raises:
            ConfigError: there is none.
        """
        if name in self.hosts:
            return self.hosts[name]
        if self._implicit is not None and name == self._implicit.name:
            return self._implicit
        raise failure(
            f"there is no host {quoted(name)}", None, did_you_mean(name, [*self.hosts, LOCALHOST], "hosts")
        )


def load_inventories(
    paths: Sequence[Path] | None, project: Path, extra_vars: Mapping[str, Any] | None = None
) -> Inventory:
    """Read and merge inventories.

    Args:
        paths: YAML files, executables that print JSON, or directories of them. None: the project's
            `inventories/`, which need not exist.
        project: the project's directory.
        extra_vars: variables above every other level.

    Raises:
        ConfigError: everything that is wrong in all of them.
    """
    reader = _Reader(extra_vars or {})
    for path in _files(paths, project, reader.problems):
        reader.read(path)
    return reader.inventory()


def _files(paths: Sequence[Path] | None, project: Path, problems: list[Problem]) -> list[Path]:
    if paths is None:
        return _in_folder(project / "inventories") or []
    found: list[Path] = []
    for path in paths:
        inside = _in_folder(path)
        if inside is None:
            inside = [path]
        if not inside:
            problems.append(Problem(Position(str(path), 1, 1), "there is no inventory in this directory"))
        found += inside
    return found


def _in_folder(folder: Path) -> list[Path] | None:
    entries = inputs.entries(folder)
    return entries and [
        path
        for path in entries
        if not path.is_dir()
        and not path.name.startswith(".")
        and (path.suffix in SUFFIXES or os.access(path, os.X_OK))
    ]


def without_own_keys(data: Any, keep: frozenset[str] = frozenset({"vars"})) -> Any:
    """The data without the keys that start with `x-`, which are the user's own; not inside `vars`."""
    if isinstance(data, dict):
        return {
            key: value if key in keep else without_own_keys(value, keep)
            for key, value in data.items()
            if not key.startswith("x-")
        }
    if isinstance(data, list):
        return [without_own_keys(item, keep) for item in data]
    return data


@dataclass
class _Declared:
    """A host as its files declare it."""

    data: dict[str, Any]
    document: Document
    loc: tuple[Part, ...]
    variables: dict[str, Variable]


class _Reader:
    """Gathers files, and then makes the inventory of them."""

    def __init__(self, extra_vars: Mapping[str, Any]) -> None:
        self.problems: list[Problem] = []
        self.variables: dict[str, Variable] = {}
        self.declared: dict[str, _Declared] = {}
        self.groups: dict[str, Group] = {}
        self.extra: dict[str, Variable] = {}
        self.conflicts: set[tuple[str, ...]] = set()
        """What was reported already: a variable, and the groups that disagree on it."""
        for name, value in extra_vars.items():
            problem = name_problem(name, None)
            if problem is None:
                self.extra[name] = Variable(value, COMMAND_LINE)
            else:
                self.problems.append(problem)

    # -- reading -------------------------------------------------------------------------------------------

    def read(self, path: Path) -> None:
        """Add one file."""
        try:
            if path.suffix not in SUFFIXES and path.is_file() and os.access(path, os.X_OK):
                from provision.config import dynamic

                document = dynamic.run(path)
            else:
                document = load(path)
        except ConfigError as error:
            self.problems += error.problems
            return
        if not isinstance(document.data, dict):
            self.problems.append(
                Problem(
                    document.where(),
                    "an inventory is a mapping with `hosts`, `groups` and `vars`",
                    "a list of plays is a playbook" if isinstance(document.data, list) else None,
                )
            )
            return
        data = without_own_keys(document.data)
        hosts = data.get("hosts")
        # Hosts may hold templates, so they are validated once they are rendered.
        self._validate(
            InventoryFile,
            {**data, "hosts": dict.fromkeys(hosts) if isinstance(hosts, dict) else hosts},
            document,
            (),
        )
        variables = read_variables(data.get("vars"), "inventory", document, ("vars",), self.problems)
        self._merge(self.variables, variables)
        for name, fields in (hosts if isinstance(hosts, dict) else {}).items():
            self._read_host(name, fields, document)
        groups = data.get("groups")
        for name, fields in (groups if isinstance(groups, dict) else {}).items():
            self._read_group(name, fields, document)

    def _validate(
        self,
        kind: type[M],
        data: Any,
        document: Document,
        loc: tuple[Part, ...],
        known: frozenset[tuple[Part, ...]] = frozenset(),
    ) -> M | None:
        def locate(part: Sequence[Part], key: bool) -> Position:
            return document.where((*loc, *part), key=key)

        return validate_except(kind, data, locate, self.problems, known)

    def _read_host(self, name: str, fields: Any, document: Document) -> None:
        loc = ("hosts", name)
        if fields is not None and not isinstance(fields, dict):
            self._validate(InventoryFile, {"hosts": {name: fields}}, document, ())
            return
        data = dict(fields or {})
        variables = read_variables(
            data.pop("vars", None), f"host {name}", document, (*loc, "vars"), self.problems
        )
        there = self.declared.get(name)
        if there is None:
            self.declared[name] = _Declared(data, document, loc, variables)
            return
        self._merge(there.variables, variables)
        if data and there.data and data != there.data:
            self.problems.append(
                Problem(
                    document.where(loc, key=True),
                    f"the host `{name}` is declared otherwise at {there.document.where(there.loc, key=True)}",
                    "declare it once",
                )
            )
        elif data:
            there.data, there.document, there.loc = data, document, loc

    def _read_group(self, name: str, fields: Any, document: Document) -> None:
        loc = ("groups", name)
        if name == patterns.ALL:
            self.problems.append(
                Problem(
                    document.where(loc, key=True),
                    "`all` is the built-in group of all hosts",
                    "give its variables in `vars:` at the top of the file",
                )
            )
            return
        if not isinstance(fields, dict):
            fields = {}
        group = self.groups.setdefault(name, Group(name, document.where(loc, key=True)))
        variables = read_variables(
            fields.get("vars"), f"group {name}", document, (*loc, "vars"), self.problems
        )
        self._merge(group.variables, variables)
        for key, references in (("hosts", group.hosts), ("groups", group.children)):
            values = fields.get(key)
            for index, value in enumerate(values if isinstance(values, list) else []):
                if isinstance(value, str):
                    references.append((value, document.where((*loc, key, index))))

    def _merge(self, there: dict[str, Variable], more: dict[str, Variable]) -> None:
        """Add variables of one level; two files that disagree on one are an error."""
        for name, variable in more.items():
            first = there.setdefault(name, variable)
            if first.value != variable.value:
                self.problems.append(
                    Problem(
                        variable.position,
                        f"the variable `{name}` ({variable.level}) has another value at {first.position}",
                        "set it once",
                    )
                )

    # -- making --------------------------------------------------------------------------------------------

    def inventory(self) -> Inventory:
        """The inventory of all that was read; raises `ConfigError` for everything that is wrong."""
        for name in self.declared:
            if name in self.groups:
                self.problems.append(
                    Problem(self.groups[name].position, f"`{name}` is the name of a group and of a host")
                )
            if name == patterns.ALL:
                where = self.declared[name].document.where(self.declared[name].loc, key=True)
                self.problems.append(Problem(where, "`all` cannot be the name of a host"))
        group_hosts = members(self.groups, list(self.declared), self.problems)
        if self.problems:
            raise ConfigError(self.problems)
        facts = _Facts(self, group_hosts)
        hosts = {name: self._host(name, group_hosts, facts) for name in self.declared}
        facts.hosts = {name: host for name, host in hosts.items() if host is not None}
        implicit = None
        if LOCALHOST not in self.declared:
            variables = {**self.variables, **self.extra}
            implicit = Host(LOCALHOST, "local", variables=variables, facts=facts.of(LOCALHOST))
            facts.hosts[LOCALHOST] = implicit
        self._check_on(facts.hosts)
        if self.problems:
            raise ConfigError(self.problems)
        return Inventory(
            {name: host for name, host in hosts.items() if host is not None}, group_hosts, implicit
        )

    def _host(self, name: str, group_hosts: Mapping[str, list[str]], facts: _Facts) -> Host | None:
        declared = self.declared[name]
        in_groups = [group for group, names in group_hosts.items() if name in names]
        levels = [self.variables, *self._group_levels(name, in_groups), declared.variables, self.extra]
        variables: dict[str, Variable] = {}
        overridden: dict[str, list[Variable]] = {}
        for level in levels:
            for key, variable in level.items():
                if key in variables:
                    overridden.setdefault(key, []).insert(0, variables[key])
                variables[key] = variable
        known_facts = facts.of(name)
        scope = Scope(variables, known_facts)
        circles = scope.circles()
        self.problems += circles
        rendering = Rendering(scope, lambda loc: declared.document.where((*declared.loc, *loc)))
        data = rendering.render(declared.data)
        self.problems += rendering.problems
        fields = self._validate(
            HostFields, data, declared.document, declared.loc, frozenset(rendering.failed)
        )
        if fields is None or rendering.problems or circles:
            return None
        position = declared.document.where(declared.loc, key=True)
        connection: Connection = fields.connection or ("local" if name == LOCALHOST else "ssh")
        self._check_fields(name, connection, fields, declared)
        return Host(
            name=name,
            connection=connection,
            address=fields.address,
            port=fields.port,
            user=fields.user,
            become=fields.become,
            identity_file=fields.identity_file,
            ssh_options=fields.ssh_options,
            python=fields.python,
            given_prefix=fields.prefix,
            engine=fields.engine,
            container=fields.container,
            on=fields.on,
            variables=variables,
            overridden=overridden,
            groups=sorted(in_groups),
            facts=known_facts,
            position=position,
        )

    def _check_fields(self, name: str, connection: str, fields: HostFields, declared: _Declared) -> None:
        """Refuse fields that this connection would ignore."""
        only = {
            "address": "ssh",
            "port": "ssh",
            "identity_file": "ssh",
            "ssh_options": "ssh",
            "engine": "container",
            "container": "container",
            "on": "container",
        }
        for key, needed in only.items():
            if (
                key in fields.model_fields_set
                and getattr(fields, key) not in (None, [])
                and connection != needed
            ):
                self.problems.append(
                    Problem(
                        declared.document.where((*declared.loc, key), key=True),
                        f"`{key}` has no meaning for `connection: {connection}`",
                        f"it belongs to `connection: {needed}`",
                    )
                )
        if connection == "local" and fields.user is not None:
            self.problems.append(
                Problem(
                    declared.document.where((*declared.loc, "user"), key=True),
                    "`user` has no meaning for `connection: local`: it is the user who runs provision",
                    "use `become: true` for root",
                )
            )

    def _group_levels(self, name: str, in_groups: Iterable[str]) -> list[Mapping[str, Variable]]:
        """The variables of a host's groups, parents first; groups that disagree are a problem."""
        mine = ordered_ancestors(self.groups, in_groups)
        above = {group: ancestors(self.groups, group) for group in mine}
        setters: dict[str, list[str]] = {}
        for group in mine:
            for key in self.groups[group].variables:
                setters.setdefault(key, []).append(group)
        settled = {*self.declared[name].variables, *self.extra}
        for key, setting in setters.items():
            nearest = [group for group in setting if not any(group in above[other] for other in setting)]
            values = [self.groups[group].variables[key] for group in nearest]
            different = [variable for variable in values if variable.value != values[0].value]
            conflict = (key, *nearest)
            if different and key not in settled and conflict not in self.conflicts:
                self.conflicts.add(conflict)
                self.problems.append(
                    Problem(
                        different[0].position,
                        f"the variable `{key}` of host `{name}` has another value in {values[0].origin}",
                        "the groups are siblings, so neither wins: set it on the host, or in one of them",
                    )
                )
        return [self.groups[group].variables for group in mine]

    def _check_on(self, hosts: Mapping[str, Host]) -> None:
        for name, host in hosts.items():
            if host.on is None:
                continue
            declared = self.declared[name]
            position = declared.document.where((*declared.loc, "on"))
            if host.on not in hosts:
                self.problems.append(
                    Problem(
                        position, f"there is no host {quoted(host.on)}", did_you_mean(host.on, hosts, "hosts")
                    )
                )
                continue
            seen = [name]
            step: str | None = host.on
            while step is not None and step in hosts and step not in seen:
                seen.append(step)
                step = hosts[step].on
            if step == name:
                chain = " → ".join([*seen, name])
                self.problems.append(Problem(position, f"the containers {chain} stand in each other"))


class _Facts:
    """What templates know of the inventory without any variable."""

    def __init__(self, reader: _Reader, group_hosts: Mapping[str, list[str]]) -> None:
        self._groups = group_hosts
        self._reader = reader
        self.hosts: dict[str, Host] = {}

    def of(self, name: str) -> Mapping[str, Any]:
        """The facts as they are seen from one host."""
        return _HostFacts(self, name)

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """Names of the hosts of each group."""
        return {name: list(hosts) for name, hosts in self._groups.items()}

    def describe(self, name: str) -> dict[str, Any]:
        """One host, as plain data."""
        declared = self._reader.declared.get(name)
        data = declared.data if declared else {}
        host = self.hosts.get(name)
        return {
            "name": name,
            "address": host.address or name if host else data.get("address") or name,
            "user": host.user if host else data.get("user"),
            "prefix": host.prefix if host else data.get("prefix"),
            "groups": sorted(group for group, hosts in self._groups.items() if name in hosts),
        }


class _HostFacts(Mapping[str, Any]):
    """`host`, `hosts` and `groups`, worked out when they are asked for."""

    _NAMES = ("host", "hosts", "groups")

    def __init__(self, facts: _Facts, name: str) -> None:
        self._facts = facts
        self._name = name

    def __getitem__(self, key: str) -> Any:
        if key == "host":
            return self._facts.describe(self._name)
        if key == "hosts":
            return {name: self._facts.describe(name) for name in self._facts.hosts}
        if key == "groups":
            return self._facts.groups
        raise KeyError(key)

    def __iter__(self) -> Any:
        return iter(self._NAMES)

    def __len__(self) -> int:
        return len(self._NAMES)
