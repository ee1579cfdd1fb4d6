"""Hosts as they tell of themselves, and what is foreseen of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from provision.catalog.catalog import Catalog
from provision.foresight.outlook import foresee
from provision.wire.events import Inspected
from provision.wire.figures import Figures
from provision.wire.questions import Surveyed
from provision.wire.rollout import Outlook
from provision.wire.survey import Described, Engine, Gpu, Holder, Learned

MIB, GIB = 2**20, 2**30

PUBLISHED: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[1] / "kinds/vllm/published.yml").read_text(encoding="utf-8")
)
"""Models by the names of their pages."""

CARDS = {
    "H100": ("NVIDIA H100 80GB HBM3", 81080, (9, 0)),
    "H200": ("NVIDIA H200", 143156, (9, 0)),
    "A100": ("NVIDIA A100-SXM4-80GB", 81154, (8, 0)),
    "L4": ("NVIDIA L4", 22563, (8, 9)),
    "T4": ("Tesla T4", 14930, (7, 5)),
    "V100": ("Tesla V100-SXM2-32GB", 32501, (7, 0)),
    "P100": ("Tesla P100-PCIE-16GB", 16276, (6, 0)),
}
"""What nvidia-smi tells: name, memory in MiB without what the driver keeps, compute capability."""


def uuid(index: int) -> str:
    """Return the UUID of a GPU."""
    return f"GPU-{index:08x}-1111-2222-3333-444444444444"


def gpus(text: str) -> list[Gpu]:
    """Return GPUs such as `2xH100, L4`."""
    names: list[str] = []
    for part in filter(None, text.split(", ")):
        count, name = re.fullmatch(r"(?:(\d+)x)?(\w+)", part).groups()  # type: ignore[union-attr]
        names += [name] * int(count or 1)
    found = []
    for index, name in enumerate(names):
        title, memory, (major, minor) = CARDS[name]
        found.append(
            Gpu(
                index=index,
                uuid=uuid(index),
                name=title,
                memory=memory * MIB,
                used=0,
                capability=[major, minor],
            )
        )
    return found


def described(path: str, model: str, **changes: Any) -> Described:
    """Return what a published model says of itself."""
    config = {**PUBLISHED[model]["config"], **changes}
    return Described(path=path, source="its directory", config=config, tensors=None)


def holder(
    gib: float, gpu: int = 0, service: str | None = None, command: str = "python3", pid: int = 77
) -> Holder:
    """Return a process that holds memory of a GPU."""
    return Holder(
        pid=pid,
        command=command,
        gpu=uuid(gpu),
        bytes=round(gib * GIB),
        service=service,
        left_over=service is None and command.startswith("VLLM::"),
    )


def told(
    found: Sequence[Gpu] | None,
    *,
    models: Sequence[Described] = (),
    holders: Sequence[Holder] = (),
    learned: dict[str, Figures] | None = None,
    serving: Sequence[str] = (),
    starting: Sequence[str] = (),
    links: Sequence[list[Any]] = (),
    engines: dict[str, str] | None = None,
) -> Surveyed:
    """Return what a host has told; the memory in use of each GPU is that of its holders."""
    for gpu in found or ():
        gpu.used = (gpu.used or 0) + sum(each.bytes or 0 for each in holders if each.gpu == gpu.uuid)
    return Surveyed(
        host="box",
        driver="580.159.04",
        cuda="13.0",
        gpus=None if found is None else list(found),
        holders=list(holders),
        models=list(models),
        engines=[
            Engine(service=service, package="vllm", version=version)
            for service, version in (engines or {}).items()
        ],
        learned=[Learned(service=service, figures=figures) for service, figures in (learned or {}).items()],
        serving=list(serving),
        starting=list(starting),
        links=list(links),
    )


def differs(id: str, *options: list[list[str]]) -> Inspected:
    """Return what is told of a resource that is not as declared."""
    found = Inspected(id=id, type=id.partition(":")[0], label=id, changes={"content": ("a", "b")})
    return found.replace(options=options or None)


def outlook(catalog: Catalog, surveyed: Surveyed, differing: Sequence[Inspected] = ()) -> Outlook:
    """Return what is foreseen."""
    return foresee(catalog, surveyed, differing)
