"""Ansible's settings of how a host is reached, in our words; and those that have no counterpart.

Which of two levels wins is not decided here: to Ansible these are variables, and they are merged as such.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from provision.config.problems import Position, Problem, Problems, found, quoted
from provision.config.setting import Level, Setting
from provision.config.variables import Variable, name_problem
from provision.wire.finding import Finding, warning

_SPELLINGS: dict[str, tuple[str, ...]] = {
    "address": ("ansible_paramiko_host", "ansible_docker_host", "ansible_host", "ansible_ssh_host"),
    "port": ("ansible_paramiko_port", "ansible_port", "ansible_ssh_port"),
    "user": ("ansible_paramiko_user", "ansible_docker_user", "ansible_user", "ansible_ssh_user"),
    "become": ("ansible_sudo", "ansible_become"),
    "identity_file": (
        "ansible_paramiko_private_key_file",
        "ansible_private_key_file",
        "ansible_ssh_private_key_file",
    ),
    "python": ("ansible_python_interpreter",),
    "connection": ("ansible_connection",),
    "ssh_args": ("ansible_ssh_args",),
    "ssh_common_args": ("ansible_ssh_common_args",),
    "ssh_extra_args": ("ansible_ssh_extra_args",),
}  # fmt: skip
"""Ansible's names for each of our keys; of two at one level the later wins, as with Ansible."""

SSH_ARGUMENTS = ("ssh_args", "ssh_common_args", "ssh_extra_args")
"""Together our `ssh_options`: to Ansible they are three settings, and each has its own level."""


def sources_of(key: str) -> tuple[str, ...]:
    """Return the keys of settings that one of a host's own can come from, the strongest first."""
    return {
        "ssh_options": ("ssh_options", *SSH_ARGUMENTS),
        "container": ("container", "address"),
        "engine": ("engine", "connection"),
    }.get(key, (key,))


_KEYS = {written: key for key, spellings in _SPELLINGS.items() for written in spellings}

_CONNECTIONS = {
    "ssh": ("ssh", None),
    "smart": ("ssh", None),
    "paramiko": ("ssh", None),
    "paramiko_ssh": ("ssh", None),
    "local": ("local", None),
    "docker": ("container", "docker"),
    "docker_api": ("container", "docker"),
    "podman": ("container", "podman"),
}
_PASSWORD = re.compile(r"ansible_\w*(pass|password|passphrase|private_key)")
_TRUE, _FALSE = ("true", "yes", "on", "y", "t", "1"), ("false", "no", "off", "n", "f", "0", "")
_HOST_KEYS = re.compile(r"(stricthostkeychecking|userknownhostsfile|globalknownhostsfile)\b", re.IGNORECASE)
PRIORITY = "ansible_group_priority"
INVENTORY_HOSTNAME = "inventory_hostname"
"""What Ansible calls the name of the host, for templates in its inventories."""
PLAYBOOK_PYTHON = "ansible_playbook_python"
MAGIC = (INVENTORY_HOSTNAME, PLAYBOOK_PYTHON)
"""Names that Ansible itself gives a value, and that its inventories use in templates."""
_SILENT = frozenset(
    {PRIORITY, PLAYBOOK_PYTHON, "ansible_become_user", "ansible_become_method", "ansible_sudo_user"}
)
"""Read; `notes` names them where they ask for something else than what happens."""


def settings(variables: Mapping[str, Variable]) -> dict[str, Setting]:
    """Return what variables of one level say of how a host is reached, by our key."""
    found_: dict[str, Setting] = {}
    for key, spellings in _SPELLINGS.items():
        for written in spellings:
            if written in variables and variables[written].value is not None:
                found_[key] = Setting(**vars(variables[written]), key=key, written=written)
    return found_


