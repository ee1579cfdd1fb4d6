"""Whether hubs and package indexes give what is to be fetched; they are asked side by side."""

from __future__ import annotations

from provision.host import causes
from provision.host.item import Item
from provision.host.preflight.scene import Found, Scene
from provision.host.threads import each
from provision.wire.finding import warning

AT_ONCE = 8
"""Resources that are looked for at once."""


def findings(scene: Scene) -> Found:
    """Return for each resource why it cannot be fetched."""
    found: Found = []

    def ask(item: Item) -> None:
        try:
            told = item.resource.unobtainable(scene.machine, item.changes)
        except Exception as error:
            failure = causes.explain(error)
            told = [warning("not-checked", failure.message, failure.hint)]
        for finding in told:
            found.append((item, scene.verdict(item, finding, _sets_up)))

    each(ask, scene.changing(), AT_ONCE)
    order = list(scene.items)
    return sorted(found, key=lambda each: order.index(each[0].id))


SETTINGS = ("/etc/", "/usr/local/share/ca-certificates/")
"""Where files decide how hosts are reached: names, proxies, certificates, the configuration of pip."""


def _sets_up(other: Item) -> bool:
    """Whether the change of a resource may decide how others are reached."""
    path = other.resource.restorable() or ""
    setting = path.startswith(SETTINGS) or path.rpartition("/")[2] in ("pip.conf", ".netrc")
    return setting or "ca-certificates" in other.changes
