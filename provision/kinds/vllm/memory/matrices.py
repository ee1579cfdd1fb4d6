"""A matrix as files of weights have it: plain, or in the form that a quantization gives it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from provision.kinds.vllm.memory.quantization import Quantization
from provision.published.tensors import Tensor

_TYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


@dataclass(frozen=True)
class Matrices:
    """Writes the tensors of a model.

    - `dtype`: of what is not quantized
    - `quantization`: of matrices; None when they are plain
    """

    dtype: str
    quantization: Quantization | None

    def plain(self, name: str, *shape: int, count: int = 1) -> Tensor:
        """Return a tensor that is never quantized."""
        return Tensor(name, _TYPES.get(self.dtype, "BF16"), shape, count)

    def linear(
        self, name: str, outputs: int, inputs: int, bias: bool = False, count: int = 1
    ) -> Iterator[Tensor]:
        """Return a matrix, in whatever form the quantization gives it, and its bias."""
        method = self.quantization.of(name) if self.quantization else None
        if bias:
            yield self.plain(f"{name}.bias", outputs, count=count)
        if method is None:
            yield self.plain(f"{name}.weight", outputs, inputs, count=count)
        else:
            yield from _quantized(method, name, outputs, inputs, count)


def _quantized(method: Quantization, name: str, outputs: int, inputs: int, count: int) -> Iterator[Tensor]:
    if method.bits == 8 and method.group is None:
        yield Tensor(f"{name}.weight", "F8_E4M3", (outputs, inputs), count)
        if method.block:
            rows, columns = method.block
            shape = (ceil(outputs / rows), ceil(inputs / columns))
            yield Tensor(f"{name}.weight_scale_inv", "F32", shape, count)
        elif method.channels:
            yield Tensor(f"{name}.weight_scale", "F32", (outputs, 1), count)
        return
    group = method.group or inputs
    groups = ceil(inputs / group)
    packed = int(inputs * method.bits) // 8
    yield Tensor(f"{name}.weight_packed", "U8", (outputs, packed), count)
    yield Tensor(f"{name}.weight_scale", "U8" if method.narrow else "F16", (outputs, groups), count)
    if method.method.startswith(("awq", "gptq", "auto-round")):
        yield Tensor(f"{name}.qzeros", "F4" if method.bits == 4 else "U8", (outputs, groups), count)
    if method.method.startswith("gptq"):
        yield Tensor(f"{name}.g_idx", "I32", (inputs,), count)
