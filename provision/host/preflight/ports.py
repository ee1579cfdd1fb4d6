"""Whether services that start can have their ports: a server may notice only when its model is loaded."""

from __future__ import annotations

from provision.host.item import Item
from provision.host.preflight.scene import Found, Scene
from provision.host.resource import Resource
from provision.host.resources import recall
from provision.host.services import addresses, processes
from provision.host.services.processes import Listener
from provision.wire.finding import Finding, fault, warning

HINT = "stop it, or give the service another port"


def findings(scene: Scene) -> Found:
    """Return for each service that starts who else holds one of its ports, and which address is not here."""
    found: Found = []
    for item in scene.changing():
        resource = item.resource
        for port, address in resource.opens(scene.machine, item.changes):
            if addresses.absent(address):
                message = f"{item.label} is to listen on {address}, which this host does not have"
                finding = fault("address-absent", message, addresses.HINT).at(resource.port_field)
                found.append((item, scene.verdict(item, finding)))
                continue
            held = processes.listeners(port, address)
            ours = resource.owns() if held else None
            foreign = next((each for each in held if ours and not ours(each.pid or 0)), None)
            if foreign:
                finding = _judged(scene, item, port, foreign).at(resource.port_field)
                found.append((item, scene.verdict(item, finding)))
    return found


def _judged(scene: Scene, item: Item, port: int, holder: Listener) -> Finding:
    message = f"{item.label} needs port {port}, which is held by {holder}"
    for other in scene.items.values():
        if other is not item and other.runs and _owns(other.resource, holder):
            moves = [each for each, _ in other.resource.opens(scene.machine, other.changes)]
            if moves and port not in moves:
                return warning("port-taken", message, f"{other.label} has to leave it first, by its restart")
            return fault("port-taken", message, f"it is {other.label}, which keeps running")
    for id, entry in scene.known.items():
        if id in scene.items or not _owns(recall(id, entry["type"], entry["spec"]), holder):
            continue
        if id in scene.orphans:
            hint = f"it is {entry['label']}, which `apply --prune` removes before"
            return (warning if scene.prunes else fault)("port-taken", message, hint)
        return fault("port-taken", message, f"it is {entry['label']} of {' and '.join(entry['playbooks'])}")
    return fault("port-taken", message, HINT)


def _owns(resource: Resource, holder: Listener) -> bool:
    return resource.owns()(holder.pid or 0)
