"""From a service of kind `ray` to the resources of one of its nodes."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.resources import files
from posixpath import join
from typing import TYPE_CHECKING

from packaging.version import Version

from provision.catalog import text
from provision.kinds.common import firewall, supervised, turn
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.generated import start_script
from provision.kinds.common.program import Program
from provision.kinds.ray import places
from provision.kinds.ray.fields import LOOPBACK, MODE, PORTS, TOKEN
from provision.wire.checks import Together
from provision.wire.nodes import Meeting, Node
from provision.wire.server import Demands
from provision.wire.specs.file import FileSpec
from provision.wire.specs.tree import TreeSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provision.catalog.environments import Environment
    from provision.kinds.common.firewall import Firewall
    from provision.kinds.common.group import Group
    from provision.kinds.ray.fields import RayService

PACKAGES = ("ray",)
"""The distribution."""

OLDEST = Version("2.44")
"""The first release of which it is known that a node can be watched."""

TOKENS_FROM = Version("2.52")
"""The first release that can ask for a token."""

DASHBOARD = frozenset({"default", "serve", "serve-grpc", "all", "all-cpp", "air"})
"""The extras of which each brings the dashboard."""

METRICS = ((44217, 44217), (44227, 44227))
"""The ports at which a head with `ray[default]` tells its metrics."""

SOCKET = 107
"""The bytes that the path of a socket may have."""

SESSION = "/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store"
"""What Ray adds to its temporary directory."""

DEFAULTS = {
    "PYTHONUNBUFFERED": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # On a busy host, the 30 s that Ray gives its agents to begin are not enough.
    "RAY_agent_register_timeout_ms": "120000",
}
"""Variables of the start script; the service's `env` wins."""


def lower(context: ServiceContext[RayService]) -> None:
    """Add the resources of a node."""
    service, builder = context.service, context.builder
    environment = context.environment(service.environment)
    group = _group(context)
    if environment is None or group is None or not _suits(context, environment):
        return
    address = _address(context, group)
    if address is None:
        return
    place = service.temp_dir or _place(context, "ray")
    beyond = len(place + SESSION) - SOCKET
    if beyond > 0:
        message = f"{place} is {beyond} bytes too long for the sockets that Ray makes below it"
        context.problem("wrong-form", ("temp_dir",), message, "name a shorter `temp_dir`")
        return
    closing = _closing(context, group)
    if service.firewall and closing is None:
        return
    _warn_if_open(context)
    node = Node(names=list(group.names), rank=group.rank, state=_place(context, "node.json"), joins=True)
    names, program = _names(context, group), join(context.layout.prefix, "ray")
    words = [
        *(context.name, "--node", builder.host.name, "--head", group.head.name),
        *("--address", address, "--port", str(service.port)),
        *("--client-port", str(service.port + PORTS - 1)),
        *("--names", names, "--state", node.state, "--temporary", place),
        *(("--interface", service.interface) if service.interface is not None else ()),
    ]
    options = list(_options(service, group.rank == 0, place))
    tree = builder.add(
        context.play, context.where, f"tree:{program}", TreeSpec(path=program, files=_sources()), program
    ).id
    supervised.add(
        # Not among `needs`, a change of which restarts: a node that comes or goes disturbs no other.
        replace(context, after=(*context.after, f"file:{names}")),
        Program(
            script=start_script(
                context,
                environment,
                {
                    **DEFAULTS,
                    MODE: "token" if service.token is not None else "disabled",
                    **turn.shown(service.gpus),
                },
                None,
                program=text.sh(program),
                node=text.sh_words(words),
                options=list(map(text.sh_words, options)),
            ),
            options=options,
            port=None,
            environment=environment,
            engine=PACKAGES,
            launchers=[tree],
            paths=[program],
            api_key=service.token,
            key_name=TOKEN,
            key_field="token",
            checks=[Together(node=node)],
            node=node,
            nvidia=service.gpus != [],
            demands=_demands(service),
            firewall=closing,
            # A node that comes or goes disturbs no other.
            reloads=[f"file:{closing.path}"] if closing is not None else [],
            meeting=_meeting(context, group, node, environment),
            writable=[service.temp_dir] if service.temp_dir is not None else [],
            unit=("service.unit.j2", {"oom_policy": "continue"}),
        ),
    )


def _group(context: ServiceContext[RayService]) -> Group | None:
    found = context.group
    if found is not None and found.trouble is not None:
        context.problem("nodes-mismatch", ("head",), *found.trouble)
        return None
    return found


def _suits(context: ServiceContext[RayService], environment: Environment) -> bool:
    """Note why an environment does not do; return whether it does."""
    service, wanted = context.service, environment.find(*PACKAGES)
    if wanted is None:
        if environment.open:
            return True
        message = f"environment {environment.name} does not install ray"
        context.problem("missing-engine", ("environment",), message, 'add "ray==2.60.0" to its packages')
        return False
    if wanted.pin is None:
        message = f"environment {environment.name} does not pin ray, and all nodes need the same"
        context.problem("ray-not-pinned", ("environment",), message, 'write "ray==2.60.0" into its packages')
        return False
    if wanted.pin < OLDEST:
        message = (
            f"environment {environment.name} has ray {wanted.pin}, and nodes are watched from {OLDEST} on"
        )
        context.problem("old-engine", ("environment",), message, f"pin ray {OLDEST} or later")
        return False
    if service.token is not None and wanted.pin < TOKENS_FROM:
        message = f"ray {wanted.pin} asks for no token; {TOKENS_FROM} is the first that does"
        context.problem("old-engine", ("token",), message, "pin a later one, or leave `token` out")
        return False
    if service.dashboard_port is not None and not DASHBOARD.intersection(wanted.extras):
        message = f"the dashboard is not in environment {environment.name}"
        context.problem("missing-engine", ("dashboard_port",), message, f'write "ray[default]=={wanted.pin}"')
        return False
    return True


