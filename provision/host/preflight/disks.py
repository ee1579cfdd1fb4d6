"""Whether the disks have room for what is to be fetched: all that goes to one file system is added up."""

from __future__ import annotations

import os

from provision.host.files.paths import existing, free_bytes, free_files, human, mount_point
from provision.host.item import Item
from provision.host.preflight.needs import Fetch
from provision.host.preflight.scene import Found, Scene
from provision.wire.finding import Finding, fault, warning

SHOWN = 4
"""What is named of what goes to a file system, the largest first."""


def findings(scene: Scene) -> Found:
    """Return for each file system that is too small what is to go there."""
    coming: dict[int, list[tuple[Item, Fetch]]] = {}
    for item in scene.changing():
        for fetch in item.resource.fetches(scene.machine, item.changes):
            device = os.stat(existing(fetch.path)).st_dev
            coming.setdefault(device, []).append((item, fetch))
    found: Found = []
    for parts in coming.values():
        parts.sort(key=lambda part: -part[1].usual)
        finding = _judged(parts)
        if finding:
            item, fetch = parts[0]
            found.append((item, scene.verdict(item, finding.at(fetch.field))))
    return found


def _judged(parts: list[tuple[Item, Fetch]]) -> Finding | None:
    path = parts[0][1].path
    free, files = free_bytes(path), free_files(path)
    least = sum(fetch.least for _, fetch in parts)
    usual = sum(fetch.usual for _, fetch in parts)
    number = sum(fetch.files for _, fetch in parts)
    if usual > free:
        about = "" if least == usual else "about "
        named = [f"{item.label} {human(fetch.usual)}" for item, fetch in parts]
        message = (
            f"{about}{human(usual)} will be needed on {mount_point(path)}, where {human(free)} are free: "
            + ", ".join(named[:SHOWN])
            + (f" and {len(named) - SHOWN} more" if named[SHOWN:] else "")
        )
        hint = "free some space there, or set a path on another disk"
        return (fault if least > free else warning)("disk-full", message, hint)
    if files is not None and number > files:
        message = f"{number} files will be made on {mount_point(path)}, which has room for {files} (inodes)"
        return fault("disk-full", message, "delete files there, or set a path on another disk")
    return None
