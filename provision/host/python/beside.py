"""Environments side by side: each declaration of an environment has a directory of its own.

`environments/vllm-3f9a2c1b` is made beside `environments/vllm-91d0c7aa`, from which a server runs. That one
stays as it is, whatever becomes of the installation, and of the service with the new one.

A directory says what it belongs to: in `MARKER` while it is being made, in `MANIFEST` once it is whole.
Versions before these had one directory, `environments/vllm`. It stays in use until it differs from what is
declared.
"""

from __future__ import annotations

import os
import shutil
from typing import Iterator

from provision.host.files import paths
from provision.host.machine import Machine
from provision.host.python import cache, look
from provision.host.services import processes
from provision.host.state import durable
from provision.wire.specs.environment import EnvironmentSpec


def whole(path: str) -> bool:
    """Whether an installation there has once come to its end."""
    return os.path.exists(os.path.join(path, look.MANIFEST))


def in_use(machine: Machine, spec: EnvironmentSpec) -> str:
    """Return the directory that an environment has on this host: as declared, or that of an older version."""
    stem = spec.stem
    if stem is None or whole(spec.path) or os.path.islink(stem) or not whole(stem):
        return spec.path
    found = seen(machine, spec.replace(path=stem))
    return stem if found.expected == found.actual else spec.path


def seen(machine: Machine, spec: EnvironmentSpec) -> look.Look:
    """Return a look at an environment; the one that has decided for an older version's directory serves."""
    if spec.path != spec.stem:
        return look.Look(machine, spec)
    return machine.once(("look", spec.path), lambda: look.Look(machine, spec))


def others(spec: EnvironmentSpec) -> Iterator[str]:
    """Give the directories of the same environment besides that of this declaration, the newest first."""
    if spec.stem is None:
        return
    above, name = os.path.split(spec.stem)
    try:
        entries = sorted(os.listdir(above))
    except FileNotFoundError:
        return
    alike = [os.path.join(above, each) for each in entries if each == name or each.startswith(name + "-")]
    found = [path for path in alike if path != spec.path and _belongs(path, spec.stem)]
    yield from sorted(found, key=lambda path: os.stat(path).st_mtime_ns, reverse=True)


def _belongs(path: str, stem: str) -> bool:
    """Whether a directory is one of ours for this environment."""
    if os.path.islink(path):
        return False
    marked = durable.read(os.path.join(path, look.MARKER))
    if path == stem:
        return whole(path) or marked is not None
    return stem in ((marked or "").partition("\n")[0], look.manifest(path).get("of"))


def mark(path: str, spec: EnvironmentSpec) -> None:
    """Note that a directory of an environment is not whole, what it belongs to, and since which boot."""
    since = cache.begun(path) or processes.boot()
    durable.write(os.path.join(path, look.MARKER), f"{spec.stem or ''}\n{since}\n")


def remove(path: str, spec: EnvironmentSpec) -> None:
    """Delete a directory of an environment; what is left of it after a crash is still known as ours."""
    mark(path, spec)
    durable.remove(os.path.join(path, look.MANIFEST))
    for each in os.listdir(path):
        if each != look.MARKER:
            paths.delete(os.path.join(path, each))
    shutil.rmtree(path)


def link(spec: EnvironmentSpec, only_first: bool = False) -> None:
    """Let the name without a digest lead to this directory, for people and their scripts.

    Args:
        spec: the environment.
        only_first: not if it already leads to another one.
    """
    if spec.stem is not None:
        paths.lead(spec.stem, spec.path, only_first)


def linked(spec: EnvironmentSpec) -> bool:
    """Whether the name without a digest leads to this directory: it was in use."""
    stem = spec.stem
    return stem is not None and os.path.islink(stem) and os.readlink(stem) == os.path.basename(spec.path)


def size(path: str) -> int:
    """Return the bytes of all files of an environment."""
    total = 0
    for directory, _, files in os.walk(path):
        total += sum(os.lstat(os.path.join(directory, name)).st_size for name in files)
    return total
