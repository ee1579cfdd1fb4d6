"""What inventory files declare, gathered from all of them: settings, variables, hosts and groups."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from provision.config import foreign, inputs, patterns
from provision.config.ansible import own_key, password_problems, priority, read_level
from provision.config.documents import Document, Part, load, read
from provision.config.groups import Group
from provision.config.problems import ConfigError, Position, Problems, closest, failure, found
from provision.config.ranges import expand
from provision.config.setting import Level, Setting, called
from provision.config.settings import NAMES, InventoryFile
from provision.config.templating import is_template
from provision.config.validation import validate
from provision.config.variables import ANSIBLE, COMMAND_LINE, Loc, Variable, name_problem, read_variables
from provision.wire.finding import Finding

if TYPE_CHECKING:
    from provision.config.printed import Printed

V = TypeVar("V", bound=Variable)

KEYS = tuple(InventoryFile.model_fields)
"""The keys of an inventory file."""

SUFFIXES = (".yml", ".yaml")
_MOST_READ = 1_000_000
"""Bytes of a file that are looked at to see what it is."""


@dataclass(kw_only=True)
class DeclaredHost(Level):
    """A host as its files declare it; `position` is where it is declared first."""

    position: Position


class Declared:
    """All that was read. What is wrong is in `problems`.

    Args:
        extra: variables of the command line, above every other level.
    """

    def __init__(self, extra: Mapping[str, Any]) -> None:
        self.problems = Problems()
        self.all = Level()
        """What is said of all hosts."""
        self.hosts: dict[str, DeclaredHost] = {}
        self.groups: dict[str, Group] = {}
        self.extra: dict[str, Variable] = {}
        self.of_ansible = False
        """Whether any of it comes from an Ansible inventory."""
        for name, value in extra.items():
            problem = name_problem(name, None)
            if problem is None:
                self.extra[name] = Variable(value, COMMAND_LINE)
            else:
                self.problems.append(problem)
        self.problems += password_problems(self.extra)

    def notes(self) -> list[Finding]:
        """What the inventories ask for and cannot have, except for single hosts."""
        notes = [*self.all.notes]
        for name, group in self.groups.items():
            notes += (note.replace(message=f"group {name}: {note.message}") for note in group.notes)
        return notes

    # -- files ---------------------------------------------------------------------------------------------

    def read_all(self, paths: Sequence[Path] | None, project: Path) -> None:
        """Read inventories; None means the project's `inventories/`, which need not exist."""
        for_ansible: list[Path] = []
        for path in self._files(paths, project):
            with self.problems.gathered():
                if not self._read(path):
                    for_ansible.append(path)
        if for_ansible:
            from provision.config import dynamic

            with self.problems.gathered():
                self._add_printed(dynamic.read_by_ansible(for_ansible))

    def _files(self, paths: Sequence[Path] | None, project: Path) -> list[Path]:
        if paths is None:
            return _in_folder(project / "inventories") or []
        files: list[Path] = []
        for path in paths:
            inside = _in_folder(path)
            if inside is None:
                inside = [path]
            if not inside:
                message = "there is no inventory in this directory"
                self.problems.add("missing-file", Position(str(path), 1, 1), message)
            files += inside
        return files

    def _read(self, path: Path) -> bool:
        """Add one file; False when it is for Ansible's own reader. Raises `ConfigError`."""
        if path.suffix not in SUFFIXES and path.is_file():
            text = _text_of(path)
            if os.access(path, os.X_OK) and foreign.is_program(path, text):
                return self._read_program(path)
            if path.suffix == ".json":
                from provision.config import dynamic

                self._add_printed(dynamic.stored(path, read(path)))
                return True
            if foreign.is_ini(text):
                return False
        try:
            document = load(path)
        except ConfigError:
            if path.is_file() and foreign.looks_like_yaml_of_ansible(_text_of(path)):
                return False
            if not path.exists():
                hint = "-i names a file or a directory of inventories; --limit names hosts"
                raise failure(
                    "missing-file", "there is no such file", Position(str(path), 1, 1), hint
                ) from None
            raise
        if foreign.is_yaml_of_ansible(document.data):
            return False
        self._add_document(document)
        return True

    def _read_program(self, path: Path) -> bool:
        from provision.config import dynamic

        if foreign.neighbours(path):
            # Ansible gives the groups of a program the variables in these folders, too.
            return False
        self._add_printed(dynamic.run(path))
        return True

    # -- our own YAML --------------------------------------------------------------------------------------

    def _add_document(self, document: Document) -> None:
        if not isinstance(document.data, dict):
            message = "an inventory is a mapping with `hosts`, `groups` and `vars`"
            hint = "a list of plays is a playbook" if isinstance(document.data, list) else None
            self.problems.add("wrong-document", document.where(), message, hint)
            return
        data = self._without_ansible(without_own_keys(document.data), document, ())
        for section in ("hosts", "groups"):
            if isinstance(data.get(section), dict):
                data[section] = {
                    name: self._without_ansible(own, document, (section, name))
                    for name, own in data[section].items()
                }
        # Hosts, and settings with templates, are validated once they are rendered.
        outline = _without_templates(data)
        if "hosts" in data:
            outline["hosts"] = self._outline_of_hosts(data["hosts"], document)
        if isinstance(data.get("groups"), dict):
            outline["groups"] = {name: _without_templates(own) for name, own in data["groups"].items()}
        for key in [key for key, value in data.items() if key not in KEYS and isinstance(value, dict)]:
            near = closest(key, KEYS)
            hint = f"did you mean `{near}`?" if near else "hosts stand below `hosts:`, groups below `groups:`"
            self.problems.add("unknown-key", document.where((key,), key=True), f"unknown key `{key}`", hint)
            del outline[key]
        validate(InventoryFile, outline, document.where, self.problems)
        self._merge(self.all, self._level(data, "inventory", document, ()))
        for written, fields in _mapping(data.get("hosts")).items():
            self._add_host(written, fields, document)
        for name, fields in _mapping(data.get("groups")).items():
            self._add_group(name, fields, document)

    def _without_ansible(self, data: Any, document: Document, loc: tuple[Part, ...]) -> Any:
        """Report Ansible settings, which have other names here, and return the other keys."""
        if not isinstance(data, dict):
            return data
        for key in data:
            if key.startswith(ANSIBLE):
                self.problems.append(own_key(key, document.where((*loc, key), key=True), beside=True))
        return {key: value for key, value in data.items() if not key.startswith(ANSIBLE)}

    def _outline_of_hosts(self, hosts: Any, document: Document) -> Any:
        """What of hosts can be checked before they are rendered: their names, and that each is a mapping."""
        if isinstance(hosts, list) and all(isinstance(name, str) for name in hosts):
            message = "`hosts`: expected a mapping of keys to values, found a list"
            hint = f"write `{hosts[0]}:` on a line of its own, without `-`" if hosts else None
            self.problems.add("wrong-document", document.where(("hosts",)), message, hint)
            return None
        if not isinstance(hosts, dict):
            return hosts
        outline = {name: None if isinstance(fields, dict) else fields for name, fields in hosts.items()}
        for name, fields in outline.items():
            if isinstance(fields, str):
                message = f"`{name}`: expected a mapping of keys to values, found {found(fields)}"
                hint = f"write {{address: {fields}}}" if re.fullmatch(r"[\w.:-]+", fields) else None
                self.problems.add("wrong-document", document.where(("hosts", name)), message, hint)
                outline[name] = None
        return outline

    def _level(
        self, data: Mapping[str, Any], level: str, document: Document, loc: Loc, own: bool = False
    ) -> Level:
        """What a mapping says; of a host, `own`, every key but `vars` is taken for a setting."""
        return Level(
            settings={
                key: Setting(value, level, document, (*loc, key), key=key, written=key, own=own)
                for key, value in data.items()
                if (key != "vars" if own else key in NAMES)
            },
            variables=read_variables(data.get("vars"), level, document, (*loc, "vars"), self.problems),
        )

    def _add_host(self, written: str, fields: Any, document: Document) -> None:
        loc = ("hosts", written)
        if fields is not None and not isinstance(fields, dict):
            return
        # A range that is wrong was reported with the names of hosts.
        with suppress(ConfigError):
            for name in expand(written):
                host = self.hosts.setdefault(name, _new_host(name, document.where(loc, key=True)))
                self._merge(host, self._level(fields or {}, f"host {name}", document, loc, own=True))

    def _add_group(self, name: str, fields: Any, document: Document) -> None:
        loc = ("groups", name)
        position = document.where(loc, key=True)
        if name == patterns.ALL:
            hint = "give its variables in `vars:` at the top of the file"
            self.problems.add("name-taken", position, "`all` is the built-in group of all hosts", hint)
            return
        fields = _mapping(fields)
        group = self.groups.setdefault(name, _new_group(name, position))
        self._merge(group, self._level(fields, f"group {name}", document, loc))
        for key, references in (("hosts", group.hosts), ("groups", group.children)):
            values = fields.get(key)
            for index, value in enumerate(values if isinstance(values, list) else []):
                if isinstance(value, str):
                    references.append((value, document.where((*loc, key, index))))

    # -- Ansible inventories -------------------------------------------------------------------------------

    def _add_printed(self, printed: Printed) -> None:
        """Add what a program, or Ansible's own reader, has printed."""
        position = printed.position
        self.of_ansible = True
        # Names have the same rules, whoever gives them.
        outline = {
            "hosts": dict.fromkeys(printed.hosts),
            "groups": {
                name: {"hosts": group.hosts, "groups": group.children}
                for name, group in printed.groups.items()
            },
        }
        validate(InventoryFile, outline, lambda loc, key: position, self.problems)
        self._merge(self.all, read_level(printed.variables, "inventory", position, self.problems))
        for name, own in printed.hosts.items():
            host = self.hosts.setdefault(name, _new_host(name, position))
            self._merge(host, read_level(own, f"host {name}", position, self.problems))
        for name, printed_group in printed.groups.items():
            group = self.groups.setdefault(name, _new_group(name, position, of_ansible=True))
            level = read_level(printed_group.variables, f"group {name}", position, self.problems)
            self._merge(group, level)
            group.priority = priority(level.variables)
            group.hosts += [(host_name, position) for host_name in printed_group.hosts]
            group.children += [(child, position) for child in printed_group.children]

    # -- merging -------------------------------------------------------------------------------------------

    def _merge(self, there: Level, more: Level) -> None:
        """Add what another place says at one level."""
        there.notes += more.notes
        self._merge_values(there.settings, more.settings, there.whose)
        self._merge_values(there.variables, more.variables, there.whose)

    def _merge_values(self, there: dict[str, V], more: Mapping[str, V], whose: str) -> None:
        """Add values; two places that disagree on one are an error."""
        for name, value in more.items():
            first = there.setdefault(name, value)
            if first.value != value.value:
                message = f"{called(name, value)} of {whose} has another value at {first.position}"
                self.problems.add("conflicting-values", value.position, message, "set it once")


