"""Which CUDA packages are built with, as their names and versions tell once they are resolved."""

from __future__ import annotations

import re
from typing import Mapping, Sequence

from provision.wire.specs.environment import Wheel

ENGINES = ("vllm", "torch")
"""What is named of what needs a CUDA, the first that is there."""

_LOCAL = re.compile(r"\+cu(\d{2,})(\d)$")
"""`2.11.0+cu129`: as PyTorch's own index and vLLM's releases name their builds."""

RUNTIME = "nvidia-cuda-runtime"
"""CUDA's own package. Its version is that of CUDA."""

NAMED = (11, 12)
"""The series that its name ends in, as in `-cu12`; later ones have none."""


def of(packages: Mapping[str, str], known: Sequence[Wheel]) -> Sequence[Wheel]:
    """Return the release that decides, with its CUDA; where the packages do not tell, what is known.

    Args:
        packages: what would be installed: versions by name.
        known: of the releases that are asked for, from their metadata.
    """
    cuda = cuda_of(packages)
    if cuda is None and "torch" not in packages:
        return known
    name = next((each for each in ENGINES if each in packages), None) or _runtime(packages) or RUNTIME
    version = packages.get(name, cuda or "")
    described = next((wheel for wheel in known if wheel.name == name), None)
    bare = Wheel(name=name, version=version, python=[], glibc={}, torch=version, cuda=cuda, builds=[])
    return [described.replace(version=version, cuda=cuda, pinned=True) if described else bare]


def limits(cuda: str) -> list[str]:
    """Return constraints that leave only what is built with a CUDA, such as 12 or 12.8, or an older one."""
    major, _, minor = cuda.partition(".")
    above = f"{major}.{int(minor) + 1}" if minor else str(int(major) + 1)
    named = {f"{RUNTIME}-cu{series}": "0" for series in NAMED if series > int(major)}
    named.update({RUNTIME: above, f"{RUNTIME}-cu{major}": above})
    # From 11 on, as the first releases of a name hold nothing.
    return [f"{name}>=11,<{version}" for name, version in named.items()]


def cuda_of(packages: Mapping[str, str]) -> str | None:
    """Return the CUDA that packages bring, such as 12.8; None where they bring none, or do not tell."""
    local = _LOCAL.search(packages.get("torch", ""))
    if local:
        return f"{local[1]}.{local[2]}"
    runtime = _runtime(packages)
    if runtime:
        return ".".join(packages[runtime].split(".")[:2])
    series = [found[1] for found in (re.fullmatch(r"nvidia-.*-cu(\d+)", name) for name in packages) if found]
    return max(series, key=int, default=None)


def _runtime(packages: Mapping[str, str]) -> str | None:
    return next((name for name in packages if re.fullmatch(RUNTIME + r"(-cu\d+)?", name)), None)
