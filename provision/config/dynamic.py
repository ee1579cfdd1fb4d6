"""Inventories that a program prints, in Ansible's JSON: called with `--list`, or Ansible's own reader."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from provision.config import inputs, programs
from provision.config.foreign import neighbours
from provision.config.printed import Printed
from provision.config.problems import ConfigError, Position, Problems, failure, quoted

TIMEOUT = 30
"""Seconds that a program may take to list its hosts, or to answer for one host."""

PATIENCE = 120
"""Seconds that it may take for all its hosts, where it is asked for each; and `ansible-inventory` for all."""

MAX_BYTES = 16 << 20
"""Most that it may print."""

_TOGETHER = 8
"""Hosts that a program is asked for at the same time."""

READER = "ansible-inventory"
"""Ansible's own reader of inventories; part of ansible-core."""

_STRICT = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1", "ANSIBLE_NOCOLOR": "1"}
"""Without these, it only warns of files that it cannot read."""


def run(path: Path) -> Printed:
    """Return what an executable prints for `--list`, and for `--host NAME` when `_meta` is not in that.

    Raises:
        ConfigError: it fails, takes too long, or prints something else.
    """
    inputs.unrepeatable()
    position = Position(str(path), 1, 1)
    command = [str(path.absolute())]
    shown = shlex.quote(str(path))
    output = _output([*command, "--list"], path.parent, position, TIMEOUT, "to list its hosts")
    printed = _printed(_json(output, position, f"{shown} --list"), position)
    if not printed.complete and printed.hosts:
        printed.hosts = _each(command, path, position, list(printed.hosts), output)
    return printed


def stored(path: Path, text: str) -> Printed:
    """Return what a file with the output of `--list` holds; raises `ConfigError`."""
    position = Position(str(path), 1, 1)
    return _printed(_json(text, position, None), position)


def read_by_ansible(paths: Sequence[Path]) -> Printed:
    """Return what Ansible's own reader makes of files, with `group_vars/` and `host_vars/` beside them.

    Raises:
        ConfigError: it is not installed, or cannot read them.
    """
    inputs.unrepeatable()
    position = Position(str(paths[0]), 1, 1)
    options = [word for path in paths for word in ("-i", str(path))]
    shown = shlex.join([READER, *options, "--list"])
    reader = _reader()
    if reader is None:
        beside = [f"{folder.name}/" for folder in neighbours(paths[0])]
        with_it = f" with {' and '.join(beside)} beside it" if beside else ""
        raise failure(
            "ansible-missing",
            f"this is an Ansible inventory{with_it}, which {READER} reads, and {READER} is not installed",
            position,
            f"run `pip install ansible-core`; or run `{shown} > hosts.json` where Ansible is installed, "
            "and use hosts.json as the inventory",
        )
    environment = {**os.environ, **_STRICT}
    command = [reader, *options, "--list"]
    try:
        output = _output(command, None, position, PATIENCE, "to list the hosts", environment)
    except ConfigError as error:
        raise failure(
            "dynamic-inventory", f"{READER} {error.problems[0].message}", position, f"try it: {shown}"
        ) from None
    return _printed(_json(output, position, shown), position)


def _reader() -> str | None:
    """Find Ansible's reader: on PATH, or in the environment that runs this."""
    beside = Path(sys.executable).parent / READER
    return shutil.which(READER) or (str(beside) if os.access(beside, os.X_OK) else None)


def _json(output: str, position: Position, command: str | None) -> dict[str, Any]:
    hint = f"try it: {command}" if command else None
    if not output.strip():
        raise failure("dynamic-inventory", "prints nothing", position, hint)
    try:
        printed = json.loads(output, parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        raise failure("dynamic-inventory", f"does not print JSON: {error}", position, hint) from None
    if not isinstance(printed, dict):
        raise failure(
            "dynamic-inventory",
            "prints JSON that is not an object",
            position,
            "print groups, as Ansible expects them",
        )
    return printed


def _printed(data: dict[str, Any], position: Position) -> Printed:
    problems = Problems()
    printed = Printed(data, position, problems)
    problems.raise_any()
    return printed


def _each(
    command: Sequence[str], path: Path, position: Position, hosts: Sequence[str], listed: str
) -> dict[str, dict[str, Any]]:
    """Ask for each host, several at a time.

    Raises:
        ConfigError: for the first host that it fails for.
    """
    until = time.monotonic() + PATIENCE
    advice = "print `_meta` with `hostvars` for --list, and no host has to be asked for"

    def ask(host: str) -> dict[str, Any]:
        shown = f"{shlex.quote(str(path))} --host {shlex.quote(host)}"
        left = min(float(TIMEOUT), until - time.monotonic())
        if left <= 0:
            message = f"took longer than {PATIENCE} s to answer for its {len(hosts)} hosts"
            raise failure("dynamic-inventory", message, position, advice)
        try:
            output = _output([*command, "--host", host], path.parent, position, left, f"for --host {host}")
        except ConfigError as error:
            raise failure(
                "dynamic-inventory", f"--host {host}: {error.problems[0].message}", position, advice
            ) from None
        # A program that ignores --host prints nothing, or the list again: the host has no variables.
        return {} if output == listed or not output.strip() else _json(output, position, shown)

    with ThreadPoolExecutor(min(_TOGETHER, len(hosts))) as together:
        try:
            return dict(zip(hosts, together.map(ask, hosts), strict=True))
        except BaseException:
            until = 0.0
            together.shutdown(wait=False, cancel_futures=True)
            raise


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON value")


def _output(
    command: Sequence[str],
    folder: Path | None,
    position: Position,
    seconds: float,
    purpose: str,
    environment: dict[str, str] | None = None,
) -> str:
    try:
        output = programs.run(command, folder, seconds, MAX_BYTES, environment)
    except TimeoutError:
        raise failure("dynamic-inventory", f"took longer than {seconds:.0f} s {purpose}", position) from None
    except OSError as error:
        lacks = error.errno == errno.ENOEXEC
        hint = "does its first line name an interpreter (#!/usr/bin/env python3)?" if lacks else None
        raise failure("dynamic-inventory", f"cannot be run: {error.strerror}", position, hint) from None
    if len(output.printed) > MAX_BYTES:
        raise failure("dynamic-inventory", f"prints more than {MAX_BYTES >> 20} MiB", position)
    if output.code != 0:
        cause = _cause(output.complaints.decode("utf-8", "replace"))
        reason = f": {quoted(cause, 200)}" if cause else ""
        raise failure("dynamic-inventory", f"failed with exit code {output.code}{reason}", position)
    return output.printed.decode("utf-8", "replace")


def _cause(complaints: str) -> str | None:
    """Return the line with the cause: usually the last one; Ansible's reader ends with a summary."""
    lines = complaints.strip().splitlines()
    causes = [line for line in lines if line.startswith("Failed to parse inventory: ")]
    return causes[-1] if causes else lines[-1] if lines else None
