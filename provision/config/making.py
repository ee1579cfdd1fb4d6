"""From what inventory files declare to hosts: the settings and variables that win, rendered and checked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from provision.config import ansible, inputs, patterns
from provision.config.circles import circles
from provision.config.declared import Declared
from provision.config.documents import Part
from provision.config.groups import Order, members
from provision.config.hosts import PREFIX, USER_PREFIX, Connection, Host, systemd_here
from provision.config.problems import Position, did_you_mean, quoted, unrepeated
from provision.config.setting import Level, Setting, called
from provision.config.settings import NAMES, ONLY_FOR, HostFields, fits
from provision.config.validation import validate
from provision.config.variables import Facts, Rendering, Scope, Variable
from provision.wire.finding import Finding, information

LOCALHOST = "localhost"

LEDGER = "state/ledger.json"
"""Below a prefix: what was put there, by which playbooks."""

V = TypeVar("V", bound=Variable)

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
        self.notes = unrepeated(declared.notes())
        self._conflicts: set[tuple[str, ...]] = set()
        """What was reported already: what the groups disagree on, and the groups."""
        self._settings: dict[str, dict[str, list[Setting]]] = {}
        self._hosts: dict[str, Host] = {}
        """Those that templates know, once all are made."""
        self._members: dict[str, list[str]] = {}
        """The hosts of each group."""

    def made(self) -> Made:
        """The hosts, the hosts of each group, `localhost` where nobody declares it, and notes.

        Raises:
            ConfigError: for everything that is wrong.
        """
        declared = self.declared
        self._check_names()
        self._members = members(declared.groups, list(declared.hosts), self.problems)
        self.problems.raise_any()
        self._order = Order(declared.groups)
        self._in_groups: dict[str, list[str]] = {name: [] for name in declared.hosts}
        for group, names in self._members.items():
            for name in names:
                self._in_groups[name].append(group)
        hosts = {name: host for name in declared.hosts if (host := self._host(name)) is not None}
        groups = {group: [name for name in names if name in hosts] for group, names in self._members.items()}
        self._members = groups
        self._hosts = dict(hosts)
        implicit = None
        if LOCALHOST not in declared.hosts:
            prefix, notes = self._former_prefix("local", False)
            implicit = Host(
                LOCALHOST,
                "local",
                given_prefix=prefix,
                systemd=systemd_here(),
                variables={**declared.all.variables, **declared.extra},
                facts=self._facts(LOCALHOST),
                notes=notes,
            )
            self._hosts[LOCALHOST] = implicit
        self._check_on(self._hosts)
        self.problems.raise_any()
        return hosts, groups, implicit, self.notes

    def _check_names(self) -> None:
        declared = self.declared
        for name, host in declared.hosts.items():
            if name in declared.groups:
                position = declared.groups[name].position
                self.problems.add("name-taken", position, f"`{name}` is the name of a group and of a host")
            if name == patterns.ALL:
                self.problems.add("name-taken", host.position, "`all` cannot be the name of a host")

    # -- levels --------------------------------------------------------------------------------------------

    def settings_of(self, name: str) -> dict[str, list[Setting]]:
        """What is said of how a host is reached, by key: the one that wins, then what lost, nearest first."""
        if name not in self._settings:
            last = ansible.settings(self.declared.extra)
            self._settings[name] = self._levels(name, lambda level: level.settings, {}, last)
        return self._settings[name]

    def _variables_of(self, name: str) -> dict[str, list[Variable]]:
        """The variables of a host: the one that wins, then what lost, nearest first."""
        given = {}
        if self.declared.of_ansible:
            given = {
                ansible.INVENTORY_HOSTNAME: Variable(name, "Ansible"),
                ansible.PLAYBOOK_PYTHON: Variable("python3", "Ansible"),
            }
        return self._levels(name, lambda level: level.variables, given, self.declared.extra)

    def _levels(
        self, name: str, of: Callable[[Level], Mapping[str, V]], first: Mapping[str, V], last: Mapping[str, V]
    ) -> dict[str, list[V]]:
        """What all levels say for a host, by key, the strongest first; `first` is below all, `last` above."""
        declared = self.declared
        own = of(declared.hosts[name])
        groups = self._order.sorted(self._in_groups[name])
        self._check_siblings(name, groups, of, {*own, *last})
        found: dict[str, list[V]] = {}
        levels = (of(level) for level in (declared.all, *(declared.groups[group] for group in groups)))
        for level in (first, *levels, own, last):
            for key, value in level.items():
                found.setdefault(key, []).insert(0, value)
        return found

    def _check_siblings(
        self, name: str, groups: list[str], of: Callable[[Level], Mapping[str, V]], settled: set[str]
    ) -> None:
        """Note where groups of a host disagree, none is above the other, and no stronger level decides."""
        declared = self.declared.groups
        setters: dict[str, list[str]] = {}
        for group in groups:
            for key in of(declared[group]):
                setters.setdefault(key, []).append(group)
        for key, setting in setters.items():
            nearest = [
                group for group in setting if not any(group in self._order.above(other) for other in setting)
            ]
            if len(nearest) < 2 or key in settled or all(declared[group].of_ansible for group in nearest):
                continue
            first, *others = (of(declared[group])[key] for group in nearest)
            different = next((other for other in others if other.value != first.value), None)
            conflict = (called(key, first), *nearest)
            if different is not None and conflict not in self._conflicts:
                self._conflicts.add(conflict)
                self.problems.add(
                    "conflicting-values",
                    different.position,
                    f"{called(key, first)} of host `{name}` has another value in {first.origin}",
                    "the groups are siblings, so neither wins: set it on the host, or in one of them",
                )

    # -- hosts ---------------------------------------------------------------------------------------------

    def _host(self, name: str) -> Host | None:
        declared = self.declared.hosts[name]
        variables = self._variables_of(name)
        winning_variables = {key: values[0] for key, values in variables.items()}
        said = self.settings_of(name)
        winning = {key: values[0] for key, values in said.items()}
        facts = self._facts(name)
        scope = Scope(winning_variables, facts)
        circular = scope.circles()
        self.problems += circular

        def where(loc: Sequence[Part], key: bool = False) -> Position:
            setting = winning.get(str(loc[0])) if loc else None
            return (setting.at(tuple(loc[1:]), key) if setting else None) or declared.position

        rendering = Rendering(scope, where)
        rendered = rendering.render({key: setting.value for key, setting in winning.items()})
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
        fields = validate(HostFields, data, where, self.problems, rendering.failed)
        if fields is None or rendering.problems or circular:
            return None
        self._check_fields(connection, fields, winning)
        prefix, former = self._prefix(connection, fields, where)
        same = {key: getattr(fields, key) for key in NAMES if key not in ("connection", "prefix")}
        return Host(
            name,
            connection,
            **same,
            given_prefix=prefix,
            systemd=systemd_here() if connection == "local" else None,
            variables=winning_variables,
            overridden={key: lost for key, (_, *lost) in variables.items() if lost},
            settings=said,
            notes=(*declared.notes, *converted.notes, *ansible.notes(winning_variables), *former),
            groups=sorted(self._in_groups[name]),
            facts=facts,
            position=declared.position,
        )

    def _prefix(
        self, connection: Connection, fields: HostFields, where: Callable[[Sequence[Part]], Position]
    ) -> tuple[str | None, Sequence[Finding]]:
        """The prefix as it is given, or has been before, and what there is to note of it."""
        if fields.prefix is None:
            return self._former_prefix(connection, fields.become)
        if fields.prefix.startswith("~") and (connection != "local" or fields.become):
            message = "`~` is the home of the user who runs provision, not a path on this host"
            self.problems.add("wrong-path", where(("prefix",)), message, "write the whole path")
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
            f"{former} stays in use, because it holds what {', '.join(mine)} put there; to move to {PREFIX}, "
            "run `provision remove` with this playbook first, or set `prefix:` on the host"
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
            self.problems.add("conflicting-keys", setting.at((), key=True), message, hint)

    def _check_on(self, hosts: Mapping[str, Host]) -> None:
        for host in hosts.values():
            if host.on is not None and host.on not in hosts:
                position = host.settings["on"][0].position
                hint = did_you_mean(host.on, hosts, "hosts")
                self.problems.add("unknown-host", position, f"there is no host {quoted(host.on)}", hint)
        containers = {name: [host.on] for name, host in hosts.items() if host.on is not None}
        for chain in circles(containers):
            position = hosts[chain[0]].settings["on"][0].position
            message = f"the containers {' → '.join(chain)} form a circle"
            self.problems.add("circular-reference", position, message)

    # -- what templates know without any variable -----------------------------------------------------------

    def _facts(self, name: str) -> Facts:
        """The facts as they are seen from one host."""
        return {
            "host": lambda: self._describe(name),
            "hosts": lambda: {each: self._describe(each) for each in self._hosts},
            "groups": lambda: {group: list(hosts) for group, hosts in self._members.items()},
        }

    def _describe(self, name: str) -> dict[str, Any]:
        """One host, as plain data; of a host that is not made yet, what is written."""
        host = self._hosts.get(name)
        said = self.settings_of(name) if host is None and name in self.declared.hosts else {}
        written = {key: setting.value for key, (setting, *_) in said.items()}
        return {
            "name": name,
            "address": (host.address if host else written.get("address")) or name,
            "user": host.user if host else written.get("user"),
            "prefix": host.prefix if host else written.get("prefix"),
            "groups": sorted(group for group, hosts in self._members.items() if name in hosts),
        }