def read_level(data: Mapping[str, Any], level: str, position: Position, problems: Problems) -> Level:
    """Read what one level of an Ansible inventory says.

    Args:
        data: as they were printed.
        level: "inventory", "group gpu" or "host gpu-1".
        position: of the inventory.
        problems: receives passwords, and settings that are encrypted.
    """
    read = Level()
    for name, given in data.items():
        value = _plain(given)
        if _PASSWORD.fullmatch(name):
            if value not in (None, ""):
                problems.append(_password(name, level, position))
        elif _encrypted(given):
            if name in _KEYS:
                message = f"`{name}` of {level} is encrypted by Ansible's vault"
                problems.add(
                    "ansible-setting", position, message, "write it in plain text: it is not a secret"
                )
            else:
                message = f"`{name}` is encrypted by Ansible's vault and is not read"
                read.notes.append(warning("ansible-setting", message))
        elif name_problem(name, None) is not None:
            message = f"`{name}` cannot be the name of a variable here and is not read"
            read.notes.append(warning("variable-name", message))
        else:
            read.variables[name] = Variable(value, level, source=position)
    read.settings = settings(read.variables)
    return read


def password_problems(variables: Mapping[str, Variable]) -> Iterator[Problem]:
    """Find passwords among variables that came in another way."""
    for name, variable in variables.items():
        if _PASSWORD.fullmatch(name) and variable.value not in (None, ""):
            yield _password(name, variable.level, variable.position)


def _password(name: str, level: str, position: Position | None) -> Problem:
    kind, _, of = level.partition(" ")
    who = f"the {kind} `{of}` has" if of else ("`-e` sets" if kind == "-e" else "`all` has")
    return Problem(
        "secret-in-yaml", position, f"{who} `{name}`", "use SSH keys, and --ask-become-pass for sudo"
    )


def _plain(value: Any) -> Any:
    """Return a value without Ansible's mark of what came from elsewhere."""
    if isinstance(value, dict):
        if set(value) == {"__ansible_unsafe"}:
            return value["__ansible_unsafe"]
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _encrypted(value: Any) -> bool:
    return isinstance(value, dict) and "__ansible_vault" in value


def priority(variables: Mapping[str, Variable]) -> int:
    """Return the priority of a group among those of the same depth; 1 unless it says so."""
    given = variables.get(PRIORITY)
    try:
        return int(given.value) if given is not None else 1
    except (TypeError, ValueError):
        return 1


class Converted:
    """The settings of one host, in our words, once their templates are rendered.

    Args:
        host: the host's name.
        settings: the settings that win; those in our words are left as they are.
        data: their values by the same keys.
        problems: receives values that cannot be used.
    """

    def __init__(
        self, host: str, settings: Mapping[str, Setting], data: Mapping[str, Any], problems: Problems
    ) -> None:
        self.host = host
        self.notes: list[Finding] = []
        self.unreachable: str | None = None
        """The connection of the host, if it is not supported."""
        self.data: dict[str, Any] = {}
        self._problems = problems
        for key, value in data.items():
            # A key that is a template is known by another name once it is rendered.
            setting = settings.get(key)
            if setting is None or not setting.of_ansible:
                self.data[key] = value
            elif key in SSH_ARGUMENTS:
                continue
            else:
                self._add(setting, value)
        given = [key for key in SSH_ARGUMENTS if key in data]
        arguments = [word for key in given for word in self._arguments(settings[key], data[key])]
        if arguments:
            own = self.data.get("ssh_options")
            self.data["ssh_options"] = [*(own if isinstance(own, list) else []), *arguments]
        if self.data.get("connection") == "container" and "address" in settings:
            address = self.data.pop("address", None)
            if address is not None and settings["address"].of_ansible:
                self.data.setdefault("container", address)

    def _add(self, setting: Setting, value: Any) -> None:
        key = setting.key
        if key == "connection":
            self._connection(value)
        elif key == "become":
            self.data[key] = self._truth(setting, value)
        elif key == "port":
            number = isinstance(value, str) and value.strip().isdecimal()
            self.data[key] = int(value) if number else value
        elif key == "python":
            self.data[key] = _python(value)
        elif value != "":
            self.data[key] = str(value) if isinstance(value, (int, float)) else value

    def _connection(self, value: Any) -> None:
        # Names of collections stand before it: community.docker.docker.
        known = _CONNECTIONS.get(str(value).rpartition(".")[2])
        if known is None:
            self.unreachable = str(value)
            return
        self.data["connection"], engine = known
        if engine:
            self.data.setdefault("engine", engine)

    def _truth(self, setting: Setting, value: Any) -> Any:
        word = str(value).strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        self._problem(setting, f"expected true or false, found {found(value)}")
        return False

    def _arguments(self, setting: Setting, value: Any) -> list[str]:
        try:
            words = shlex.split(value)
        except (ValueError, AttributeError):
            self._problem(setting, f"expected arguments of ssh, found {found(value)}")
            return []
        kept: list[str] = []
        for word in words:
            option = word.removeprefix("-o").strip()
            if _HOST_KEYS.match(option) and not re.search(r"=\s*(yes|accept-new)$", option):
                if kept[-1:] == ["-o"]:
                    kept.pop()
                message = f"`{option}` ({setting.written}) is ignored: host keys are always checked"
                self.notes.append(warning("host-key-checking", message))
            else:
                kept.append(word)
        return kept

    def _problem(self, setting: Setting, message: str) -> None:
        text = f"`{setting.written}` of host `{self.host}` ({setting.level}): {message}"
        self._problems.add("ansible-setting", setting.position, text)


