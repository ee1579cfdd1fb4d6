"""How many tokens fit into the memory for keys and values.

Follows vLLM 0.25.1: `v1/kv_cache_interface.py` (bytes of a page, blocks of a request),
`v1/core/kv_cache_utils.py` (groups of layers, one page size for all, blocks, tokens), and
`platforms/interface.py` (`_align_hybrid_block_size`: blocks of models that keep a state).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, lcm

from packaging.version import Version

from provision.kinds.vllm.memory.architecture import Architecture
from provision.kinds.vllm.memory.parts import Heads, Latent, Layer, Mixer, State
from provision.kinds.vllm.memory.settings import Settings

BLOCK = 16
"""Tokens of a block (`CacheConfig.DEFAULT_BLOCK_SIZE`)."""

_FLASH_MLA = 64
"""The same of the kernels for latent attention that is sparse, or in fp8 (`mla/flashmla.py`)."""


_SEQUENCES_FROM = Version("0.20.1")
"""The first release whose `GPU KV cache size` is that of whole sequences."""


class CannotUnify(Exception):
    """vLLM refuses layers whose pages cannot be made equal."""


@dataclass(frozen=True)
class Page:
    """What one layer keeps.

    - `block`: tokens of a page
    - `bytes`: of a page
    - `window`, `chunk`: tokens that it looks back; None for all
    - `state`: it keeps a state: one page for each sequence, whatever its length
    - `every`: and one at the end of each block, for common beginnings
    """

    block: int
    bytes: int
    window: int | None = None
    chunk: int | None = None
    state: bool = False
    every: bool = False

    def pages(self, length: int, batched: int, spare: int = 0) -> int:
        """Return the pages of one sequence of `length` tokens, when a step has at most `batched`."""
        if self.every:
            return ceil(length / self.block) + spare
        if self.state:
            return 1 + spare
        if self.window is not None:
            return ceil(min(self.window - 1 + batched, length) / self.block) + 1
        if self.chunk is not None:
            return ceil(min(self.chunk + batched, length) / self.block)
        return ceil(length / self.block)


@dataclass(frozen=True)
class Cache:
    """How the memory for keys and values is divided.

    - `groups`: kinds of layers that have a block table of their own, each with its page
    - `size`: bytes that one block takes, in all layers that share it
    - `batched`: most tokens in a step
    - `spare`: pages of state beside the one in use
    - `shared`: the release divides blocks among groups alike when it logs tokens
    """

    groups: tuple[Page, ...]
    size: int
    batched: int
    spare: int
    shared: bool = False

    def blocks(self, available: int) -> int:
        """Return how many blocks there are in `available` bytes."""
        return max(available, 0) // self.size if self.size else 0

    def needed_blocks(self, length: int) -> int:
        """Return the blocks that one sequence of `length` tokens takes."""
        return sum(group.pages(length, self.batched, self.spare) for group in self.groups)

    def needed(self, length: int) -> int:
        """Return the bytes that one sequence of `length` tokens takes; vLLM does not start with less."""
        return self.size * self.needed_blocks(length)

    def sequences(self, available: int, length: int) -> float:
        """Return how many sequences of `length` tokens fit into `available` bytes."""
        return self.blocks(available) / self.needed_blocks(length) if self.groups else 0.0

    def tokens(self, available: int, length: int) -> int:
        """Return vLLM's `GPU KV cache size`: what all sequences of `length` tokens have together."""
        if self.shared and self.groups:
            block = min(group.block for group in self.groups)
            return self.blocks(available) // len(self.groups) * block
        return int(self.sequences(available, length) * length)

    def longest(self, available: int, most: int) -> int:
        """Return the longest sequence that fits, at most `most` tokens; 0 when none does."""
        if not self.groups or self.needed(1) > available:
            return 0
        low, high = 1, most
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.needed(middle) <= available else (low, middle - 1)
        return low


_CACHE_BYTES = {"float32": 4, "auto": 0, "bfloat16": 2, "float16": 2}


def width(settings: Settings) -> int:
    """Return the bytes of an element of a key or value."""
    named = settings.dtype if settings.cache_dtype == "auto" else settings.cache_dtype
    if named.startswith(("fp8", "int8")):
        return 1
    return _CACHE_BYTES.get(named, 2)


