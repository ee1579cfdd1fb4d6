"""Whether the packages of environments are there for this host, and whether its driver runs their CUDA."""

from __future__ import annotations

import re
import tempfile
from typing import Iterator, NamedTuple, Sequence

from provision.host.item import Item
from provision.host.preflight import built, driver, sources, wheels
from provision.host.preflight.needs import Resolved
from provision.host.preflight.scene import Found, Scene
from provision.wire.finding import Finding, fault

CODE = "unresolvable-packages"

HINT = "ask for other versions, or set another `python` or index"


def findings(scene: Scene) -> Found:
    """Return for each environment what it cannot install here, or what the driver does not run."""
    there = driver.version()
    if there is None:
        return scene.side_by_side(lambda item: _missing(scene, item))
    with tempfile.TemporaryDirectory(prefix="provision-resolve-") as directory:
        look = _Look(scene, there, directory)
        return scene.side_by_side(lambda item: list(_missing(scene, item)) or look.at(item))


def _missing(scene: Scene, item: Item) -> Iterator[Finding]:
    """Give the releases that have no wheel for this host, as is known from their metadata."""
    known = item.resource.wheels(item.changes)
    python = item.resource.interpreter(scene.machine) if known else None
    for wheel in known:
        finding = wheels.missing(wheel, python)
        if finding:
            yield scene.verdict(item, _about(item, finding, wheel.name))


class _Look(NamedTuple):
    """A look at what installers would choose, on a host with a driver."""

    scene: Scene
    driver: str
    """Its version."""
    directory: str
    """For what is only needed meanwhile."""

    def at(self, item: Item) -> Sequence[Finding]:
        """Return what is wrong with the packages of an environment."""
        known = item.resource.wheels(item.changes)
        resolved = self._resolve(item)
        if resolved is not None and resolved.refused:
            said = f"its packages cannot be installed here: {resolved.refused.rstrip('.')}"
            required = re.findall(r"you require ([A-Za-z0-9._-]+)", resolved.refused)
            finding = _about(item, fault(CODE, said, HINT), required[-1] if required else "")
            return [self.scene.verdict(item, finding, sources.sets_up)]
        for wheel in built.of(resolved.packages, known) if resolved else known:
            found = driver.too_old(wheel, self.driver, lambda cuda: self._instead(item, cuda))
            if found:  # PyTorch says the same as vLLM
                return [self.scene.verdict(item, _about(item, found, wheel.name), driver.brings)]
        return []

    def _resolve(self, item: Item, cuda: str | None = None) -> Resolved | None:
        return item.resource.resolve(self.scene.machine, item.changes, self.directory, cuda)

    def _instead(self, item: Item, cuda: str) -> str | None:
        """Return what to pin for a CUDA, as the indexes of this host have it."""
        other = self._resolve(item, cuda)
        brought = built.cuda_of(other.packages) if other else None
        if other is None or brought is None:
            return None
        pins = [f"{name}=={other.packages[name]}" for name in built.ENGINES if name in other.packages]
        return f"{pins[0]}, the newest release for a CUDA that it runs ({brought})" if pins else None


def _about(item: Item, finding: Finding, package: str) -> Finding:
    """Return a finding with the environment in front of it, at the field that asks for a package."""
    named = finding.replace(message=f"{item.label}: {finding.message}")
    return named.at(item.resource.asks_for(package))
