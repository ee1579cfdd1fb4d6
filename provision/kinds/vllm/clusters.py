"""One vLLM on a Ray cluster: what it gets from the cluster, whether the two fit, and how it is started."""

from __future__ import annotations

import json
import posixpath
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from math import prod
from typing import TYPE_CHECKING

from provision.kinds.common import cards
from provision.kinds.common.context import ServiceContext
from provision.kinds.ray import places
from provision.kinds.ray.fields import MODE, TOKEN, RayService
from provision.wire.specs.file import FileSpec

if TYPE_CHECKING:
    from provision.catalog.environments import Environment
    from provision.config.hosts import Host
    from provision.kinds.common.group import Group
    from provision.kinds.vllm.fields import VllmService

FILE = "ray_user.py"
"""The program that waits for the cluster, as it is called on hosts."""

RAY = "ray"
"""The distribution."""


@dataclass(frozen=True)
class Cluster:
    """A declared Ray cluster."""

    name: str
    service: RayService

    @property
    def sessions(self) -> str:
        """The directory in which a node keeps its sessions."""
        return self.service.temp_dir or places.own(self.name, "ray")


def of(context: ServiceContext[VllmService]) -> Cluster | None:
    """Return the cluster of a service; None for one without, or when it is not declared."""
    nodes = context.service.nodes
    if nodes is None or nodes.cluster is None:
        return None
    found = context.play.fields.services.get(nodes.cluster)
    return Cluster(nodes.cluster, found) if isinstance(found, RayService) else None


def joined(context: ServiceContext[VllmService]) -> ServiceContext[VllmService]:
    """Return the service with what its cluster says of the network, and the token."""
    cluster, service = of(context), context.service
    if cluster is None or service.nodes is None:
        return context
    token = cluster.service.token
    network = {"interface": cluster.service.interface, "addresses": cluster.service.addresses}
    env = {**service.env, **({TOKEN: token} if token is not None else {})}
    nodes = service.nodes.model_copy(update=network)
    return replace(context, service=service.model_copy(update={"nodes": nodes, "env": env}))


def fits(context: ServiceContext[VllmService], group: Group, environment: Environment) -> bool:
    """Note why a service cannot run on its cluster; return whether it can."""
    cluster = of(context)
    if cluster is None:  # as its nodes say
        return False
    return (
        _same_user(context, cluster.service)
        and _without_own(context)
        and _same_ray(context, cluster, environment)
        and _enough(context, cluster, group)
    )


def _same_user(context: ServiceContext[VllmService], cluster: RayService) -> bool:
    if context.service.user == cluster.user:
        return True
    message = "its workers are started by the cluster, so both have to run as the same user"
    context.problem("conflicting-keys", ("user",), message, "write the same `user` in both, or in neither")
    return False


def _without_own(context: ServiceContext[VllmService]) -> bool:
    service = context.service
    if service.gpus is not None:
        message = "Ray chooses the GPUs, among those that the cluster offers"
        context.problem("conflicting-keys", ("gpus",), message, "write `gpus` of the cluster")
        return False
    if (service.data_parallel_size or 1) > 1:
        message = "data parallel is not for `engine: ray`"
        hint = "use `engine: mp`, or several services of the same name behind a gateway"
        context.problem("conflicting-keys", ("data_parallel_size",), message, hint)
        return False
    return True


def _same_ray(context: ServiceContext[VllmService], cluster: Cluster, environment: Environment) -> bool:
    """Note why the environments do not fit together: a driver speaks only to nodes with its own Ray."""
    other, name = context.environments.get(cluster.service.environment), cluster.name
    if other is None or environment.name == other.name:
        return True
    own, there = environment.find(RAY), other.find(RAY)
    wanted = f"ray=={there.pin}" if there is not None and there.pin is not None else "ray"
    hint = f'write "{wanted}" into its packages'
    if own is None and not environment.open:
        message = (
            f"environment {environment.name} does not install ray, by which vLLM speaks to cluster {name}"
        )
        context.problem("missing-engine", ("environment",), message, hint)
        return False
    if own is not None and own.pin is None:
        message = f"environment {environment.name} does not pin ray, and it must be the one of cluster {name}"
        context.problem("ray-not-pinned", ("environment",), message, hint)
        return False
    if own is not None and there is not None and there.pin is not None and own.pin != there.pin:
        message = f"environment {environment.name} has ray {own.pin}, and cluster {name} has {there.pin}"
        context.problem("nodes-differ", ("environment",), message, hint)
        return False
    if environment.python != other.python:
        message = (
            f"environment {environment.name} has Python {environment.python or 'of the host'}, "
            f"and that of cluster {name} {other.python or 'that of the host'}"
        )
        context.problem("nodes-differ", ("environment",), message, "write the same `python` in both")
        return False
    return True


