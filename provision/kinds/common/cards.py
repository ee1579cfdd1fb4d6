"""The GPUs that are known by name (`gpus.yml`)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

GIB = 2**30


def gib(count: float) -> str:
    """Return bytes in GiB, as vLLM's log has them."""
    return f"{count / GIB:.2f} GiB"


@dataclass(frozen=True)
class Card:
    """A GPU.

    - `name`: as people call it
    - `total`: its memory as the engine sees it (CUDA's total, not nvidia-smi's `memory.total`), in bytes
    - `capability`: CUDA compute capability, such as (9, 0)
    - `source`: where its memory is from
    - `measured`: whether the memory was read from CUDA, not computed from nvidia-smi's
    """

    name: str
    total: int
    capability: tuple[int, int]
    source: str
    measured: bool = False

    @property
    def bfloat16(self) -> bool:
        """Whether it computes in bfloat16 (Ampere and later)."""
        return self.capability >= (8, 0)

    @property
    def float8(self) -> bool:
        """Whether it multiplies in fp8 (Ada, Hopper and later)."""
        return self.capability >= (8, 9)


@cache
def cards() -> dict[str, Card]:
    """Return the known cards by name."""
    found = yaml.safe_load((Path(__file__).parent / "gpus.yml").read_bytes())
    return {
        name: Card(
            name,
            round(about["gib"] * GIB),
            (int(about["capability"]), round(about["capability"] * 10) % 10),
            about["source"],
            about.get("measured", False),
        )
        for name, about in found.items()
    }


def card(name: str) -> Card | None:
    """Return a card by its name, however it is written: H100, h100-80gb, "NVIDIA H100 80GB HBM3".

    None when it is not known.
    """
    known = {_plain(each): each for each in cards()}
    plain = _plain(name)
    if plain in known:
        return cards()[known[plain]]
    longest = max((each for each in known if plain.startswith(each)), key=len, default=None)
    return cards()[known[longest]] if longest and not plain[len(longest) :][:1].isdigit() else None


def counted(text: str) -> tuple[int, str]:
    """Read how many GPUs of which name are meant: `2xH200` is two of H200."""
    match = re.fullmatch(r"(?:(\d+)\s*[x*×]\s*)?(.+)", text.strip(), re.IGNORECASE)
    return (int(match[1] or 1), match[2]) if match else (1, text)


_NOISE = r"nvidia|geforce|tesla|hbm\d?e?|sxm\d?|pcie|nvl|\d+g(i?b)?\b|[^a-z0-9]"


def _plain(name: str) -> str:
    text = name.lower()
    size = re.search(r"(?:^|[^a-z0-9])(\d+)\s*gi?b?\b", text)
    plain = re.sub(_NOISE, "", text)
    # Only these were sold with different memories under one name.
    return (
        f"{plain}{size.group(1)}"
        if size and plain in ("a100", "a800", "v100", "h100") and size.group(1) in ("40", "16", "94")
        else plain
    )


SAME = 0.02
"""By how much the memory of two cards of one kind may differ."""


_NEWEST = (99, 0)
"""The capability of a card that does not tell: it is taken to be too old for nothing."""


def seen(name: str, memory: int | None, capability: tuple[int, int] | None) -> Card | None:
    """Return a card as its driver tells of it; None when nothing says how much memory it has.

    Cards of one name were sold with different memories, so the driver's word counts.

    Args:
        name: such as "NVIDIA H100 80GB HBM3".
        memory: bytes in all, without those that the driver keeps for itself.
        capability: CUDA compute capability.
    """
    known = card(name)
    if memory is None:
        return known
    if known and abs(known.total - memory) <= SAME * memory:
        return replace(known, total=memory)
    if capability is None:
        capability = known.capability if known else _NEWEST
    return Card(name.removeprefix("NVIDIA "), memory, capability, "its driver")
