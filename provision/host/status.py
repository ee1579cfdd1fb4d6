"""How services are: what their supervisor, their port and the GPUs tell."""

from __future__ import annotations

from provision.host.machine import Machine
from provision.host.services import figures, processes, supervision
from provision.host.services.gateways import servers
from provision.host.services.gpus import memory
from provision.host.services.nodes import states
from provision.host.state import marks, owed
from provision.wire import events, statuses
from provision.wire.requests import Service

WORDS = {
    "active": "running",
    "reloading": "running",
    "inactive": "stopped",
    "activating": "starting",
    "deactivating": "stopping",
    "activating (auto-restart)": "restarting",
    "activating (auto-restart-queued)": "restarting",
}
"""systemd's words for a person's; `failed`, `running` and `stopped` are both."""


FORWARDERS = ("conmon", "docker-proxy", "rootlessport", "slirp4netns", "pasta", "pasta.avx2")
"""What holds the published ports of a container on the host."""


def status(machine: Machine, services: list[Service]) -> events.Done:
    """Carry out the verb `status`: send an event for each service."""
    running = 0
    among = processes.table()
    for service in services:
        known = describe(machine, service, among)
        running += known.state == "running"
        machine.emit(known)
    total = len(services)
    return events.Done(ok=True, counts={"running": running, "stopped": total - running})


def describe(
    machine: Machine, service: Service, among: dict[int, processes.Process]
) -> statuses.ServiceStatus:
    """Return how a service is."""
    life = supervision.life(machine, service, shared=True)
    ours = _processes(life, among)
    port = service.port
    listeners = processes.listeners(port) if port else []
    # Without root another user's sockets have no known owner; then being open has to do.
    own = [each for each in listeners if each.pid in ours or (each.pid is None and life.pid)]
    if service.container and life.pid:
        own += [each for each in listeners if each.name in FORWARDERS]
    others = [str(each) for each in listeners if each not in own]
    state = WORDS.get(life.state) or WORDS.get(life.state.split(" ")[0], life.state)
    node = states.seen(service.node, life.pid) if service.node else None
    if node and node.phase and node.phase != states.SERVING:
        state = "starting"  # what runs is its rank, which waits for the others, or for its program
    return statuses.ServiceStatus(
        service=service.service,
        kind=service.kind,
        supervisor=service.supervisor,
        state=state,
        ended=life.ended,
        pid=life.pid,
        uptime=round(processes.uptime(life.pid) or 0.0, 1) if life.pid else None,
        restarts=life.restarts,
        port=port,
        listening=bool(own),
        listener=others[0] if others and not own else None,
        url=service.url,
        model=service.model,
        gpu_memory=_gpu_memory(machine, ours),
        proven=life.invocation is not None
        and life.invocation == marks.proven(machine.state, service.service),
        owed=owed.restart(machine.state, service.service).needed(lambda: life.invocation),
        figures=figures.kept(machine.state, service.service),
        servers=servers.servers(machine, service.service),
        node=node,
    )


def _processes(life: supervision.Life, among: dict[int, processes.Process]) -> set[int]:
    """Return a service's processes: its unit's control group, or what descends from its main process."""
    if life.pid is None:
        return set()
    found = processes.tree(life.pid, among)
    group = processes.cgroup(life.pid)
    if "/provision-" in group:
        found |= {pid for pid in among if processes.cgroup(pid) == group}
    return found


def _gpu_memory(machine: Machine, ours: set[int]) -> int | None:
    holders = machine.once("gpus", memory.holders)
    if holders is None:
        return None
    return sum(holder.bytes or 0 for holder in holders if holder.pid in ours)
