"""The tensors that the files of a model have, computed from its shape: for files that are not at hand.

The names are those of the published checkpoints, so that `weights` treats both alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from provision.kinds.vllm.memory import gemmas
from provision.kinds.vllm.memory.architecture import Architecture
from provision.kinds.vllm.memory.embedders import embedder
from provision.kinds.vllm.memory.encoders import encoder
from provision.kinds.vllm.memory.families import Family
from provision.kinds.vllm.memory.hearing import hearing
from provision.kinds.vllm.memory.matrices import Matrices
from provision.kinds.vllm.memory.parts import Experts, Heads, Latent, Layer, State
from provision.published.tensors import Tensor


def published(architecture: Architecture) -> list[Tensor]:
    """Return the tensors of a model of a known family, with those for multi-token prediction."""
    if architecture.family and architecture.family.embedder:
        return list(embedder(architecture, Matrices(architecture.dtype, None)))
    return list(_Writer(architecture).tensors())


_PARTS = {
    "delta": "linear_attn",
    "mamba": "mamba",
    "selective": "mamba",
    "convolution": "conv",
}
"""The names of parts that keep a state, where they are not those of attention."""


@dataclass(frozen=True)
class _Writer:
    model: Architecture

    @cached_property
    def family(self) -> Family:
        return self.model.family or Family()

    @cached_property
    def write(self) -> Matrices:
        return Matrices(self.model.dtype, self.model.quantization)

    def tensors(self) -> Iterator[Tensor]:
        model, plain = self.model, self.write.plain
        yield plain("model.embed_tokens.weight", model.vocabulary, model.hidden)
        for index, layer in enumerate(model.layers):
            yield from self._layer(f"model.layers.{index}", layer)
        yield plain("model.norm.weight", model.hidden)
        if model.text.get("hidden_size_per_layer_input"):
            yield from gemmas.tables(model.text, len(model.layers), self.write)
        if not model.tied:
            yield plain("lm_head.weight", model.vocabulary, model.hidden)
        yield from self._drafters()
        if model.vision:
            yield from encoder(model.vision, model.hidden, self.write)
        if model.audio:
            yield from hearing(model.audio, model.hidden, self.write)

    def _layer(self, name: str, layer: Layer) -> Iterator[Tensor]:
        if self.model.text.get("hidden_size_per_layer_input"):
            yield from gemmas.beside(name, self.model.text, self.write)
        norms = range(self.family.norms)
        yield from (self.write.plain(f"{name}.norm{index}.weight", self.model.hidden) for index in norms)
        for mixer in layer.mixers:
            if isinstance(mixer, Heads):
                yield from self._heads(f"{name}.self_attn", mixer)
            elif isinstance(mixer, Latent):
                yield from self._latent(f"{name}.self_attn", mixer)
            else:
                yield from self._state(name, mixer)
        if layer.experts:
            yield from self._experts(f"{name}.{self.family.forward}", layer.experts)
        elif layer.width:
            yield from self._dense(f"{name}.{self.family.forward}", layer.width, bias=self.family.biased)

    def _heads(self, name: str, heads: Heads) -> Iterator[Tensor]:
        hidden, text, family = self.model.hidden, self.model.text, self.family
        linear, plain = self.write.linear, self.write.plain
        bias = bool(family.qkv_bias or family.biased or text.get("attention_bias"))
        query = heads.query * heads.size
        yield from linear(f"{name}.q_proj", query * (2 if family.gated else 1), hidden, bias)
        yield from linear(f"{name}.k_proj", heads.kv * heads.size, hidden, bias)
        if not heads.alike:
            yield from linear(f"{name}.v_proj", heads.kv * heads.value_size, hidden, bias)
        yield from linear(
            f"{name}.o_proj", hidden, heads.query * heads.value_size, family.sinks or family.biased
        )
        normed = family.head_norms or (
            "head" if text.get("use_qk_norm") and "glm" in str(text.get("model_type")) else ""
        )
        if normed:
            several = normed == "all"
            yield plain(f"{name}.q_norm.weight", query if several else heads.size)
            yield plain(f"{name}.k_norm.weight", heads.kv * heads.size if several else heads.size)
        if family.sinks:
            yield plain(f"{name}.sinks", heads.query)

    def _latent(self, name: str, latent: Latent) -> Iterator[Tensor]:
        hidden, linear, plain = self.model.hidden, self.write.linear, self.write.plain
        query = latent.query * (latent.nope + latent.rope)
        if latent.query_rank:
            yield from linear(f"{name}.q_a_proj", latent.query_rank, hidden)
            yield plain(f"{name}.q_a_layernorm.weight", latent.query_rank)
            yield from linear(f"{name}.q_b_proj", query, latent.query_rank)
        else:
            yield from linear(f"{name}.q_proj", query, hidden)
        yield from linear(f"{name}.kv_a_proj_with_mqa", latent.rank + latent.rope, hidden)
        yield plain(f"{name}.kv_a_layernorm.weight", latent.rank)
        yield from linear(f"{name}.kv_b_proj", latent.query * (latent.nope + latent.value), latent.rank)
        yield from linear(f"{name}.o_proj", hidden, latent.query * latent.value)
        if latent.indexer:
            wide = latent.indexer * latent.indexer_heads
            yield from linear(f"{name}.indexer.wq_b", wide, latent.query_rank or hidden)
            yield from linear(f"{name}.indexer.wk", latent.indexer, hidden)
            yield plain(f"{name}.indexer.weights_proj.weight", latent.indexer_heads, hidden)

    def _state(self, name: str, state: State) -> Iterator[Tensor]:
        hidden, keys = self.model.hidden, state.keys * state.columns
        linear, plain = self.write.linear, self.write.plain
        part = _PARTS.get(state.kind, "self_attn")
        whole = f"{name}.{part}"
        if state.kind in ("selective", "convolution"):
            yield from self._channels(whole, state)
            return
        if state.kind == "delta":
            yield from linear(f"{whole}.in_proj_qkvz", 2 * keys + 2 * state.values, hidden)
            yield from linear(f"{whole}.in_proj_ba", 2 * state.heads, hidden)
        elif state.kind == "kimi":
            yield from linear(f"{whole}.qkv_proj", 2 * keys + state.values, hidden)
            for each in ("f", "g"):
                yield from linear(f"{whole}.{each}_a_proj", state.rows, hidden)
                yield from linear(f"{whole}.{each}_b_proj", state.values, state.rows)
            yield from linear(f"{whole}.b_proj", state.heads, hidden)
        elif state.kind == "mamba":
            yield from linear(f"{whole}.in_proj", 2 * state.values + 2 * keys + state.heads, hidden)
        else:
            yield from linear(f"{whole}.qkv_proj", 3 * state.values, hidden)
            yield from linear(f"{whole}.output_gate", state.values, hidden)
        if state.taps:
            yield plain(f"{whole}.conv1d.weight", state.channels(), 1, state.taps + 1)
            yield plain(f"{whole}.A_log", state.heads)
            yield plain(f"{whole}.dt_bias", state.values if state.kind == "kimi" else state.heads)
        short = state.kind in ("delta", "kimi")
        yield plain(f"{whole}.norm.weight", state.rows if short else state.values)
        yield from linear(f"{whole}.out_proj", hidden, state.values)

    def _channels(self, name: str, state: State) -> Iterator[Tensor]:
        """The matrices of Mamba 1, or of a short convolution: each channel has a state of its own."""
        linear, plain, hidden = self.write.linear, self.write.plain, self.model.hidden
        selective = state.kind == "selective"
        yield from linear(f"{name}.in_proj", (2 if selective else 3) * state.values, hidden)
        yield plain(f"{name}.conv1d.weight", state.values, 1, state.taps + 1)
        if selective:
            yield from linear(f"{name}.x_proj", state.rank + 2 * state.columns, state.values)
            yield from linear(f"{name}.dt_proj", state.values, state.rank, bias=True)
            yield Tensor(f"{name}.A_log", "F32", (state.values, state.columns))
            yield plain(f"{name}.D", state.values)
        yield from linear(f"{name}.out_proj", hidden, state.values)

    def _dense(self, name: str, width: int, count: int = 1, bias: bool = False) -> Iterator[Tensor]:
        hidden, linear = self.model.hidden, self.write.linear
        if not self.family.plain:
            yield from linear(f"{name}.gate_proj", width, hidden, bias, count)
        yield from linear(f"{name}.up_proj", width, hidden, bias, count)
        yield from linear(f"{name}.down_proj", hidden, width, bias, count)

    def _experts(self, name: str, experts: Experts) -> Iterator[Tensor]:
        hidden, plain = self.model.hidden, self.write.plain
        yield plain(f"{name}.gate.weight", experts.count, hidden)
        if self.family.correction:
            yield plain(f"{name}.gate.e_score_correction_bias", experts.count)
        yield from self._dense(f"{name}.experts.*", experts.width, experts.count, self.family.sinks)
        if experts.shared:
            yield from self._dense(f"{name}.shared_experts", experts.shared)
            if self.family.shared_gate:
                yield plain(f"{name}.shared_expert_gate.weight", 1, hidden)

    def _drafters(self) -> Iterator[Tensor]:
        model, plain = self.model, self.write.plain
        attending = (each for each in reversed(model.layers) if _attends(each))
        last = next(attending, model.layers[-1])
        for index in range(model.drafters):
            name = f"mtp.layers.{index}"
            yield from self._layer(name, last)
            yield plain(f"{name}.eh_proj.weight", model.hidden, 2 * model.hidden)
            if self.family.own_tables:
                yield plain(f"{name}.embed_tokens.weight", model.vocabulary, model.hidden)
                yield plain(f"{name}.shared_head.head.weight", model.vocabulary, model.hidden)


def _attends(layer: Layer) -> bool:
    return any(isinstance(mixer, (Heads, Latent)) for mixer in layer.mixers)
