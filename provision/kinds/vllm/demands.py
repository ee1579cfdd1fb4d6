"""What a vLLM server wants of its host besides GPUs: memory for what it keeps outside of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.kinds.vllm import nodes
from provision.wire.server import Demands

if TYPE_CHECKING:
    from provision.kinds.common.group import Group
    from provision.kinds.vllm.fields import VllmService
    from provision.kinds.vllm.given import Given

GIB = 1024**3

PER_GPU = ("--cpu-offload-gb", "--swap-space")
"""GiB for each GPU (vLLM's `OffloadConfig` and `CacheConfig`)."""

TOTAL = ("--kv-offloading-size",)
"""GiB for all GPUs together (vLLM's `CacheConfig`)."""


def demands(service: VllmService, told: Given, group: Group | None) -> Demands | None:
    """Return what a service wants of each of its hosts; None when that is nothing special.

    The files of a model are only read through the page cache, which gives way.
    """
    gpus = nodes.gpus(service, group)
    wanted = {flag: _number(told.last(flag)) * gpus for flag in PER_GPU}
    wanted.update({flag: _number(told.last(flag)) for flag in TOTAL})
    used = [flag for flag, size in wanted.items() if size]
    if not used and gpus < 2:
        return None
    return Demands(memory=int(sum(wanted.values()) * GIB), gpus=gpus, because=" and ".join(used))


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
