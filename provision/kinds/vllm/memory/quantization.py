"""How the weights of a model are stored, as its `config.json` says it.

Follows vLLM 0.25.1: `transformers_utils/model_arch_config_convertor.py`
(`_normalize_quantization_config`) and `model_executor/layers/quantization`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
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
    - `narrow`: a scale has 8 bits (nvfp4, mxfp4), and not 16
    - `others`: modules that are quantized in another way, as the configuration names them, and how
    """

    method: str
    bits: float
    group: int | None = None
    block: tuple[int, int] | None = None
    channels: bool = False
    skipped: tuple[str, ...] = ()
    narrow: bool = False
    others: tuple[tuple[tuple[str, ...], Quantization | None], ...] = ()

    def of(self, module: str) -> Quantization | None:
        """Return how a module is quantized, by its full name; None when it is left as it is."""
        for names, way in self.others:
            if any(_means(each, module) for each in names):
                return way.of(module) if way else None
        return None if self.leaves(module) else self

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
        try:
            return re.match(pattern[3:], module) is not None
        except re.error:
            return False
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
    if method in ("awq", "gptq", "awq_marlin", "gptq_marlin", "auto-round"):
        bits, group = int(found.get("bits") or 4), _group(found.get("group_size", 128))
        return Quantization(method, bits, group, skipped=names, others=tuple(_excepted(method, found)))
    if method == "mxfp4":
        return Quantization(method, 4, 32, skipped=names, narrow=True)
    if method == "compressed-tensors":
        return _compressed(found, names)
    if method.startswith("modelopt"):
        four = "fp4" in method or "FP4" in str(inner.get("quant_algo"))
        return Quantization(method, 4 if four else 8, 16 if four else None, skipped=names, narrow=four)
    return Quantization(method, int(found.get("bits") or 8), skipped=names)


def _compressed(found: Config, names: tuple[str, ...]) -> Quantization:
    """Read the groups of compressed-tensors: the first that means all linear layers is for what others do not
    name.
    """
    groups = [each for each in (found.get("config_groups") or {}).values() if isinstance(each, Mapping)]
    general = next((each for each in groups if "Linear" in (each.get("targets") or ["Linear"])), None)
    others = []
    for each in groups:
        targets = tuple(str(target) for target in each.get("targets") or [] if target != "Linear")
        if targets:
            others.append((targets, _scheme(each, names)))
    # Without a general group, what no group names is left as it is.
    rest = () if general or not others else ("re:.*",)
    return replace(_scheme(general or {}, (*names, *rest)), others=tuple(others))


def _scheme(group: Config, names: tuple[str, ...]) -> Quantization:
    weights = group.get("weights") or {}
    bits = int(weights.get("num_bits") or 8)
    narrow = bits == 4 and weights.get("type") == "float"
    size = _group(weights.get("group_size")) if weights.get("strategy") != "channel" else None
    channels = weights.get("strategy") == "channel"
    return Quantization(
        "compressed-tensors", bits, size, _pair(weights.get("block_structure")), channels, names, narrow
    )


def _excepted(method: str, found: Config) -> Iterator[tuple[tuple[str, ...], Quantization | None]]:
    """Give the modules with a way of their own: `dynamic` of GPTQModel, `extra_config` of AutoRound."""
    told = found.get("dynamic") or found.get("extra_config") or {}
    for name, about in told.items():
        pattern = f"re:{name[2:]}" if name.startswith(("+:", "-:")) else str(name)
        bits = int((about or {}).get("bits") or found.get("bits") or 4)
        left = name.startswith("-:") or bits >= 16
        group = _group((about or {}).get("group_size", found.get("group_size", 128)))
        yield (pattern,), None if left else Quantization(method, bits, group)


def _group(found: Any) -> int | None:
    """Return the weights that share a scale; None where a whole row does."""
    return int(found) if found and int(found) > 0 else None


def _pair(found: Any) -> tuple[int, int] | None:
    """Return rows and columns; None when a configuration does not hold them so."""
    return (int(found[0]), int(found[1])) if isinstance(found, list) and len(found) == 2 else None
