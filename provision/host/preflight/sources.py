"""Whether hubs and package indexes give what is to be fetched; they are asked side by side."""

from __future__ import annotations

from typing import Iterator

from provision.host.item import Item
from provision.host.preflight.scene import Found, Scene
from provision.wire.finding import Finding


def findings(scene: Scene) -> Found:
    """Return for each resource why it cannot be fetched."""

    def ask(item: Item) -> Iterator[Finding]:
        for finding in item.resource.unobtainable(scene.machine, item.changes):
            yield scene.verdict(item, finding, sets_up)

    return scene.side_by_side(ask)


SETTINGS = ("/etc/", "/usr/local/share/ca-certificates/")
"""Where files decide how hosts are reached: names, proxies, certificates, the configuration of pip."""


def sets_up(other: Item) -> bool:
    """Whether the change of a resource may decide how others are reached."""
    path = other.resource.restorable() or ""
    setting = path.startswith(SETTINGS) or path.rpartition("/")[2] in ("pip.conf", ".netrc")
    return setting or "ca-certificates" in other.changes
