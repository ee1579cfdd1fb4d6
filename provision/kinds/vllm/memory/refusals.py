"""What vLLM refuses before it looks at memory: sizes that do not divide, lengths, types that a GPU lacks.

Follows vLLM 0.25.1: `config/model.py` (`_get_and_verify_max_len`, `_check_valid_dtype`) and
`model_executor/layers/vocab_parallel_embedding.py` (the padded vocabulary). What else divides is in
`parallel`, what a GPU is too old for in `capability`.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from provision.kinds.common.cards import Card
from provision.kinds.vllm.memory.architecture import Architecture
from provision.kinds.vllm.memory.capability import too_old
from provision.kinds.vllm.memory.parallel import divisors, indivisible
from provision.kinds.vllm.memory.settings import Settings
from provision.kinds.vllm.memory.weights import VOCABULARY_PADDING
from provision.wire.finding import Finding, fault

NO_FLOAT16 = ("gemma2", "gemma3", "gemma3_text", "plamo2", "glm4")
"""Types of models whose numbers become too large for float16 (`_FLOAT16_NOT_SUPPORTED_MODELS`)."""


def refusals(model: Architecture, chosen: Settings, card: Card) -> Iterator[Finding]:
    """Give what vLLM refuses."""
    padded = ceil(model.vocabulary / VOCABULARY_PADDING) * VOCABULARY_PADDING
    what = indivisible(model, chosen.tensor, chosen.expert)
    if what is None and padded % chosen.tensor:
        what = f"the vocabulary, padded to {padded:,},"
    if what:
        ways = [size for size in divisors(model, chosen.expert) if padded % size == 0]
        message = f"{what} cannot be divided among tensor_parallel_size {chosen.tensor}"
        yield fault("parallel-size", message, f"use one of {', '.join(map(str, ways))}")
    if chosen.length and chosen.length > model.context:
        message = f"max_model_len {chosen.length:,} is more than the {model.context:,} tokens of the model"
        yield fault("context-length", message, f"set max_model_len to {model.context} or less")
    kind = str(model.text.get("model_type"))
    if chosen.dtype == "float16" != model.dtype and card.bfloat16 and kind in NO_FLOAT16:
        yield fault("dtype-refused", f"vLLM refuses float16 for a {kind} model", "set dtype: bfloat16")
    method = model.quantization.method if model.quantization else chosen.quantization
    yield from too_old(card, chosen.dtype, method, chosen.cache_dtype)
