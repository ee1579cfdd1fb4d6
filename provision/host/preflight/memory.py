"""Whether the host has the memory that services keep outside of their GPUs, and room in /dev/shm."""

from __future__ import annotations

import os

from provision.host.files.paths import human
from provision.host.item import Item
from provision.host.preflight.scene import Found, Scene
from provision.wire.finding import Finding, fault, warning
from provision.wire.server import Demands

CODE = "low-memory"
KEPT = "extra_args"
"""The field with the flags by which a service keeps something in the memory of the host."""
SEVERAL = "tensor_parallel_size"
"""The field that most often makes a service use several GPUs."""

OBJECTS = "object_store_memory"
"""The field with what Ray keeps for its tasks."""

SHARED = "/dev/shm"
LEAST = 10 * 16 * 1024**2
"""What vLLM's queue between processes takes there: `MessageQueue` has 10 chunks of 16 MiB
(`distributed/device_communicators/shm_broadcast.py` and `VLLM_MQ_MAX_CHUNK_BYTES_MB` of vLLM 0.25.1).
"""
USUAL = 1024**3
"""What NVIDIA recommends for NCCL (its documentation, "Troubleshooting", "Shared Memory")."""

LARGER = f"make it larger: `mount -o remount,size=8g {SHARED}`, and the same size in /etc/fstab"


def findings(scene: Scene) -> Found:
    """Return for each service that starts what the host lacks."""
    found: Found = []
    for item in scene.changing():
        demands = item.resource.demands(item.changes)
        told = [_kept(item, demands), _shared(item, demands), _objects(item, demands)] if demands else []
        found += [(item, scene.verdict(item, finding)) for finding in told if finding]
    return found


def _kept(item: Item, demands: Demands) -> Finding | None:
    there = _meminfo()
    total, free = there.get("MemTotal", 0), there.get("MemAvailable", 0)
    if not total or demands.memory <= free:
        return None
    message = f"{item.label} keeps {human(demands.memory)} in the memory of the host ({demands.because})"
    hint = "let it keep less"
    if demands.memory > total:
        return fault(CODE, f"{message}, which has {human(total)}", hint).at(KEPT)
    said = f"{message}, of which {human(free)} are available now"
    return warning(CODE, said, f"{hint}, or end others").at(KEPT)


def _shared(item: Item, demands: Demands) -> Finding | None:
    if demands.gpus < 2:
        return None
    message = f"{item.label} runs on {demands.gpus} GPUs, and its processes share memory in {SHARED}"
    try:
        there = os.statvfs(SHARED)
    except OSError:
        return fault(CODE, f"{message}, which is not there", f"mount a tmpfs at {SHARED}").at(SEVERAL)
    free = there.f_bavail * there.f_frsize
    if free >= USUAL:
        return None
    wanted = LEAST if free < LEAST else USUAL
    kind = fault if free < LEAST else warning
    said = f"{message}, which has {human(free)} free of the {human(wanted)} that it wants"
    return kind(CODE, said, LARGER).at(SEVERAL)


def _objects(item: Item, demands: Demands) -> Finding | None:
    """Ray says of it only a warning in its log, and keeps them on the disk."""
    try:
        there = os.statvfs(SHARED)
        free = there.f_bavail * there.f_frsize
    except OSError:
        free = 0
    if demands.objects <= free:
        return None
    said = (
        f"{item.label} keeps up to {human(demands.objects)} of objects in {SHARED}, which has {human(free)} "
        "free, so Ray would keep them on the disk"
    )
    return warning(CODE, said, f"{LARGER}, or set a smaller `{OBJECTS}`").at(OBJECTS)


def _meminfo() -> dict[str, int]:
    """Return the lines of /proc/meminfo in bytes."""
    with open("/proc/meminfo", encoding="ascii") as file:
        fields = [line.split() for line in file]
    return {name.rstrip(":"): int(number) * 1024 for name, number, *_ in fields}