def _python(value: Any) -> Any:
    """Return the interpreter; Ansible can also be told to search for one, or to ask `env`."""
    if not isinstance(value, str) or value.startswith("auto") or not value:
        return "python3"
    words = value.split()
    return words[-1] if words[:1] == ["/usr/bin/env"] and len(words) == 2 else value


def notes(variables: Mapping[str, Variable]) -> list[Finding]:
    """Return notes on Ansible settings of a host that are ignored."""
    messages: list[str] = []
    for name in ("ansible_become_user", "ansible_sudo_user"):
        user = variables.get(name)
        if user is not None and user.value not in (None, "", "root"):
            messages.append(f"`{name}: {user.value}` is ignored: the user is always root")
    method = variables.get("ansible_become_method")
    if method is not None and str(method.value).rpartition(".")[2] not in ("sudo", ""):
        messages.append(f"`ansible_become_method: {method.value}` is ignored: sudo is always used")
    rest = [
        name
        for name in variables
        if name.startswith("ansible_") and name not in _KEYS and name not in _SILENT
    ]
    if rest:
        names = ", ".join(f"`{name}`" for name in sorted(rest))
        messages.append(f"{names}: these Ansible settings have no counterpart here and are ignored")
    return [warning("ansible-setting", message) for message in messages]


def shown_as_setting(name: str) -> bool:
    """Whether a variable says how a host is reached, and so needs no line among its variables."""
    return name in _KEYS or name in (PRIORITY, *MAGIC)


def own_key(name: str, position: Position, beside: bool = False) -> Problem:
    """Return what is wrong with an Ansible setting in our own YAML, with the key to use.

    Args:
        name: of the setting.
        position: of its key.
        beside: whether our key would stand in its very place: on a host, a group or an inventory.
    """
    where = "" if beside else " on the host or on a group in the inventory"
    message = f"`{name}` is an Ansible setting and has no effect here"
    key = _KEYS.get(name)
    hint = "leave it out, or give a variable of your own another name"
    if key in SSH_ARGUMENTS:
        hint = f"write `ssh_options: [Name=value]`{where}"
    elif key is not None:
        hint = f"write `{key}: …`{where}"
    elif _PASSWORD.fullmatch(name):
        hint = "use SSH keys, and --ask-become-pass for sudo"
    elif name in ("ansible_become_user", "ansible_become_method"):
        hint = f"write `become: true`{where}: it means root, by sudo"
    return Problem("ansible-setting", position, message, hint)


def unreachable_note(host: str, connection: str) -> Finding:
    """Return the note for a host that is left out."""
    message = f"the host {host} is left out: its connection {quoted(connection)} is not supported"
    return warning("ansible-setting", message)
