"""The tensors that the files of a model have, computed from its shape: for files that are not at hand.

The names are those of the published checkpoints, so that `weights` treats both alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import ceil

from provision.kinds.vllm.memory.architecture import Architecture
from provision.kinds.vllm.memory.families import Family
from provision.kinds.vllm.memory.layers import Experts, Heads, Latent, Layer, Mixer, State
from provision.kinds.vllm.memory.quantization import Quantization
from provision.kinds.vllm.memory.tensors import Tensor

_TYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


def published(architecture: Architecture) -> list[Tensor]:
    """Return the tensors of a model of a known family, with those for multi-token prediction."""
    return list(_Writer(architecture).tensors())


@dataclass(frozen=True)
class _Writer:
    model: Architecture

    @cached_property
    def family(self) -> Family:
        return self.model.family or Family()

    @property
    def dtype(self) -> str:
        return _TYPES.get(self.model.dtype, "BF16")

    def tensors(self) -> Iterator[Tensor]:
        model = self.model
        table = (model.vocabulary, model.hidden)
        yield self._plain("model.embed_tokens.weight", *table)
        for index, layer in enumerate(model.layers):
            yield from self._layer(f"model.layers.{index}", layer)
        yield self._plain("model.norm.weight", model.hidden)
        if not model.tied:
            yield self._plain("lm_head.weight", *table)
        yield from self._drafters()
        if model.vision:
            yield from self._vision()

    def _plain(self, name: str, *shape: int, count: int = 1) -> Tensor:
        return Tensor(name, self.dtype, shape, count)

    def _linear(
        self, name: str, outputs: int, inputs: int, bias: bool = False, count: int = 1
    ) -> Iterator[Tensor]:
        """A matrix, in whatever form the quantization gives it."""
        method = self.model.quantization
        if bias:
            yield self._plain(f"{name}.bias", outputs, count=count)
        if method is None or method.leaves(name):
            yield self._plain(f"{name}.weight", outputs, inputs, count=count)
        else:
            yield from _quantized(method, name, outputs, inputs, count)

    def _layer(self, name: str, layer: Layer) -> Iterator[Tensor]:
        yield from (
            self._plain(f"{name}.norm{index}.weight", self.model.hidden) for index in range(self.family.norms)
        )
        yield from self._mixer(name, layer.mixer)
        if layer.experts:
            yield from self._experts(f"{name}.mlp", layer.experts)
        else:
            yield from self._dense(f"{name}.mlp", layer.width)

    def _mixer(self, name: str, mixer: Mixer) -> Iterator[Tensor]:
        if isinstance(mixer, Heads):
            yield from self._heads(f"{name}.self_attn", mixer)
        elif isinstance(mixer, Latent):
            yield from self._latent(f"{name}.self_attn", mixer)
        else:
            yield from self._state(name, mixer)

    def _heads(self, name: str, heads: Heads) -> Iterator[Tensor]:
        hidden, text, family = self.model.hidden, self.model.text, self.family
        bias = bool(family.qkv_bias or text.get("attention_bias"))
        query = heads.query * heads.size
        yield from self._linear(f"{name}.q_proj", query * (2 if family.gated else 1), hidden, bias)
        yield from self._linear(f"{name}.k_proj", heads.kv * heads.size, hidden, bias)
        yield from self._linear(f"{name}.v_proj", heads.kv * heads.value_size, hidden, bias)
        yield from self._linear(f"{name}.o_proj", hidden, heads.query * heads.value_size, family.sinks)
        normed = family.head_norms or (
            "head" if text.get("use_qk_norm") and "glm" in str(text.get("model_type")) else ""
        )
        if normed:
            several = normed == "all"
            yield self._plain(f"{name}.q_norm.weight", query if several else heads.size)
            yield self._plain(f"{name}.k_norm.weight", heads.kv * heads.size if several else heads.size)
        if family.sinks:
            yield self._plain(f"{name}.sinks", heads.query)

    def _latent(self, name: str, latent: Latent) -> Iterator[Tensor]:
        hidden = self.model.hidden
        query = latent.query * (latent.nope + latent.rope)
        if latent.query_rank:
            yield from self._linear(f"{name}.q_a_proj", latent.query_rank, hidden)
            yield self._plain(f"{name}.q_a_layernorm.weight", latent.query_rank)
            yield from self._linear(f"{name}.q_b_proj", query, latent.query_rank)
        else:
            yield from self._linear(f"{name}.q_proj", query, hidden)
        yield from self._linear(f"{name}.kv_a_proj_with_mqa", latent.rank + latent.rope, hidden)
        yield self._plain(f"{name}.kv_a_layernorm.weight", latent.rank)
        yield from self._linear(f"{name}.kv_b_proj", latent.query * (latent.nope + latent.value), latent.rank)
        yield from self._linear(f"{name}.o_proj", hidden, latent.query * latent.value)
        if latent.indexer:
            wide = latent.indexer * latent.indexer_heads
            yield from self._linear(f"{name}.indexer.wq_b", wide, latent.query_rank or hidden)
            yield from self._linear(f"{name}.indexer.wk", latent.indexer, hidden)
            yield self._plain(f"{name}.indexer.weights_proj.weight", latent.indexer_heads, hidden)

    def _state(self, name: str, state: State) -> Iterator[Tensor]:
        hidden, keys = self.model.hidden, state.keys * state.columns
        part = {"delta": "linear_attn", "lightning": "self_attn", "mamba": "mamba"}[state.kind]
        whole = f"{name}.{part}"
        if state.kind == "delta":
            yield from self._linear(f"{whole}.in_proj_qkvz", 2 * keys + 2 * state.values, hidden)
            yield from self._linear(f"{whole}.in_proj_ba", 2 * state.heads, hidden)
        elif state.kind == "mamba":
            yield from self._linear(f"{whole}.in_proj", 2 * state.values + 2 * keys + state.heads, hidden)
        else:
            yield from self._linear(f"{whole}.qkv_proj", 3 * state.values, hidden)
            yield from self._linear(f"{whole}.output_gate", state.values, hidden)
        if state.taps:
            yield self._plain(f"{whole}.conv1d.weight", state.channels(), 1, state.taps + 1)
            yield self._plain(f"{whole}.A_log", state.heads)
            yield self._plain(f"{whole}.dt_bias", state.heads)
        yield self._plain(f"{whole}.norm.weight", state.rows if state.kind == "delta" else state.values)
        yield from self._linear(f"{whole}.out_proj", hidden, state.values)

    def _dense(self, name: str, width: int, count: int = 1, bias: bool = False) -> Iterator[Tensor]:
        hidden = self.model.hidden
        yield from self._linear(f"{name}.gate_proj", width, hidden, bias, count)
        yield from self._linear(f"{name}.up_proj", width, hidden, bias, count)
        yield from self._linear(f"{name}.down_proj", hidden, width, bias, count)

    def _experts(self, name: str, experts: Experts) -> Iterator[Tensor]:
        hidden = self.model.hidden
        yield self._plain(f"{name}.gate.weight", experts.count, hidden)
        if self.family.correction:
            yield self._plain(f"{name}.gate.e_score_correction_bias", experts.count)
        yield from self._dense(f"{name}.experts.*", experts.width, experts.count, self.family.sinks)
        if experts.shared:
            yield from self._dense(f"{name}.shared_expert", experts.shared)
            if self.family.shared_gate:
                yield self._plain(f"{name}.shared_expert_gate.weight", 1, hidden)

    def _drafters(self) -> Iterator[Tensor]:
        model = self.model
        last = next(
            (each for each in reversed(model.layers) if not isinstance(each.mixer, State)), model.layers[-1]
        )
        for index in range(model.drafters):
            name = f"mtp.layers.{index}"
            yield from self._layer(name, last)
            yield self._plain(f"{name}.eh_proj.weight", model.hidden, 2 * model.hidden)
            if self.family.own_tables:
                yield self._plain(f"{name}.embed_tokens.weight", model.vocabulary, model.hidden)
                yield self._plain(f"{name}.shared_head.head.weight", model.vocabulary, model.hidden)

    def _vision(self) -> Iterator[Tensor]:
        """An image encoder (SigLIP, Pixtral, Llama 4, Qwen3-VL) and what joins it to the model."""
        about = self.model.vision
        layers = int(about.get("num_hidden_layers") or about.get("depth") or 0)
        hidden, width = int(about.get("hidden_size") or 0), int(about.get("intermediate_size") or 0)
        pixtral = about.get("model_type") == "pixtral"
        for index in range(layers):
            name = f"vision_tower.layers.{index}"
            for each in ("q_proj", "k_proj", "v_proj", "o_proj"):
                yield self._plain(f"{name}.self_attn.{each}.weight", hidden, hidden)
            yield self._plain(f"{name}.mlp.fc1.weight", width, hidden, count=2 if pixtral else 1)
            yield self._plain(f"{name}.mlp.fc2.weight", hidden, width)
        patch = int(about.get("patch_size") or 14)
        frames = int(about.get("temporal_patch_size") or 1)
        yield self._plain("vision_tower.patch_embedding.weight", hidden, 3, frames, patch, patch)
        places = int(about.get("num_position_embeddings") or 0)
        places = places or (0 if pixtral else (int(about.get("image_size") or 0) // patch) ** 2)
        yield self._plain("vision_tower.position_embedding.weight", places, hidden)
        yield from self._joint(hidden, width, pixtral)

    def _joint(self, hidden: int, width: int, pixtral: bool) -> Iterator[Tensor]:
        """What brings the vectors of an image encoder to the size of the model's."""
        about, name = self.model.vision, "multi_modal_projector"
        joined = int(about.get("projector_output_dim") or (self.model.hidden if pixtral else hidden))
        if about.get("out_hidden_size"):
            merged = hidden * int(about.get("spatial_merge_size") or 2) ** 2
            mergers = 1 + len(about.get("deepstack_visual_indexes") or [])
            yield self._plain(f"{name}.fc1.weight", merged, merged, count=mergers)
            yield self._plain(f"{name}.fc2.weight", int(about["out_hidden_size"]), merged, count=mergers)
            return
        if pixtral:
            yield self._plain(f"{name}.patch_merger.weight", hidden, 4 * hidden)
            yield self._plain(f"{name}.linear_1.weight", joined, hidden)
        if about.get("projector_input_dim"):
            inner = int(about["projector_input_dim"])
            yield self._plain("vision_tower.adapter.fc1.weight", inner, width)
            yield self._plain("vision_tower.adapter.fc2.weight", joined, inner)
        yield self._plain(f"{name}.linear.weight", self.model.hidden, joined)


def _quantized(method: Quantization, name: str, outputs: int, inputs: int, count: int) -> Iterator[Tensor]:
    if method.bits == 8:
        yield Tensor(f"{name}.weight", "F8_E4M3", (outputs, inputs), count)
        if method.block:
            rows, columns = method.block
            shape = (ceil(outputs / rows), ceil(inputs / columns))
            yield Tensor(f"{name}.weight_scale_inv", "F32", shape, count)
        return
    group = method.group or inputs
    groups = ceil(inputs / group)
    packed = int(inputs * method.bits) // 8
    yield Tensor(f"{name}.weight_packed", "U8", (outputs, packed), count)
    wide = "U8" if method.method in ("mxfp4", "modelopt", "modelopt_fp4") else "F16"
    yield Tensor(f"{name}.weight_scale", wide, (outputs, groups), count)
    if method.method.startswith(("awq", "gptq")):
        yield Tensor(f"{name}.qzeros", "U8", (outputs, groups * int(method.bits) // 8 or 1), count)
