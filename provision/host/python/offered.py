"""What the wheels in directories of a host say by their names: a version may name the CUDA of a build."""

from __future__ import annotations

import os
import re
from typing import Sequence

from provision.host.python.pip_configuration import Configuration
from provision.wire.specs.environment import Wheel

_BUILD = re.compile(r"(torch|vllm)-([^-+]+)\+(?:cu(\d{2,})(\d)|cpu)[^-]*-")


def corrected(wheels: Sequence[Wheel], configuration: Configuration) -> list[Wheel]:
    """Return what is known of wheels, for the CUDA of the builds that `find-links` has of the same release.

    Such a build wins over the one of the index, as its version is higher: 2.13.0+cu128 over 2.13.0.
    """
    builds: dict[tuple[str, str], str | None] = {}
    for place in configuration.get("find-links", "").split():
        path = place[len("file://") :] if place.startswith("file:///") else place
        for file in sorted(os.listdir(path)) if path.startswith("/") and os.path.isdir(path) else ():
            found = _BUILD.match(file)
            if found:
                builds[found[1], found[2]] = f"{found[3]}.{found[4]}" if found[3] else None
    return [_corrected(wheel, builds) for wheel in wheels]


def _corrected(wheel: Wheel, builds: dict[tuple[str, str], str | None]) -> Wheel:
    for build in (("torch", wheel.torch), (wheel.name, wheel.version)):
        if build in builds:
            return wheel.replace(cuda=builds[build])
    return wheel