def cache(
    model: Architecture, settings: Settings, first: int, last: int, draft: Architecture | None = None
) -> Cache:
    """Return how the cache of the layers `first` up to `last` is divided.

    Args:
        model: the shape of the model.
        settings: what decides about memory.
        first: the first layer of the GPU's stage.
        last: the first layer behind it.
        draft: the model that drafts tokens; its layers have their cache beside the last ones.

    Raises:
        CannotUnify: vLLM refuses these layers.
    """
    layers = [_keeping(layer) for layer in model.layers]
    if settings.drafter == "mtp" and last == len(layers):
        attending = [layer for layer in layers if any(isinstance(each, (Heads, Latent)) for each in layer)]
        layers += attending[-1:] * max(model.drafters, 1)
        last = len(layers)
    if draft and last == len(layers):
        layers += [_keeping(layer) for layer in draft.layers]
        last = len(layers)
    block = _block([mixer for layer in layers for mixer in layer], model, settings)
    pages, own = (
        [_page(mixer, model, settings, block) for layer in part for mixer in layer]
        for part in (layers, layers[first:last])
    )
    if not settings.windows:
        own, pages = ([replace(page, window=None, chunk=None) for page in each] for each in (own, pages))
    groups, size = _groups(pages)
    if settings.pipeline > 1:
        size = _groups(own)[1]
    aligned = settings.prefixes and model.hybrid and not any(page.every for page in pages)
    spare = settings.drafted + (1 if aligned else 0)
    return Cache(tuple(groups), size, settings.batched, spare, settings.release < _SEQUENCES_FROM)


def _keeping(layer: Layer) -> list[Mixer]:
    """Return the parts of a layer that keep something of a sequence."""
    return [mixer for mixer in layer.mixers if not isinstance(mixer, Heads) or mixer.kept]


def _block(mixers: Sequence[Mixer], model: Architecture, settings: Settings) -> int:
    """Return the tokens of a block of full attention."""
    block = settings.block or BLOCK
    if model.latent and any(isinstance(mixer, Latent) and mixer.indexer for mixer in mixers):
        block = max(block, _FLASH_MLA)
    if model.latent and settings.cache_dtype.startswith("fp8"):
        block = max(block, _FLASH_MLA)
    states = [mixer for mixer in mixers if isinstance(mixer, State)]
    keeping = [mixer for mixer in mixers if not isinstance(mixer, State)]
    if not states or not keeping:
        return block
    token = _page(keeping[0], model, settings, 1).bytes
    unit = lcm(block, states[0].chunk) if settings.prefixes and states[0].chunk else block
    return max(block, unit * ceil(_state_bytes(states[0], settings) / (unit * token)))


def _page(mixer: Mixer, model: Architecture, settings: Settings, block: int) -> Page:
    if isinstance(mixer, State):
        raw = _state_bytes(mixer, settings)
        keeping = next((each for each in model.mixers if isinstance(each, (Heads, Latent))), None)
        padded = _page(keeping, model, settings, block).bytes if keeping else raw
        return Page(block, max(raw, padded), state=True, every=bool(settings.prefixes and mixer.chunk))
    if isinstance(mixer, Latent):
        element = width(settings)
        token = (mixer.rank + mixer.rope) * element
        if mixer.indexer and settings.cache_dtype.startswith("fp8"):
            token = 656  # fp8_ds_mla: 512 of fp8, 16 of scales, 128 of rope
        if mixer.indexer:
            token += mixer.indexer + mixer.indexer // 128 * 4  # the index, in fp8 with a scale for 128
        return Page(block, block * token)
    heads = max(1, mixer.kv // settings.tensor)
    size = block * heads * (mixer.size + mixer.value_size) * width(settings)
    if settings.cache_dtype.endswith("per_token_head"):
        size += 2 * block * heads * 4
    return Page(block, size, mixer.window, mixer.chunk)


def _state_bytes(state: State, settings: Settings) -> int:
    plain = 4 if settings.dtype == "float32" else 2
    single = state.single if settings.state_dtype == "auto" else settings.state_dtype == "float32"
    channels = state.channels(settings.tensor) if state.taps else 0
    convolution = channels // settings.tensor * (state.taps + settings.drafted) * plain
    return convolution + state.heads // settings.tensor * state.rows * state.columns * (
        4 if single else plain
    )


def _groups(pages: Sequence[Page]) -> tuple[list[Page], int]:
    """Return the groups of layers, and the bytes of one block over the layers that share it."""
    if not pages:
        return [], 0
    kinds = {(page.window, page.chunk, page.state) for page in pages}
    if len(kinds) == 1:
        # Layers of one kind are one group, whatever their sizes.
        return [pages[0]], sum(page.bytes for page in pages)
    unified = _unified(pages)
    alike: dict[Page, int] = {}
    for page in unified:
        alike[page] = alike.get(page, 0) + 1
    least, most = min(alike.values()), max(alike.values())
    together = most if most < least * 1.5 else least
    groups = [page for page, count in alike.items() for _ in range(ceil(count / together))]
    return groups, together * unified[0].bytes


def _unified(pages: Sequence[Page]) -> list[Page]:
    """Return pages of one size: smaller ones get more tokens."""
    largest = max(page.bytes for page in pages)
    unified = []
    for page in pages:
        if largest % page.bytes:
            raise CannotUnify(f"pages of {page.bytes} bytes do not fill pages of {largest} bytes")
        unified.append(replace(page, block=page.block * (largest // page.bytes), bytes=largest))
    return unified
