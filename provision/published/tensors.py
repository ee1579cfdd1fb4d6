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

BLOCKS = {
    "Q4_0": (32, 18),
    "Q4_1": (32, 20),
    "Q5_0": (32, 22),
    "Q5_1": (32, 24),
    "Q8_0": (32, 34),
    "Q8_1": (32, 36),
    "Q2_K": (256, 84),
    "Q3_K": (256, 110),
    "Q4_K": (256, 144),
    "Q5_K": (256, 176),
    "Q6_K": (256, 210),
    "Q8_K": (256, 292),
    "IQ1_S": (256, 50),
    "IQ1_M": (256, 56),
    "IQ2_XXS": (256, 66),
    "IQ2_XS": (256, 74),
    "IQ2_S": (256, 82),
    "IQ3_XXS": (256, 98),
    "IQ3_S": (256, 110),
    "IQ4_NL": (32, 18),
    "IQ4_XS": (256, 136),
    "TQ1_0": (256, 54),
    "TQ2_0": (256, 66),
    "MXFP4": (32, 17),
}
"""Types of GGUF: the elements of a block, and its bytes (ggml's `gguf-py/gguf/constants.py`)."""

FLOATS = {"F64", "F32", "F16", "BF16"}
"""Types that vLLM casts to the type of the model."""


@dataclass(frozen=True)
class Tensor:
    """One tensor, or `count` of them that are alike (experts).

    - `name`: as in the files; `*` stands for the number of an expert
    - `dtype`: as safetensors names it, or GGUF
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    count: int = 1

    def renamed(self, names: Iterable[tuple[re.Pattern[str], str]]) -> Tensor:
        """Return it by another name: with each pattern replaced, in their order."""
        name = self.name
        for pattern, other in names:
            name = pattern.sub(other, name)
        return Tensor(name, self.dtype, self.shape, self.count)

    @property
    def elements(self) -> int:
        """How many numbers it has, of all `count`."""
        return prod(self.shape) * self.count

    @property
    def bytes(self) -> int:
        """Its size in the files, in bytes, of all `count`."""
        if self.dtype in BLOCKS:
            elements, size = BLOCKS[self.dtype]
            return self.elements // elements * size
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
