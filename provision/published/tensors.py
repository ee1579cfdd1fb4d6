"""The weights of a model as its files list them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from math import prod
from typing import Any, Iterable, Mapping

BITS = {
    "F64": 64,
    "F32": 32,
    "F16": 16,
    "BF16": 16,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F4": 4,
    "I64": 64,
    "I32": 32,
    "I16": 16,
    "I8": 8,
    "U64": 64,
    "U32": 32,
    "U16": 16,
    "U8": 8,
    "BOOL": 8,
}
"""Bits of an element, by the names that safetensors gives to types."""

FLOATS = {"F64", "F32", "F16", "BF16"}
"""Types that vLLM casts to the type of the model."""


@dataclass(frozen=True)
class Tensor:
    """One tensor, or `count` of them that are alike (experts).

    - `name`: as in the files; `*` stands for the number of an expert
    - `dtype`: as safetensors names it
    - `scale`: it belongs to a quantized matrix, and keeps its type
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    count: int = 1

    @property
    def elements(self) -> int:
        """How many numbers it has, of all `count`."""
        return prod(self.shape) * self.count

    @property
    def bytes(self) -> int:
        """Its size in the files, in bytes, of all `count`."""
        return prod(self.shape) * BITS[self.dtype] // 8 * self.count


def header(text: bytes) -> list[Tensor]:
    """Read the JSON header of a safetensors file (without the eight bytes of its length).

    Raises:
        ValueError: it is not such a header.
    """
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("the header of a safetensors file is not a mapping")
    return [_tensor(name, about) for name, about in found.items() if name != "__metadata__"]


def _tensor(name: str, about: Mapping[str, Any]) -> Tensor:
    try:
        dtype, shape = str(about["dtype"]), tuple(int(size) for size in about["shape"])
    except (KeyError, TypeError):
        raise ValueError(f"the header of a safetensors file does not describe {name}") from None
    if dtype not in BITS:
        raise ValueError(f"{name} has the unknown type {dtype}")
    return Tensor(name, dtype, shape)


_EXPERT = re.compile(r"\.experts\.\d+\.")


def grouped(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return tensors with those of experts that are alike as one, as there can be a hundred thousand."""
    counts: dict[tuple[str, str, tuple[int, ...]], int] = {}
    for tensor in tensors:
        key = (_EXPERT.sub(".experts.*.", tensor.name), tensor.dtype, tensor.shape)
        counts[key] = counts.get(key, 0) + tensor.count
    return [Tensor(*key, count) for key, count in counts.items()]


def size(tensors: Iterable[Tensor]) -> int:
    """Return the size of tensors in the files, in bytes."""
    return sum(tensor.bytes for tensor in tensors)