def _enough(context: ServiceContext[VllmService], cluster: Cluster, group: Group) -> bool:
    """Note when the cluster has fewer GPUs than its services need together."""
    service, there = context.service, [_offered(cluster.service, host) for host in group.hosts]
    if None in there:
        return True
    total = sum(count or 0 for count in there)
    others = [
        (name, needed(each))
        for name, each in context.play.fields.services.items()
        if name != context.name
        and isinstance(each, type(service))
        and each.nodes is not None
        and each.nodes.cluster == cluster.name
    ]
    own = needed(service)
    tensor, pipeline = service.tensor_parallel_size or 1, service.pipeline_parallel_size or 1
    said = f"tensor {tensor} × pipeline {pipeline} is {own}"
    if own > total:
        message = f"{said} GPUs, and cluster {cluster.name} has {total} on {len(there)} hosts"
    elif own + sum(count for _, count in others) > total:
        more = ", ".join(f"{name} needs {count}" for name, count in others)
        message = f"{said} GPUs, {more}, and cluster {cluster.name} has {total} on {len(there)} hosts"
    else:
        return True
    context.problem("gpu-count", ("nodes",), message, "let the cluster have more, or make the sizes smaller")
    return False


def _offered(cluster: RayService, host: Host) -> int | None:
    """Return how many GPUs a node offers; None where nothing says it."""
    if cluster.gpus is not None:
        return len(cluster.gpus)
    return sum(cards.counted(text)[0] for text in host.gpus) if host.gpus else None


def needed(service: VllmService) -> int:
    """Return how many GPUs of the cluster a service takes."""
    return prod((service.tensor_parallel_size or 1, service.pipeline_parallel_size or 1))


def variables(context: ServiceContext[VllmService], environment: Environment) -> dict[str, str]:
    """Return the variables by which vLLM finds the cluster; none for a service without one."""
    cluster = of(context)
    if cluster is None or context.group is None:
        return {}
    address, port = places.address(cluster.service, context.group.head) or "", cluster.service.port
    found = {
        "RAY_ADDRESS": f"[{address}]:{port}" if ":" in address else f"{address}:{port}",
        MODE: "token" if cluster.service.token is not None else "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Its sockets to the workers of its host, which are in another unit, with another /tmp.
        "VLLM_RPC_BASE_PATH": f"{cluster.sessions}/session_latest/sockets",
        "RAY_COLOR_PREFIX": "0",  # the lines of workers are in a log, not at a terminal
    }
    if environment.name != cluster.service.environment:  # else its workers have it from the node
        own = {"runtime_env": {"py_executable": environment.program("python")}}
        found["RAY_JOB_CONFIG_JSON_ENV_VAR"] = json.dumps(own)
    return found


def writable(context: ServiceContext[VllmService]) -> list[str]:
    """Return where the node on its host keeps its sessions: a program that uses Ray writes its logs there."""
    cluster = of(context)
    if cluster is None:
        return []
    # The directory of the service is there before Ray makes one in it.
    return [cluster.service.temp_dir or posixpath.dirname(cluster.sessions)]


def follows(context: ServiceContext[VllmService]) -> list[str]:
    """Return the services on its host that it cannot run without."""
    cluster = of(context)
    return [cluster.name] if cluster is not None else []


def command(context: ServiceContext[VllmService]) -> list[str] | None:
    """Return the command that waits for the cluster, and then runs what follows it."""
    cluster = of(context)
    if cluster is None:
        return None
    words = [context.builder.host.python, "-I", program(context), context.name]
    return [*words, "--cluster", cluster.name, "--state", places.state(cluster.name)]


def program(context: ServiceContext[VllmService]) -> str:
    """Return the path of the program on the host."""
    return posixpath.join(context.layout.prefix, FILE)


def add(context: ServiceContext[VllmService]) -> str:
    """Add the program, which all services of a host share; returns its id."""
    path = program(context)
    return context.builder.add(
        context.play, context.where, f"file:{path}", FileSpec(path=path, content=_source()), path
    ).id


@cache
def _source() -> str:
    return (files("provision.host.services.nodes") / FILE).read_text(encoding="utf-8")
