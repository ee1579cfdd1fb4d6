"""What is particular about the weights of each architecture, by the name that `architectures` has.

From the published checkpoints and Transformers' classes of these names.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """What a class of models has beside the matrices that all have.

    - `qkv_bias`: queries, keys and values have a bias, whatever the configuration says
    - `head_norms`: queries and keys are normed: "head" by head, "all" over all heads
    - `norms`: norms in a layer
    - `gated`: attention has an output gate, so queries are twice as wide (Qwen3-Next, Qwen3.5)
    - `drafters`: layers for multi-token prediction that the configuration does not tell of
    - `own_tables`: these layers have tables of the vocabulary of their own
    - `sinks`: heads have a sink (gpt-oss), and all parts a bias
    - `shared_gate`: the shared expert has a gate
    - `correction`: the router has a bias for each expert
    """

    qkv_bias: bool = False
    head_norms: str = ""
    norms: int = 2
    gated: bool = False
    drafters: int = 0
    own_tables: bool = True
    sinks: bool = False
    shared_gate: bool = False
    correction: bool = False


_LLAMA = Family()
_QWEN2 = Family(qkv_bias=True)
_QWEN3 = Family(head_norms="head")
_QWEN2_MOE = Family(qkv_bias=True, shared_gate=True)
_QWEN3_NEXT = Family(head_norms="head", gated=True, shared_gate=True, drafters=1, own_tables=False)
_QWEN35 = Family(head_norms="head", gated=True, shared_gate=True, own_tables=False)
_DEEPSEEK = Family(correction=True)
_GEMMA3 = Family(head_norms="head", norms=4)

FAMILIES: dict[str, Family] = {
    "LlamaForCausalLM": _LLAMA,
    "MistralForCausalLM": _LLAMA,
    "Mistral3ForConditionalGeneration": _LLAMA,
    "MixtralForCausalLM": _LLAMA,
    "Phi3ForCausalLM": _LLAMA,
    "Llama4ForCausalLM": _LLAMA,
    "Llama4ForConditionalGeneration": _LLAMA,
    "Qwen2ForCausalLM": _QWEN2,
    "Qwen2MoeForCausalLM": _QWEN2_MOE,
    "Qwen3ForCausalLM": _QWEN3,
    "Qwen3MoeForCausalLM": _QWEN3,
    "Qwen3NextForCausalLM": _QWEN3_NEXT,
    "Qwen3VLForConditionalGeneration": _QWEN3,
    "Qwen3VLMoeForConditionalGeneration": _QWEN3,
    "Qwen3_5ForConditionalGeneration": _QWEN35,
    "Qwen3_5MoeForConditionalGeneration": _QWEN35,
    "DeepseekV2ForCausalLM": _LLAMA,
    "DeepseekV3ForCausalLM": _DEEPSEEK,
    "DeepseekV32ForCausalLM": _DEEPSEEK,
    "GlmMoeDsaForCausalLM": Family(correction=True, own_tables=False),
    "KimiK25ForConditionalGeneration": _DEEPSEEK,
    "Glm4MoeForCausalLM": Family(correction=True),
    "GptOssForCausalLM": Family(sinks=True, qkv_bias=True),
    "Gemma3ForCausalLM": _GEMMA3,
    "Gemma3ForConditionalGeneration": _GEMMA3,
    "GraniteMoeHybridForCausalLM": _LLAMA,
    "GraniteForCausalLM": _LLAMA,
    "MiniMaxM2ForCausalLM": Family(head_norms="all", correction=True),
    "MiniMaxText01ForCausalLM": _LLAMA,
}
"""The architectures whose weights provision computes and whose layers it knows."""
