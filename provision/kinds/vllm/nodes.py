"""One vLLM over several hosts: how the parallel sizes fit its nodes, and the flags of each."""

from __future__ import annotations

import json
from hashlib import sha256
from math import prod
from posixpath import join
from typing import TYPE_CHECKING

from packaging.version import Version

from provision.catalog.layout import Layout
from provision.engines.vllm import programs, releases
from provision.engines.vllm.successors import absence
from provision.kinds.common import cards, ranks
from provision.kinds.common.context import ServiceContext
from provision.kinds.vllm import clusters
from provision.kinds.vllm.arguments import Refusal, Words
from provision.wire.specs.file import FileSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provision.catalog.environments import Environment
    from provision.catalog.models import Model
    from provision.kinds.common.group import Group
    from provision.kinds.vllm.fields import VllmService
    from provision.wire.nodes import Meeting

HEADLESS = "vllm_headless.py"
"""The program that starts the engines of a node which serves no requests, as it is called on hosts."""

_OWN = ("--node-rank", "--headless")
"""The flags that differ between nodes."""


def sizes(service: VllmService) -> tuple[int, int, int]:
    """Return the sizes of tensor, pipeline and data parallelism."""
    return (
        service.tensor_parallel_size or 1,
        service.pipeline_parallel_size or 1,
        service.data_parallel_size or 1,
    )


def gpus(service: VllmService, group: Group | None) -> int:
    """Return how many GPUs a service uses on each host."""
    return prod(sizes(service)) // (len(group.hosts) if group is not None else 1)


def found(context: ServiceContext[VllmService], environment: Environment) -> Group | None:
    """Return the nodes of a service; None for one on a single host, and after noting what is wrong."""
    nodes = context.service.nodes
    group = ranks.group(context, nodes) if nodes is not None else None
    if nodes is None or group is None:
        return None
    fits = clusters.fits(context, group, environment) if nodes.engine == "ray" else _fits(context, group)
    return group if fits else None


def _fits(context: ServiceContext[VllmService], group: Group) -> bool:
    """Note why the parallel sizes do not fit the nodes; return whether they do."""
    service, count = context.service, len(group.hosts)
    uneven = unequal(service, count)
    if uneven is not None:
        context.problem("gpu-count", ("nodes",), *uneven)
        return False
    there, each = _there(context), gpus(service, group)
    if there is not None and each > there[0]:
        message = f"{_said(service)} GPUs, {each} on each of {count} nodes, but {there[1]}"
        context.problem("gpu-count", ("nodes",), message, "name more GPUs, or more nodes")
        return False
    return True


def unequal(service: VllmService, count: int) -> tuple[str, str] | None:
    """Return why so many nodes cannot share the parallel sizes equally, and the way out; None if they can."""
    tensor, pipeline, data = sizes(service)
    needed, copy = tensor * pipeline * data, tensor * pipeline
    if needed % count:
        ranks_of = "GPU" if needed == 1 else "GPUs"
        message = f"{_said(service)} {ranks_of}, which {count} nodes cannot share equally"
        return message, f"make it a multiple of {count}"
    each = needed // count
    if each % copy and copy % each:
        share = f"{each} on each of {count} nodes, which is no whole number of copies of {copy}"
        return f"{_said(service)} GPUs, {share}", "let data parallel be a multiple of the nodes"
    return None


def _said(service: VllmService) -> str:
    tensor, pipeline, data = sizes(service)
    return f"tensor {tensor} × pipeline {pipeline} × data {data} is {tensor * pipeline * data}"


def _there(context: ServiceContext[VllmService]) -> tuple[int, str] | None:
    """Return how many GPUs this node has for the service, in words too; None where nothing says it."""
    if context.service.gpus:
        count = len(context.service.gpus)
        return count, f"`gpus` lists {count}"
    host = context.builder.host
    if not host.gpus:
        return None
    count = sum(cards.counted(text)[0] for text in host.gpus)
    return count, f"host {host.name} has {count}"


def flags(context: ServiceContext[VllmService], version: Version) -> tuple[list[Words], list[Refusal]]:
    """Return the flags by which a node knows its place, and what the release cannot do."""
    service, group = context.service, context.group
    if service.nodes is None or group is None:
        return [], []
    backend = ("--distributed-executor-backend", service.nodes.engine)
    if service.nodes.engine == "ray":
        return [backend], []
    if releases.form("--nnodes", version) is None:
        return [], [Refusal("unknown-flag", ("nodes",), *absence("nodes (--nnodes)", "--nnodes", version))]
    words: list[Words] = [
        backend,
        ("--nnodes", str(len(group.hosts))),
        ("--node-rank", str(group.rank)),
        ("--master-port", str(service.nodes.port)),
    ]
    if sizes(service)[2] > 1:
        words.append(("--data-parallel-rpc-port", str(service.nodes.data)))
    return [*words, *([("--headless",)] if group.rank else [])], []


def heads(service: VllmService) -> list[str]:
    """Return the flags that get the address of the head, which is known once all nodes are there."""
    if service.nodes is not None and service.nodes.engine == "ray":
        return []
    return ["--master-addr", *(["--data-parallel-address"] if sizes(service)[2] > 1 else [])]


def command(context: ServiceContext[VllmService], options: Sequence[Words]) -> list[str]:
    """Return the command that waits for the other nodes; only nodes with the same options start."""
    service, group = context.service, context.group
    assert service.nodes is not None
    assert group is not None
    shared = [words for words in options if words[0] not in _OWN]
    return ranks.words(
        context, service.nodes, group, _digest(shared, context.layout), service.shutdown_timeout or 0.0
    )


def meeting(
    context: ServiceContext[VllmService],
    group: Group | None,
    environment: Environment,
    models: Sequence[Model],
) -> Meeting | None:
    """Return what the nodes of a service compare before it is changed; None for one on a single host."""
    nodes = context.service.nodes
    if nodes is None or group is None:
        return None
    return ranks.meeting(context, nodes, group, environment, models)


def _digest(options: Sequence[Words], layout: Layout) -> str:
    """Return what tells options from others; where a host keeps its files makes no difference."""
    text = json.dumps(options).replace(layout.models, "").replace(layout.prefix, "")
    return sha256(text.encode()).hexdigest()[:16]


def program(context: ServiceContext[VllmService]) -> str | None:
    """Return the file that a node which serves no requests is started by; None for all others."""
    nodes = context.service.nodes
    headless = nodes is not None and nodes.engine == "mp" and context.group is not None and context.group.rank
    return join(context.layout.prefix, HEADLESS) if headless else None


def add(context: ServiceContext[VllmService]) -> list[str]:
    """Add the programs of a node; returns their ids."""
    if context.group is None:
        return []
    ids = [ranks.add(context)]
    if clusters.of(context) is not None:
        ids.append(clusters.add(context))
    path = program(context)
    if path is not None:
        spec = FileSpec(path=path, content=programs.text("headless"))
        ids.append(context.builder.add(context.play, context.where, f"file:{path}", spec, path).id)
    return ids
