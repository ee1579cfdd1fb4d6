"""Which types a GPU is too old for under vLLM, by its compute capability.

From vLLM 0.25.1: `platforms/cuda.py` (bfloat16), `get_min_capability` of each class in
`model_executor/layers/quantization` (the check is in `config/vllm.py`, `_get_quantization_config`), and
`v1/attention/backends` (fp8 for keys and values). Earlier releases ask for as much or more.
"""

from __future__ import annotations

from collections.abc import Iterator

from provision.kinds.common.cards import Card
from provision.wire.finding import Finding, fault, warning

LEAST: dict[str, tuple[int, int]] = {
    "awq": (7, 5),
    "auto_awq": (7, 5),
    "awq_marlin": (7, 5),
    "bitsandbytes": (7, 0),
    "compressed-tensors": (7, 0),
    "experts_int8": (8, 0),
    "fbgemm_fp8": (8, 0),
    "fp8": (7, 5),
    "fp_quant": (10, 0),
    "gptq": (6, 0),
    "gptq_marlin": (6, 0),
    "modelopt": (8, 9),
    "modelopt_fp4": (7, 5),
    "modelopt_mxfp8": (8, 0),
    "moe_wna16": (7, 0),
    "mxfp4": (8, 0),
    "mxfp8": (7, 5),
    "torchao": (7, 5),
}
"""The least compute capability of each quantization method. A method that is not here is not judged."""

BFLOAT16 = (8, 0)
FLOAT8 = (8, 9)
"""Ada multiplies in fp8; older GPUs unpack such weights first (`marlin`), which most methods can do."""


def too_old(card: Card, dtype: str, method: str | None, cache_dtype: str = "auto") -> Iterator[Finding]:
    """Give what a GPU lacks for a type, a quantization method, and the type of keys and values."""
    which = f"{card.name} (compute capability {card.capability[0]}.{card.capability[1]})"
    if dtype == "bfloat16" and card.capability < BFLOAT16:
        yield fault("gpu-too-old", f"{which} has no bfloat16", "set dtype: float16")
    least = LEAST.get(method or "")
    if least and card.capability < least:
        message = f"{which} cannot run the quantization {method}, which needs {least[0]}.{least[1]}"
        yield fault("gpu-too-old", message, "use another model, or a newer GPU")
    if cache_dtype.startswith("fp8") and cache_dtype != "fp8_e5m2" and card.capability < FLOAT8:
        message = f"{which} has no fp8, so vLLM may refuse kv_cache_dtype {cache_dtype}"
        yield warning("gpu-too-old", message, "leave kv_cache_dtype out")
