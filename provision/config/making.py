"""From what inventory files declare to hosts: the settings and variables that win, rendered and checked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from provision.config import ansible, inputs, patterns
from provision.config.declared import Declared
from provision.config.documents import Part
from provision.config.groups import Group, Order, members
from provision.config.hosts import PREFIX, USER_PREFIX, Connection, Host, systemd_here
from provision.config.problems import (
    ConfigError,
    Position,
    Problem,
    did_you_mean,
    quoted,
    unrepeated,
)
from provision.config.setting import Setting
from provision.config.settings import ONLY_FOR, HostFields, fits
from provision.config.validation import validate_except
from provision.config.variables import Rendering, Scope, Variable
from provision.wire.finding import Finding, information

LOCALHOST = "localhost"

LEDGER = "state/ledger.json"
"""Below a prefix: what was put there, by which playbooks."""

T = TypeVar("T")

Made = tuple[dict[str, Host], dict[str, list[str]], Host | None, list[Finding]]


class Maker:
    """Makes the hosts of what was declared.

    Args:
        declared: what was read.
        playbooks: the names of those that are worked on.
    """

    def __init__(self, declared: Declared, playbooks: Iterable[str] = ()) -> None:
        self.declared = declared
        self._playbooks = frozenset(playbooks)
        self.problems = declared.problems
        self.notes = unrepeated(declared.notes)
        self._conflicts: set[tuple[str, ...]] = set()
        """What was reported already: a key, and the groups that disagree on it."""
        self._settings: dict[str, dict[str, list[Setting]]] = {}

    def made(self) -> Made:
        """The hosts, the hosts of each group, `localhost` where nobody declares it, and notes.

        Raises:
            ConfigError: for everything that is wrong.
        """
        declared = self.declared
        self._check_names()
        group_hosts = members(declared.groups, list(declared.hosts), self.problems)
        if self.problems:
            raise ConfigError(self.problems)
        self._order = Order(declared.groups)
        self._in_groups: dict[str, list[str]] = {name: [] for name in declared.hosts}
        for group, names in group_hosts.items():
            for name in names:
                self._in_groups[name].append(group)
        facts = _Facts(self, group_hosts)
        hosts = {name: host for name in declared.hosts if (host := self._host(name, facts)) is not None}
        group_hosts = {
            group: [name for name in names if name in hosts] for group, names in group_hosts.items()
        }
        facts.hosts = dict(hosts)
        implicit = None
        if LOCALHOST not in declared.hosts:
            variables = {**declared.variables, **declared.extra}
            prefix, notes = self._former_prefix("local", False)
            implicit = Host(
                LOCALHOST,
                "local",
                given_prefix=prefix,
                systemd=systemd_here(),
                variables=variables,
                facts=facts.of(LOCALHOST),
                notes=notes,
            )
            facts.hosts[LOCALHOST] = implicit
        self._check_on(facts.hosts)
        if self.problems:
            raise ConfigError(self.problems)
        return hosts, group_hosts, implicit, self.notes

    def _check_names(self) -> None:
        declared = self.declared
        for name, host in declared.hosts.items():
            if name in declared.groups:
                position = declared.groups[name].position
                self.problems.append(
                    Problem("name-taken", position, f"`{name}` is the name of a group and of a host")
                )
            if name == patterns.ALL:
                self.problems.append(
                    Problem("name-taken", host.position, "`all` cannot be the name of a host")
                )

    # -- levels --------------------------------------------------------------------------------------------

    def settings_of(self, name: str) -> dict[str, list[Setting]]:
        """What is said of how a host is reached, by key: the one that wins, then what lost, nearest first."""
        if name not in self._settings:
            declared = self.declared
            own = declared.hosts[name].settings
            last = ansible.settings(declared.extra)
            groups = self._group_levels(
                name, lambda group: group.settings, {*own, *last}, lambda setting: setting.variable, "setting"
            )
            found: dict[str, list[Setting]] = {}
            for level in (declared.settings, *groups, own, last):
                for key, setting in level.items():
                    found.setdefault(key, []).insert(0, setting)
            self._settings[name] = found
        return self._settings[name]

    def _variables_of(self, name: str) -> tuple[dict[str, Variable], dict[str, list[Variable]]]:
        """The variables of a host that win, and what lost against each."""
        declared = self.declared
        own = declared.hosts[name].variables
        groups = self._group_levels(
            name,
            lambda group: group.variables,
            {*own, *declared.extra},
            lambda variable: variable,
            "variable",
        )
        variables: dict[str, Variable] = {}
        overridden: dict[str, list[Variable]] = {}
        if declared.of_ansible:
            variables[ansible.INVENTORY_HOSTNAME] = Variable(name, "Ansible")
            variables[ansible.PLAYBOOK_PYTHON] = Variable("python3", "Ansible")
        for level in (declared.variables, *groups, own, declared.extra):
            for key, variable in level.items():
                if key in variables:
                    overridden.setdefault(key, []).insert(0, variables[key])
                variables[key] = variable
        return variables, overridden

    def _group_levels(
        self,
        name: str,
        of: Callable[[Group], Mapping[str, T]],
        settled: set[str],
        variable_of: Callable[[T], Variable],
        what: str,
    ) -> list[Mapping[str, T]]:
        """What a host's groups say, parents first; groups that disagree are a problem.

        Args:
            name: the host.
            of: what a group says, by key.
            settled: keys that a stronger level decides.
            variable_of: the value of what a group says.
            what: what it is called.
        """
        groups = self.declared.groups
        mine = self._order.sorted(self._in_groups[name])
        setters: dict[str, list[str]] = {}
        for group in mine:
            for key in of(groups[group]):
                setters.setdefault(key, []).append(group)
        for key, setting in setters.items():
            nearest = [
                group for group in setting if not any(group in self._order.above(other) for other in setting)
            ]
            if len(nearest) < 2 or key in settled or all(groups[group].of_ansible for group in nearest):
                continue
            values = [variable_of(of(groups[group])[key]) for group in nearest]
            different = [variable for variable in values if variable.value != values[0].value]
            conflict = (what, key, *nearest)
            if different and conflict not in self._conflicts:
                self._conflicts.add(conflict)
                called = f"the variable `{key}`" if what == "variable" else f"`{key}`"
                self.problems.append(
                    Problem(
                        "conflicting-values",
                        different[0].position,
                        f"{called} of host `{name}` has another value in {values[0].origin}",
                        "the groups are siblings, so neither wins: set it on the host, or in one of them",
                    )
                )
        return [of(groups[group]) for group in mine]

    # -- hosts ---------------------------------------------------------------------------------------------

    def _host(self, name: str, facts: _Facts) -> Host | None:
        declared = self.declared.hosts[name]
        variables, overridden = self._variables_of(name)
        said = self.settings_of(name)
        winning = {key: found[0] for key, found in said.items()}
        known_facts = facts.of(name)
        scope = Scope(variables, known_facts)
        circles = scope.circles()
        self.problems += circles

        def where(loc: Sequence[Part], key: bool = False) -> Position:
            setting = winning.get(str(loc[0])) if loc else None
            return (setting.position(tuple(loc[1:]), key) if setting else None) or declared.position

        rendering = Rendering(scope, lambda loc: where(loc))
        rendered = rendering.render({key: setting.variable.value for key, setting in winning.items()})
        self.problems += rendering.problems
        converted = ansible.Converted(name, winning, rendered, self.problems)
        if converted.unreachable is not None:
            self.notes.append(ansible.unreachable_note(name, converted.unreachable))
            return None
        data = converted.data
        connection: Connection = data.get("connection") or ("local" if name == LOCALHOST else "ssh")
        for key in [key for key, setting in winning.items() if not setting.own and not fits(key, connection)]:
            # Groups hold hosts of several kinds, and what they say is for those that it has a meaning for.
            data.pop(key, None)
        if connection != "ssh" and ("ssh_options" not in winning or not winning["ssh_options"].own):
            data.pop("ssh_options", None)
        fields = validate_except(HostFields, data, where, self.problems, frozenset(rendering.failed))
        if fields is None or rendering.problems or circles:
            return None
        self._check_fields(connection, fields, winning)
        prefix, former = self._prefix(connection, fields, where)
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
            given_prefix=prefix,
            supervisor=fields.supervisor,
            systemd=systemd_here() if connection == "local" else None,
            engine=fields.engine,
            container=fields.container,
            on=fields.on,
            variables=variables,
            overridden=overridden,
            settings=said,
            notes=(*declared.notes, *converted.notes, *ansible.notes(variables), *former),
            groups=sorted(self._in_groups[name]),
            facts=known_facts,
            position=declared.position,
        )

    def _prefix(
        self, connection: Connection, fields: HostFields, where: Callable[[Sequence[Part]], Position]
    ) -> tuple[str | None, Sequence[Finding]]:
        """The prefix as it is given, or has been before, and what there is to note of it."""
        if fields.prefix is None:
            return self._former_prefix(connection, fields.become)
        if fields.prefix.startswith("~") and (connection != "local" or fields.become):
            message = "`~` is the home of who runs provision, which has no meaning for this host"
            self.problems.append(Problem("wrong-path", where(("prefix",)), message, "write the whole path"))
        return os.path.expanduser(fields.prefix), ()

    def _former_prefix(self, connection: Connection, become: bool) -> tuple[str | None, Sequence[Finding]]:
        """Where root on this machine has put what the playbooks declare before it went to /opt/provision.

        Only what they themselves have put there counts: it would be left without an owner.
        """
        if connection != "local" or become or os.geteuid() != 0:
            return None, ()
        former = os.path.expanduser(USER_PREFIX)
        try:
            ledger = json.loads(inputs.content(Path(former, LEDGER)))
            theirs = {name for entry in ledger["resources"].values() for name in entry["playbooks"]}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None, ()
        mine = sorted(theirs & self._playbooks)
        if not mine:
            return None, ()
        message = (
            f"{former} is used on, as it holds what {', '.join(mine)} put there; new is {PREFIX}, after "
            "`provision remove` with this playbook, or with `prefix:` on the host"
        )
        return former, (information("former-prefix", message),)

    def _check_fields(self, connection: str, fields: HostFields, winning: Mapping[str, Setting]) -> None:
        """Refuse keys on a host that its connection would ignore."""
        for key, setting in winning.items():
            if not setting.own or fits(key, connection) or getattr(fields, key) in (None, []):
                continue
            message = f"`{key}` has no meaning for `connection: {connection}`"
            hint = f"it belongs to `connection: {ONLY_FOR.get(key)}`"
            if key == "user":
                message += ": it is the user who runs provision"
                hint = "use `become: true` for root"
            self.problems.append(Problem("conflicting-keys", setting.position(key=True), message, hint))

    def _check_on(self, hosts: Mapping[str, Host]) -> None:
        for name, host in hosts.items():
            if host.on is None:
                continue
            position = host.settings["on"][0].position()
            if host.on not in hosts:
                self.problems.append(
                    Problem(
                        "unknown-host",
                        position,
                        f"there is no host {quoted(host.on)}",
                        did_you_mean(host.on, hosts, "hosts"),
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
                self.problems.append(
                    Problem("circular-reference", position, f"the containers {chain} stand in each other")
                )


class _Facts:
    """What templates know of the inventory without any variable."""

    def __init__(self, maker: Maker, group_hosts: Mapping[str, list[str]]) -> None:
        self._groups = group_hosts
        self._maker = maker
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
        host = self.hosts.get(name)
        return {
            "name": name,
            "address": host.address or name if host else self._written(name, "address") or name,
            "user": host.user if host else self._written(name, "user"),
            "prefix": host.prefix if host else self._written(name, "prefix"),
            "groups": sorted(group for group, hosts in self._groups.items() if name in hosts),
        }

    def _written(self, name: str, key: str) -> Any:
        """What is written for a host that is not made yet."""
        if name not in self._maker.declared.hosts:
            return None
        said = self._maker.settings_of(name).get(key)
        return said[0].variable.value if said else None


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
