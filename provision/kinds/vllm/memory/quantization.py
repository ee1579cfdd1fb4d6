"""How the weights of a model are stored, as its `config.json` says it.

Follows vLLM 0.25.1: `transformers_utils/model_arch_config_convertor.py`
(`_normalize_quantization_config`) and `model_executor/layers/quantization`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from provision.kinds.vllm.memory.parts import Config


@dataclass(frozen=True)
class Quantization:
    """How the weights are stored.

    - `method`: vLLM's name: fp8, awq, gptq, compressed-tensors, mxfp4, modelopt, …
    - `bits`: of a weight
    - `group`: weights that share a scale; None for one scale a channel
    - `block`: rows and columns that share a scale (fp8)
    - `channels`: each output has a scale (fp8, int8)
    - `skipped`: modules that are not quantized, as the configuration names them
    """

    method: str
    bits: float
    group: int | None = None
    block: tuple[int, int] | None = None
    channels: bool = False
    skipped: tuple[str, ...] = ()

    def leaves(self, module: str) -> bool:
        """Say whether a module is left as it is, by its full name; mxfp4 is for experts only."""
        if self.method == "mxfp4":
            return ".experts." not in module
        return any(_means(each, module) for each in self.skipped)


def _means(pattern: str, module: str) -> bool:
    """Say whether an entry of a quantization's list means a module.

    It is a regular expression, or whole parts of a name in which `*` stands for any.
    """
    if pattern.startswith("re:"):
        return re.match(pattern[3:], module) is not None
    return fnmatchcase(f".{module}.", f"*.{pattern}.*")


_SKIPPED = ("modules_to_not_convert", "ignore", "ignored_layers", "exclude_modules")
"""The keys under which quantization methods list the modules that they leave as they are."""


def quantization(config: Config, text: Config) -> Quantization | None:
    """Read how the weights are stored; None when they are not quantized."""
    found = config.get("quantization_config") or config.get("compression_config")
    found = found or text.get("quantization_config")
    if not isinstance(found, Mapping):
        return None
    method = str(found.get("quant_method") or "").lower().replace("compressed_tensors", "compressed-tensors")
    method = method or str((found.get("producer") or {}).get("name") or "")
    inner: Config = found.get("quantization") or found
    skipped: list[Any] = next((inner[name] for name in _SKIPPED if inner.get(name)), [])
    names = tuple(str(each) for each in skipped)
    if method == "fp8":
        return Quantization(method, 8, block=_pair(found.get("weight_block_size")), skipped=names)
    if method in ("awq", "gptq", "awq_marlin", "gptq_marlin"):
        return Quantization(
            method, int(found.get("bits") or 4), int(found.get("group_size") or 128), skipped=names
        )
    if method == "mxfp4":
        return Quantization(method, 4, 32, skipped=names)
    if method == "compressed-tensors":
        first: Config = next(iter((found.get("config_groups") or {}).values()), {})
        weights = first.get("weights") or {}
        bits = int(weights.get("num_bits") or 8)
        block = _pair(weights.get("block_structure"))
        group = int(weights.get("group_size") or 0) or None
        channels = weights.get("strategy") == "channel"
        return Quantization(method, bits, group, block, channels, names)
    if method.startswith("modelopt"):
        four = "fp4" in method or "FP4" in str(inner.get("quant_algo"))
        return Quantization(method, 4 if four else 8, 16 if four else None, skipped=names)
    return Quantization(method, int(found.get("bits") or 8), skipped=names)


def _pair(found: Any) -> tuple[int, int] | None:
    """Return rows and columns; None when a configuration does not hold them so."""
    return (int(found[0]), int(found[1])) if isinstance(found, list) and len(found) == 2 else None