def _in_folder(folder: Path) -> list[Path] | None:
    entries = inputs.entries(folder)
    return entries and [path for path in entries if not path.name.startswith(".") and _is_inventory(path)]


def _is_inventory(path: Path) -> bool:
    """Whether a file in a directory of inventories is one; a note or a key beside them is not."""
    if path.is_dir():
        return False
    if path.suffix in SUFFIXES or os.access(path, os.X_OK):
        return True
    return path.suffix in foreign.NO_SUFFIX and foreign.is_ini(_text_of(path))


def _text_of(path: Path) -> str:
    """The start of a file, to see what it is; empty when it cannot be read."""
    try:
        return inputs.content(path, _MOST_READ).decode("utf-8", "replace")
    except OSError:
        return ""


def _new_host(name: str, position: Position) -> DeclaredHost:
    return DeclaredHost(whose=f"host `{name}`", position=position)


def _new_group(name: str, position: Position, of_ansible: bool = False) -> Group:
    return Group(whose=f"group `{name}`", name=name, position=position, of_ansible=of_ansible)


def _mapping(data: Any) -> dict[str, Any]:
    """A mapping; empty for what is none, which was reported."""
    return data if isinstance(data, dict) else {}


def _without_templates(data: Any) -> Any:
    """A group, or a whole file, without settings that have yet to be rendered."""
    if not isinstance(data, dict):
        return data
    return {key: value for key, value in data.items() if key not in NAMES or not _has_template(value)}


def _has_template(value: Any) -> bool:
    if isinstance(value, list):
        return any(_has_template(item) for item in value)
    return isinstance(value, str) and is_template(value)


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
