"""Dynamic inventories: an executable that prints Ansible-style JSON when called with `--list`."""

from __future__ import annotations

import json
import os
import selectors
import shlex
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from provision.config import inputs
from provision.config.loading import Document, parse
from provision.config.problems import ConfigError, Position, Problem, failure, quoted

TIMEOUT = 30
"""Seconds that the executable may take."""

MAX_BYTES = 16 << 20
"""Most that it may print."""

_FIELDS = {
    "ansible_host": "address",
    "ansible_user": "user",
    "ansible_port": "port",
    "ansible_become": "become",
    "ansible_ssh_private_key_file": "identity_file",
    "ansible_python_interpreter": "python",
}
_CONNECTIONS = {
    "ssh": ("ssh", None),
    "smart": ("ssh", None),
    "paramiko": ("ssh", None),
    "local": ("local", None),
    "docker": ("container", "docker"),
    "community.docker.docker": ("container", "docker"),
    "podman": ("container", "podman"),
    "containers.podman.podman": ("container", "podman"),
}
_PASSWORDS = ("ansible_password", "ansible_ssh_pass", "ansible_become_password", "ansible_become_pass")


def run(path: Path) -> Document:
    """What the executable prints, in the form of an inventory file; raises `ConfigError`.

    Its output has no lines that a reader could look up, so every position is that of the executable.
    """
    inputs.unrepeatable()
    position = Position(str(path), 1, 1)
    output = _output(path, position)
    try:
        printed = json.loads(output, parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        raise failure(
            f"prints no JSON: {error}", position, f"try it: {shlex.quote(str(path))} --list"
        ) from None
    if not isinstance(printed, dict):
        raise failure("prints JSON that is not an object", position, "print groups, as Ansible expects them")
    problems: list[Problem] = []
    data = _Translation(position, problems).inventory(printed)
    if problems:
        raise ConfigError(problems)
    document = parse("{}", str(path))
    document.data = data
    return document


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is no value of JSON")


def _output(path: Path, position: Position) -> str:
    try:
        process = subprocess.Popen(
            [str(path.absolute()), "--list"],
            cwd=path.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        hint = (
            "does its first line name an interpreter (#!/usr/bin/env python3)?" if error.errno == 8 else None
        )
        raise failure(f"cannot be run: {error.strerror}", position, hint) from None
    try:
        output, errors = _read(process)
        process.wait(TIMEOUT)
    except (TimeoutError, subprocess.TimeoutExpired):
        _end(process)
        raise failure(f"took longer than {TIMEOUT} s to list its hosts", position) from None
    finally:
        if process.poll() is None:
            _end(process)
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()
    if len(output) > MAX_BYTES:
        raise failure(f"prints more than {MAX_BYTES >> 20} MiB", position)
    if process.returncode != 0:
        said = errors.decode("utf-8", "replace").strip().splitlines()
        reason = f": {quoted(said[-1], 200)}" if said else ""
        raise failure(f"failed with exit code {process.returncode}{reason}", position)
    if not output.strip():
        raise failure("prints nothing", position, f"try it: {shlex.quote(str(path))} --list")
    return output.decode("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and what it has started, which may outlive it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """What it prints, up to a little more than MAX_BYTES, and the end of what it complains of.

    Raises TimeoutError.
    """
    output, complaints = bytearray(), bytearray()
    deadline = time.monotonic() + TIMEOUT
    with selectors.DefaultSelector() as selector:
        for stream, read in ((process.stdout, output), (process.stderr, complaints)):
            if stream:
                selector.register(stream, selectors.EVENT_READ, read)
        while selector.get_map() and len(output) <= MAX_BYTES:
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready or time.monotonic() > deadline:
                raise TimeoutError
            for key, _ in ready:
                block = os.read(key.fd, 65536)
                key.data.extend(block)
                if not block:
                    selector.unregister(key.fileobj)
            del complaints[:-65536]
    if len(output) > MAX_BYTES:
        os.killpg(process.pid, signal.SIGKILL)
    return bytes(output), bytes(complaints)


class _Translation:
    """From Ansible's words to ours."""

    def __init__(self, position: Position, problems: list[Problem]) -> None:
        self.position = position
        self.problems = problems

    def inventory(self, printed: dict[str, Any]) -> dict[str, Any]:
        meta = self._mapping(printed.get("_meta"), "_meta")
        variables = self._mapping(meta.get("hostvars"), "_meta.hostvars")
        hosts = {name: self._host(name, self._mapping(own, name)) for name, own in variables.items()}
        data: dict[str, Any] = {"hosts": hosts, "groups": {}}
        for name, group in printed.items():
            if name == "_meta":
                continue
            fields = {"hosts": group} if isinstance(group, list) else self._mapping(group, name)
            names = self._names(fields.get("hosts"), f"{name}.hosts")
            for host in names:
                hosts.setdefault(host, {})
            children = self._names(fields.get("children"), f"{name}.children")
            if name == "all":
                data["vars"] = self._mapping(fields.get("vars"), "all.vars")
            elif name != "ungrouped":
                own = self._mapping(fields.get("vars"), f"{name}.vars")
                data["groups"][name] = {
                    "hosts": names,
                    "groups": [child for child in children if child != "ungrouped"],
                    "vars": own,
                }
        return data

    def _host(self, name: str, variables: dict[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, value in variables.items():
            if key in _FIELDS:
                fields[_FIELDS[key]] = _converted(key, value)
            elif key == "ansible_connection":
                if value not in _CONNECTIONS:
                    self._problem(
                        f"the host `{name}` has the connection {quoted(str(value))}, which is not known"
                    )
                    continue
                fields["connection"], engine = _CONNECTIONS[value]
                if engine:
                    fields["engine"] = engine
            elif key in _PASSWORDS:
                self._problem(
                    f"the host `{name}` has `{key}`", "use SSH keys, and --ask-become-pass for sudo"
                )
            else:
                own[key] = value
        if fields.get("connection") == "container" and "address" in fields:
            fields["container"] = fields.pop("address")
        if fields.get("connection") == "local":
            fields.pop("address", None)
        return {**fields, "vars": own} if own else fields

    def _problem(self, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(self.position, message, hint))

    def _mapping(self, value: Any, what: str) -> dict[str, Any]:
        if value is None or isinstance(value, dict):
            return value or {}
        self._problem(f"prints JSON in which `{what}` is not an object")
        return {}

    def _names(self, value: Any, what: str) -> list[str]:
        if value is None or (isinstance(value, list) and all(isinstance(name, str) for name in value)):
            return value or []
        self._problem(f"prints JSON in which `{what}` is not a list of names")
        return []


def _converted(key: str, value: Any) -> Any:
    """Ansible takes numbers and booleans as text, too, and its interpreter may be left to a search."""
    if key == "ansible_port" and isinstance(value, str) and value.isdecimal():
        return int(value)
    if key == "ansible_become" and isinstance(value, str) and value.lower() in ("true", "yes", "on", "1"):
        return True
    if (
        key == "ansible_become"
        and isinstance(value, str)
        and value.lower() in ("false", "no", "off", "0", "")
    ):
        return False
    if key == "ansible_python_interpreter" and str(value).startswith("auto"):
        return "python3"
    return value
