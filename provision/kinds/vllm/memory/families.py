"""What is particular about the weights of each architecture, by the name that `architectures` has.

From the published checkpoints and the classes of these names in vLLM 0.25.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Family:
    """What a class of models has beside the matrices that all have.

    - `qkv_bias`: queries, keys and values have a bias, whatever the configuration says
    - `head_norms`: queries and keys are normed: "head" by head, "all" over all heads
    - `norms`: norms in a layer
    - `gated`: attention has an output gate, so queries are twice as wide (Qwen3-Next, Qwen3.5)
    - `plain`: the feed-forward part has no gate, so two matrices instead of three
    - `biased`: all matrices of attention and of the feed-forward part have a bias
    - `drafters`: layers for multi-token prediction that the configuration does not tell of
    - `own_tables`: these layers have tables of the vocabulary of their own
    - `sinks`: heads have a sink (gpt-oss), and all parts a bias
    - `shared_gate`: the shared expert has a gate
    - `correction`: the router has a bias for each expert
    - `both_tables`: vLLM keeps two tables of the vocabulary even where input and output share one
    - `forward`: the name of the feed-forward part in the files
    - `whole`: encoders that each GPU has as a whole, by parts of their names
    - `listed`: its weights are known only from its files: they are not computed
    - `embedder`: an encoder as BERT, which turns a text into a vector or a score
    """

    qkv_bias: bool = False
    head_norms: str = ""
    norms: int = 2
    gated: bool = False
    plain: bool = False
    biased: bool = False
    drafters: int = 0
    own_tables: bool = True
    sinks: bool = False
    shared_gate: bool = False
    correction: bool = False
    both_tables: bool = False
    forward: str = "mlp"
    whole: tuple[str, ...] = ()
    listed: bool = False
    embedder: bool = False


_LLAMA = Family()
_LLAMA4 = Family(forward="feed_forward")
_QWEN2 = Family(qkv_bias=True)
_QWEN2_AUDIO = Family(qkv_bias=True, whole=("audio",))
_QWEN3 = Family(head_norms="head")
_QWEN2_MOE = Family(qkv_bias=True, shared_gate=True)
_QWEN3_NEXT = Family(head_norms="head", gated=True, shared_gate=True, drafters=1, own_tables=False)
_QWEN35 = Family(head_norms="head", gated=True, shared_gate=True, own_tables=False)
_DEEPSEEK = Family(correction=True)
_GEMMA3 = Family(head_norms="head", norms=4)
_GEMMA3N = Family(head_norms="head", norms=4, whole=("vision", "audio"))
_FOUR_NORMS = Family(norms=4)
_ONE_NORM = Family(norms=1)
_OLMO = Family(head_norms="all")
_PLAIN = Family(plain=True)
_BIASED = Family(plain=True, biased=True)
_EMBEDDER = Family(embedder=True)
_LISTED = Family(listed=True)

FAMILIES: dict[str, Family] = {
    # Llama and what has the same matrices
    "LlamaForCausalLM": _LLAMA,
    "Llama4ForCausalLM": _LLAMA4,
    "Llama4ForConditionalGeneration": _LLAMA4,
    "MistralForCausalLM": _LLAMA,
    "Mistral3ForConditionalGeneration": _LLAMA,
    "MixtralForCausalLM": _LLAMA,
    "Phi3ForCausalLM": _LLAMA,
    "GemmaForCausalLM": _LLAMA,
    "GlmForCausalLM": _LLAMA,
    "GraniteForCausalLM": _LLAMA,
    "GraniteMoeForCausalLM": _LLAMA,
    "GraniteMoeHybridForCausalLM": _LLAMA,
    "Ernie4_5ForCausalLM": _LLAMA,
    "SeedOssForCausalLM": _LLAMA,
    "SmolLM3ForCausalLM": _LLAMA,
    "InternLM2ForCausalLM": _LLAMA,
    "InternLM3ForCausalLM": _LLAMA,
    "BaichuanForCausalLM": _LLAMA,
    "BaiChuanForCausalLM": _LLAMA,
    "Ministral3ForCausalLM": _LLAMA,
    "ExaoneForCausalLM": _LLAMA,
    "MiniMaxText01ForCausalLM": _LLAMA,
    "MiniMaxM1ForCausalLM": _LLAMA,
    "MistralLarge3ForCausalLM": _LLAMA,
    "PixtralForConditionalGeneration": _LLAMA,
    "VoxtralForConditionalGeneration": _LLAMA,
    "DeepseekV2ForCausalLM": _LLAMA,
    # Qwen
    "Qwen2ForCausalLM": _QWEN2,
    "Qwen2VLForConditionalGeneration": _QWEN2,
    "Qwen2_5_VLForConditionalGeneration": _QWEN2,
    "Qwen2MoeForCausalLM": _QWEN2_MOE,
    "Qwen3ForCausalLM": _QWEN3,
    "Qwen3MoeForCausalLM": _QWEN3,
    "Qwen3NextForCausalLM": _QWEN3_NEXT,
    "Qwen3VLForConditionalGeneration": _QWEN3,
    "Qwen3VLMoeForConditionalGeneration": _QWEN3,
    "Qwen2AudioForConditionalGeneration": _QWEN2_AUDIO,
    "Qwen2_5OmniModel": _QWEN2_AUDIO,
    "Qwen2_5OmniForConditionalGeneration": _QWEN2_AUDIO,
    "Qwen3OmniMoeForConditionalGeneration": _QWEN3,
    "Qwen3_5ForCausalLM": _QWEN35,
    "Qwen3_5MoeForCausalLM": _QWEN35,
    "Qwen3_5ForConditionalGeneration": _QWEN35,
    "Qwen3_5MoeForConditionalGeneration": _QWEN35,
    # DeepSeek and what has its experts or its attention
    "DeepseekV3ForCausalLM": _DEEPSEEK,
    "DeepseekV32ForCausalLM": _DEEPSEEK,
    "GlmMoeDsaForCausalLM": Family(correction=True, own_tables=False),
    "Glm4MoeLiteForCausalLM": _DEEPSEEK,
    "KimiK25ForConditionalGeneration": _DEEPSEEK,
    "KimiVLForConditionalGeneration": _DEEPSEEK,
    "KimiLinearForCausalLM": _DEEPSEEK,
    "Glm4MoeForCausalLM": _DEEPSEEK,
    "Glm4vMoeForConditionalGeneration": _DEEPSEEK,
    "Ernie4_5_MoeForCausalLM": _DEEPSEEK,
    "Dots1ForCausalLM": Family(head_norms="head", correction=True),
    "BailingMoeV2ForCausalLM": Family(head_norms="head", correction=True),
    "MiniMaxM2ForCausalLM": Family(head_norms="all", correction=True),
    # other norms
    "Glm4ForCausalLM": _FOUR_NORMS,
    "Glm4vForConditionalGeneration": _FOUR_NORMS,
    "Gemma2ForCausalLM": _FOUR_NORMS,
    "Gemma3ForCausalLM": _GEMMA3,
    "Gemma3ForConditionalGeneration": _GEMMA3,
    "Gemma3TextModel": _GEMMA3,
    "Gemma3nForCausalLM": _GEMMA3,
    "Gemma3nForConditionalGeneration": _GEMMA3N,
    "Gemma4ForCausalLM": _GEMMA3,
    "Gemma4ForConditionalGeneration": _GEMMA3N,
    "Olmo2ForCausalLM": _OLMO,
    "Olmo3ForCausalLM": _OLMO,
    "OlmoeForCausalLM": _OLMO,
    "Exaone4ForCausalLM": _QWEN3,
    "HunYuanDenseV1ForCausalLM": _QWEN3,
    "HunYuanMoEV1ForCausalLM": _QWEN3,
    "CohereForCausalLM": _ONE_NORM,
    "Cohere2ForCausalLM": _ONE_NORM,
    # states, alone or beside attention
    "BambaForCausalLM": _LLAMA,
    "FalconH1ForCausalLM": _LLAMA4,
    "JambaForCausalLM": Family(forward="feed_forward", both_tables=True),
    "FalconMambaForCausalLM": _ONE_NORM,
    "MambaForCausalLM": _ONE_NORM,
    "Mamba2ForCausalLM": _ONE_NORM,
    # encoders of texts
    "BertModel": _EMBEDDER,
    "BertForSequenceClassification": _EMBEDDER,
    "RobertaModel": _EMBEDDER,
    "RobertaForSequenceClassification": _EMBEDDER,
    "XLMRobertaModel": _EMBEDDER,
    "XLMRobertaForSequenceClassification": _EMBEDDER,
    "ModernBertModel": _EMBEDDER,
    "ModernBertForSequenceClassification": _EMBEDDER,
    # other parts
    "GptOssForCausalLM": Family(sinks=True, qkv_bias=True),
    "ChatGLMModel": _QWEN2,
    "MiMoForCausalLM": Family(qkv_bias=True, own_tables=False),
    "ArceeForCausalLM": _PLAIN,
    "ApertusForCausalLM": Family(plain=True, head_norms="head"),
    "NemotronHForCausalLM": Family(plain=True, norms=1, correction=True),
    "Starcoder2ForCausalLM": _BIASED,
    "PhiForCausalLM": Family(plain=True, biased=True, norms=1),
    "PhiMoEForCausalLM": Family(biased=True),
}
"""The architectures whose weights provision computes and whose layers it knows."""

LISTED = {
    "AyaVisionForConditionalGeneration",
    "DeepseekForCausalLM",
    "GPTNeoXForCausalLM",
    "GlmOcrForConditionalGeneration",
    "Granite4VisionForConditionalGeneration",
    "GraniteMoeSharedForCausalLM",
    "KeyeVL1_5ForConditionalGeneration",
    "Lfm2VlForConditionalGeneration",
    "LightOnOCRForConditionalGeneration",
    "Llama_Nemotron_Nano_VL",
    "LlavaNextVideoForConditionalGeneration",
    "MiniCPMForCausalLM",
    "NemotronForCausalLM",
    "OPTForCausalLM",
    "OlmoForCausalLM",
    "OrionForCausalLM",
    "SolarForCausalLM",
    "StableLmForCausalLM",
    "Cohere2VisionForConditionalGeneration",
    "DeepseekOCRForCausalLM",
    "DeepseekVLV2ForCausalLM",
    "DotsOCRForCausalLM",
    "GraniteSpeechForConditionalGeneration",
    "HunYuanVLForConditionalGeneration",
    "Idefics3ForConditionalGeneration",
    "InternS1ForConditionalGeneration",
    "InternVLForConditionalGeneration",
    "KeyeForConditionalGeneration",
    "Lfm2ForCausalLM",
    "Lfm2MoeForCausalLM",
    "LlavaNextForConditionalGeneration",
    "LlavaOnevisionForConditionalGeneration",
    "MiniCPMO",
    "MiniCPMV",
    "NemotronH_Nano_VL_V2",
    "Ovis2_5",
    "PaddleOCRVLForConditionalGeneration",
    "PaliGemmaForConditionalGeneration",
    "Phi3VForCausalLM",
    "Phi4MMForCausalLM",
    "SkyworkR1VChatModel",
    "SmolVLMForConditionalGeneration",
    "UltravoxModel",
    "Zamba2ForCausalLM",
}
"""The architectures whose layers provision knows, and whose weights only their files tell."""

TAKEN_FOR = ("ForSequenceClassification", "ForTokenClassification", "RewardModel", "EmbeddingModel", "Model")
"""Ends of names that vLLM takes for ForCausalLM with another head (`models/registry.py`)."""

FILMS = ("Gemma4", "Glm4v", "InternVL", "Keye", "MiniCPM", "Qwen2VL", "Qwen2_5", "Qwen3", "LlavaOnevision")
"""Beginnings of the names of those that take films beside images."""

WRAPPERS = {"InternVLChatModel", "LlavaForConditionalGeneration"}
"""The architectures that join an encoder to a model of any kind, which the text part names."""

_BY_TYPE = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM"}


def family(name: str, text: Mapping[str, Any]) -> Family | None:
    """Return the family of an architecture; None when it is not known.

    Args:
        name: of the architecture.
        text: the text part of the configuration.
    """
    if name in WRAPPERS:
        inner = text.get("architectures") or [_BY_TYPE.get(str(text.get("model_type")), "")]
        name = str(inner[0])
    if name in LISTED:
        return _LISTED
    ends = (end for end in TAKEN_FOR if name.endswith(end) and name not in FAMILIES)
    end = next(ends, None)
    return FAMILIES.get(f"{name.removesuffix(end)}ForCausalLM" if end else name)
