"""Which files are Ansible inventories, and not ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NO_SUFFIX = ("", ".ini")
"""How the names of INI inventories end."""

_OURS = frozenset({"hosts", "groups", "vars"})
_OF_A_GROUP = frozenset({"hosts", "children", "vars"})
_SECTION = re.compile(r"^\s*\[[^\]\s]+\]\s*(?:[#;].*)?$", re.MULTILINE)
_HOST_LINE = re.compile(r"^[A-Za-z0-9][\w.\[\]:-]*(?:[ \t]+[A-Za-z_]\w*=.*)?$")
_TOP = re.compile(r"^(?:all|plugin):", re.MULTILINE)
NEIGHBOURS = ("group_vars", "host_vars")
"""Folders beside an inventory that Ansible reads with it."""


def is_ini(text: str) -> bool:
    """Whether a text is an INI inventory: sections in brackets, or lines of hosts with `key=value`."""
    if _SECTION.search(text):
        return True
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and line[0] not in "#;"]
    return bool(lines) and all(_HOST_LINE.match(line) for line in lines)


def is_yaml_of_ansible(data: Any) -> bool:
    """Whether loaded YAML is an Ansible inventory: groups at the top, or the name of a plugin."""
    if not isinstance(data, Mapping) or not data or _OURS & set(data):
        return False
    if isinstance(data.get("plugin"), str):
        return True
    groups = [value for key, value in data.items() if not key.startswith("x-")]
    filled = [value for value in groups if value is not None]
    if "all" in data and not filled:
        return True
    return bool(filled) and all(isinstance(each, Mapping) and set(each) <= _OF_A_GROUP for each in filled)


def looks_like_yaml_of_ansible(text: str) -> bool:
    """Whether YAML that we cannot load, such as one with `!vault`, is an Ansible inventory."""
    return _TOP.search(text) is not None


def is_program(path: Path, text: str) -> bool:
    """Whether an executable file is a program: on some file systems every file may be executed."""
    if text.startswith("#!") or "\0" in text:
        return True
    if path.suffix == ".json":
        return not text.lstrip().startswith("{")
    return not is_ini(text)


def neighbours(path: Path) -> list[Path]:
    """Return the folders beside an inventory from which Ansible takes variables."""
    return [path.parent / name for name in NEIGHBOURS if (path.parent / name).is_dir()]