def _address(context: ServiceContext[RayService], group: Group) -> str | None:
    """Return where the other nodes reach the head; None after noting that nobody can say, or may use it."""
    service, head = context.service, group.head
    address = places.address(service, head)
    if address is None:
        message = f"the address of host {head.name} (connection {head.connection}) is not known"
        hint = f"say where the other nodes reach it: `addresses: {{{head.name}: ADDRESS}}`"
        context.problem("unreachable-node", ("head",), message, hint)
        return None
    if service.token is None and _public(address):
        message = (
            f"{address} is a public address, and without a token everybody may run programs on the nodes"
        )
        hint = "set `token`, or name an address of a private network in `addresses`"
        context.problem(
            "public-cluster", ("addresses",) if head.name in service.addresses else ("head",), message, hint
        )
        return None
    return address


def _public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def _warn_if_open(context: ServiceContext[RayService]) -> None:
    service = context.service
    if service.token is None and not service.firewall:
        context.note(
            "open-cluster",
            f"it has no `token`, so whoever reaches the ports {service.port} to {service.port + PORTS - 1} "
            f"of host {context.builder.host.name} may run any program there",
            hint="set `token`, or `firewall: true`",
            at=(),
        )


def _meeting(
    context: ServiceContext[RayService], group: Group, node: Node, environment: Environment
) -> Meeting:
    """Return what the nodes compare, and try, before one is changed."""
    service, here, head = context.service, context.builder.host, group.rank == 0
    own = {each.port for each in service.listeners() if each.address is None and (head or not each.head)}
    known = here.address or here.name if here.connection == "ssh" else None
    return Meeting(
        node=node,
        address=places.address(service, here) if head else known,
        interface=service.interface,
        ports=sorted(own),
        environment=environment.path,
        models={},
        closed=firewall.closed(context, _let_in(service, group), _closed(context))
        if service.firewall
        else None,
    )


def _closing(context: ServiceContext[RayService], group: Group) -> Firewall | None:
    """Return the rule that closes the ports of a node to others; None without, or after noting a mistake."""
    service = context.service
    if not service.firewall:
        return None
    known = _let_in(service, group)
    return firewall.rule(context, known, known[group.rank], service.interface, _closed(context))


def _let_in(service: RayService, group: Group) -> list[str]:
    """Return the addresses of all nodes."""
    found = [service.addresses.get(host.name) or host.address or host.name for host in group.hosts]
    return [each.strip("[]") for each in found]


def _closed(context: ServiceContext[RayService]) -> firewall.Ports:
    """Return the ports that only nodes reach: Ray's own, and those of the services on the cluster."""
    service = context.service
    own = [(service.port, service.port + PORTS - 1), (service.min_worker_port, service.max_worker_port)]
    others = [getattr(each, "nodes", None) for each in context.play.fields.services.values()]
    lines = [(each.line, each.line) for each in others if each is not None and each.cluster == context.name]
    return [*own, *METRICS, *dict.fromkeys(lines)]


def _demands(service: RayService) -> Demands | None:
    store = service.object_store_memory
    return Demands(memory=0, gpus=0, because="", objects=store) if store is not None else None


def _place(context: ServiceContext[RayService], name: str) -> str:
    """Return a path in the directory that the service writes to."""
    if context.systemd:
        return places.own(context.name, name)
    return context.layout.service(context.name, name)


def _names(context: ServiceContext[RayService], group: Group) -> str:
    """Add the file that names the nodes; return its path."""
    path = context.layout.service(context.name, "nodes.json")
    context.builder.imply_tree(
        context.play, context.where, context.layout.prefix, context.layout.service(context.name)
    )
    context.add(f"file:{path}", FileSpec(path=path, content=json.dumps(group.names) + "\n"), path)
    return path


def _options(service: RayService, head: bool, place: str) -> Iterator[tuple[str, str]]:
    """Give the options of `ray start` that do not depend on the addresses."""
    ports = [
        "node-manager-port",
        "object-manager-port",
        "runtime-env-agent-port",
        "dashboard-agent-listen-port",
        "dashboard-agent-grpc-port",
        "metrics-export-port",
    ]
    yield from ((f"--{name}", str(service.port + each)) for each, name in enumerate(ports, 1))
    yield "--min-worker-port", str(service.min_worker_port)
    yield "--max-worker-port", str(service.max_worker_port)
    if head:
        yield "--include-dashboard", str(service.dashboard_port is not None).lower()
        if service.dashboard_port is not None:
            yield "--dashboard-host", LOOPBACK
            yield "--dashboard-port", str(service.dashboard_port)
    yield "--temp-dir", place
    if service.num_cpus is not None:
        yield "--num-cpus", str(service.num_cpus)
    if service.gpus is not None:
        yield "--num-gpus", str(len(service.gpus))
    if service.resources:
        yield "--resources", json.dumps(service.resources)
    if service.object_store_memory is not None:
        yield "--object-store-memory", str(service.object_store_memory)


@cache
def _sources() -> dict[str, str]:
    """Return the program of a node, and the package around it."""
    package = files("provision.host.services.nodes")
    inside = "provision/host/services/nodes"
    found = {f"{place}/__init__.py": "" for place in _above(inside)}
    found.update(
        {
            f"{inside}/{name}": (package / name).read_text(encoding="utf-8")
            for name in ("rank.py", "ray_node.py")
        }
    )
    start = "import sys\n\nfrom provision.host.services.nodes.ray_node import main\n\nmain(sys.argv[1:])\n"
    return {"__main__.py": start, **found}


def _above(path: str) -> Sequence[str]:
    parts = path.split("/")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]
