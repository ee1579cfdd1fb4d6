"""Which GPUs a vLLM service uses, and the share of each that it takes, as far as its fields alone say it."""

from __future__ import annotations

import re
from collections.abc import Collection
from math import prod
from typing import TYPE_CHECKING

from packaging.version import Version

from provision.config.services.arguments import as_text
from provision.engines.vllm import releases
from provision.kinds.common.demand import Share
from provision.kinds.vllm.given import Given, given

if TYPE_CHECKING:
    from provision.kinds.vllm.fields import VllmService

DECIDES = (
    "environment",
    "model",
    "gpus",
    "lora",
    "speculative",
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "data_parallel_size",
    "nodes",
    "gpu_memory_utilization",
    "max_num_seqs",
    "max_num_batched_tokens",
    "max_model_len",
    "dtype",
    "quantization",
    "kv_cache_dtype",
    "enforce_eager",
    "enable_prefix_caching",
    "trust_remote_code",
    "env",
    "extra_args",
)
"""The fields that decide whether it can start, and with how much memory."""

_SEVERAL_HOSTS = (
    "--nnodes",
    "--node-rank",
    "--headless",
    "--data-parallel-size-local",
    "--data-parallel-start-rank",
    "--data-parallel-address",
    "--data-parallel-backend",
    "--data-parallel-rank",
    "--data-parallel-external-lb",
    "--data-parallel-hybrid-lb",
)
"""Flags by which some of its GPUs may be those of other hosts."""

_FIXED = ("--kv-cache-memory-bytes", "--kv-cache-memory", "--num-gpu-blocks-override")
"""Flags that give the cache a size, so that the engine takes less than its share."""


_VECTORS = re.compile(r"embed|rerank|reward|bert|bge|gte|e5|m3e|minilm|jina", re.IGNORECASE)
"""In the names of models that make vectors or scores."""

UTILIZATION = 0.9
UTILIZATION_LATER = 0.92
UTILIZATION_LATER_FROM = Version("0.20.0")
"""The first release whose default is 0.92."""


def utilization(service: VllmService, release: Version) -> float:
    """Return the part of each GPU that the engine takes, by default that of the release."""
    default = UTILIZATION_LATER if release >= UTILIZATION_LATER_FROM else UTILIZATION
    return service.gpu_memory_utilization or default


def cards(service: VllmService) -> int | None:
    """Return how many GPUs it uses, on all its nodes; None where Ray chooses them, or other hosts may.

    Each node has an equal part.
    """
    if service.nodes is not None and service.nodes.engine != "mp":
        return None
    flags = _given(service)
    if not flags.flags.keys().isdisjoint(_SEVERAL_HOSTS):
        return None
    if flags.last("--distributed-executor-backend") not in (None, "mp", "uni"):
        return None
    sizes = (service.tensor_parallel_size, service.pipeline_parallel_size, service.data_parallel_size)
    return prod(size or 1 for size in sizes)


def share(service: VllmService, release: Version | None, models: Collection[str]) -> Share:
    """Return the part of each GPU that it asks for, and takes unless it may need no cache.

    A model that makes vectors may need none, and a cache of a fixed size takes what it is given.

    Args:
        service: its fields.
        release: vLLM's; None when that is not known.
        models: the directories of its models on the host.
    """
    part = utilization(service, release or releases.newest())
    flags = _given(service)
    fixed = not flags.flags.keys().isdisjoint(_FIXED)
    vectors = flags.pools or any(map(_VECTORS.search, (service.model, *models)))
    return Share(part, 0.0 if fixed or vectors else part)


def _given(service: VllmService) -> Given:
    return given([as_text(each) for each in service.extra_args])
