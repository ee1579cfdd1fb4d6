"""What the fields of a service, and its `extra_args`, say that decides about memory; and vLLM's own defaults.

Follows vLLM 0.25.1: `engine/arg_utils.py` (`get_batch_defaults`,
`_set_default_max_num_seqs_and_batched_tokens_args`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from packaging.version import Version

from provision.config.services.arguments import as_text
from provision.kinds.common.cards import GIB, Card
from provision.kinds.vllm.fields import VllmService
from provision.kinds.vllm.given import Given, given
from provision.kinds.vllm.memory.architecture import Architecture
from provision.kinds.vllm.memory.parts import Heads
from provision.kinds.vllm.share import utilization
from provision.kinds.vllm.tokens import tokens


@dataclass(frozen=True)
class Settings:
    """What decides about the memory of one GPU.

    - `tensor`, `pipeline`, `data`: parallel sizes; `expert`: experts are spread whole
    - `utilization`: the share of the card's memory that the engine takes
    - `cache`: bytes for keys and values that are asked for, instead of what is left
    - `length`: longest context in tokens; None when the engine chooses it (-1, auto)
    - `sequences`, `batched`: most sequences and most tokens in one step; whether the service sets the latter
    - `dtype`: of what is not quantized
    - `quantization`: asked for by the service, so that plain weights are quantized at the start
    - `cache_dtype`: auto, fp8, …
    - `graphs`: CUDA graphs are captured
    - `block`: tokens of a block that are asked for
    - `prefixes`: common beginnings are kept
    - `windows`: layers with a window keep only that much
    - `adapters`, `rank`: LoRA: how many at once, and of which rank; 0 without
    - `images`: an encoder of images or of sound is loaded, if the model has one
    - `films`: films are taken, if the model takes them
    - `drafted`: tokens that are drafted for speculative decoding; 0 without
    - `drafter`: how: mtp, ngram, …; None without
    """

    tensor: int
    pipeline: int
    data: int
    expert: bool
    utilization: float
    cache: int | None
    length: int | None
    sequences: int
    batched: int
    batched_set: bool
    dtype: str
    quantization: str | None
    cache_dtype: str
    graphs: bool
    block: int | None
    prefixes: bool | None
    windows: bool
    adapters: int
    rank: int
    images: bool
    films: bool
    drafted: int
    drafter: str | None
    state_dtype: str
    release: Version

    @property
    def gpus(self) -> int:
        """How many GPUs the service takes."""
        return self.tensor * self.pipeline * self.data


def settings(service: VllmService, architecture: Architecture, card: Card, release: Version) -> Settings:
    """Return what decides about memory, defaults filled in as the release would."""
    flags = given([as_text(each) for each in service.extra_args])
    length = _length(service, architecture)
    sequences, batched = _batch(service, card, architecture.context if length is None else length)
    drafting: dict[str, Any] = service.speculative or {}
    return Settings(
        tensor=service.tensor_parallel_size or 1,
        pipeline=service.pipeline_parallel_size or 1,
        data=service.data_parallel_size or 1,
        expert="--enable-expert-parallel" in flags.flags,
        utilization=utilization(service, release),
        cache=_bytes(flags, "--kv-cache-memory-bytes") or _bytes(flags, "--kv-cache-memory"),
        length=length,
        sequences=sequences,
        batched=batched,
        batched_set=service.max_num_batched_tokens is not None,
        dtype=_dtype(service.dtype or "auto", architecture, card),
        quantization=service.quantization,
        cache_dtype=service.kv_cache_dtype or "auto",
        graphs=not service.enforce_eager,
        block=_whole(flags, "--block-size"),
        prefixes=service.enable_prefix_caching,
        windows=_windows(flags, architecture, release),
        adapters=(_whole(flags, "--max-loras") or 1) if service.lora or "--enable-lora" in flags.flags else 0,
        rank=_whole(flags, "--max-lora-rank") or 16,
        images=_encodes(flags, architecture),
        films=_limits(flags).get("video") != 0,
        drafted=int(drafting.get("num_speculative_tokens") or (1 if drafting else 0)),
        drafter=str(drafting.get("method") or "draft_model") if drafting else None,
        state_dtype=flags.last("--mamba-ssm-cache-dtype") or "auto",
        release=release,
    )


_WINDOWS_FROM = Version("0.9.1")
"""The first release with block tables of their own for layers of each kind (`v1/core/kv_cache_utils.py`)."""

_CHUNKS_FROM = Version("0.14.0")
"""The same for chunks (`VLLM_ALLOW_CHUNKED_LOCAL_ATTN_WITH_HYBRID_KV_CACHE`)."""


def _windows(flags: Given, architecture: Architecture, release: Version) -> bool:
    """Say whether layers with a window or a chunk keep only that much."""
    heads = [mixer for mixer in architecture.mixers if isinstance(mixer, Heads)]
    first = _CHUNKS_FROM if any(each.chunk for each in heads) else _WINDOWS_FROM
    return "--disable-hybrid-kv-cache-manager" not in flags.flags and release >= first


def _length(service: VllmService, architecture: Architecture) -> int | None:
    if service.max_model_len is None:
        return architecture.length
    length = tokens(service.max_model_len)
    return None if length == -1 else length


def _batch(service: VllmService, card: Card, length: int) -> tuple[int, int]:
    """Return most sequences and most tokens in one step."""
    large = card.total >= 70 * GIB and not card.name.startswith("A100")
    sequences = service.max_num_seqs or (1024 if large else 256)
    batched = service.max_num_batched_tokens
    if batched is None:
        batched = min(8192 if large else 2048, sequences * length)
    return min(sequences, batched) if service.max_num_seqs is None else sequences, batched


def _dtype(asked: str, architecture: Architecture, card: Card) -> str:
    """Return the type of what is not quantized; float32 models run in 16 bits by default."""
    if asked == "auto":
        if architecture.dtype in ("float32", "bfloat16"):
            return "bfloat16" if card.bfloat16 else "float16"
        return architecture.dtype
    return {"half": "float16", "float": "float32"}.get(asked, asked)


def _encodes(flags: Given, architecture: Architecture) -> bool:
    """Say whether encoders are loaded: `--limit-mm-per-prompt` with zeros for all that a model takes leaves
    them out.
    """
    limits = _limits(flags)
    takes = {"image": architecture.vision, "video": architecture.films, "audio": architecture.audio}
    taken = any(there and limits.get(kind) != 0 for kind, there in takes.items())
    return taken and "--language-model-only" not in flags.flags


def _limits(flags: Given) -> dict[str, Any]:
    """Return how many items of each kind a prompt may have, where this is said; else nothing."""
    told = flags.last("--limit-mm-per-prompt")
    try:
        found = json.loads(told) if told else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _whole(flags: Given, flag: str) -> int | None:
    value = flags.last(flag)
    return int(value) if value and value.isdecimal() else None


def _bytes(flags: Given, flag: str) -> int | None:
    value = flags.last(flag)
    if not value:
        return None
    try:
        return tokens(value)
    except ValueError:
        return None
