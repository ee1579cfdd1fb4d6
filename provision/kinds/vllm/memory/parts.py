"""The parts that the layers of a model are made of: what mixes tokens, and what is behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Config = Mapping[str, Any]
"""A `config.json`, or the part of it that is about text."""


class UnknownShape(Exception):
    """A `config.json` lacks what the shape of the model is computed from; `str` of it says what."""


@dataclass(frozen=True)
class Heads:
    """Attention that keeps a key and a value for each token.

    - `query`, `kv`: heads
    - `size`: elements of a head, `value_size` those of its value
    - `window`: the tokens that a layer looks back, None for all
    - `chunk`: the tokens of the chunk that a layer looks at (Llama 4), None for all
    - `kept`: it keeps keys and values of its own; an encoder keeps none, and some layers use those of others
    - `alike`: keys serve as values, so the files have no matrix for values (Gemma 4)
    """

    query: int
    kv: int
    size: int
    value_size: int
    window: int | None = None
    chunk: int | None = None
    kept: bool = True
    alike: bool = False


@dataclass(frozen=True)
class Latent:
    """Multi-head latent attention (DeepSeek): one compressed vector for each token.

    - `rank`, `rope`: elements of that vector without and with position
    - `query_rank`: of the compressed query; None when it is not compressed
    - `nope`, `value`: elements of a head
    - `indexer`: elements of a head of the sparse attention's index (DeepSeek V3.2); 0 without
    """

    query: int
    rank: int
    rope: int
    nope: int
    value: int
    query_rank: int | None
    indexer: int = 0
    indexer_heads: int = 0


@dataclass(frozen=True)
class State:
    """Linear attention or Mamba: a state of fixed size for each sequence.

    - `kind`: gated delta net (Qwen3-Next), Kimi's delta attention, lightning attention (MiniMax-01), Mamba 2
      (Granite 4, Nemotron-H, Falcon-H1), selective as in Mamba 1 (Jamba), or a convolution alone (LFM2)
    - `taps`: of the convolution that mixes neighbours, beside the token itself; 0 without one
    - `heads`, `rows`, `columns`: the state
    - `keys`: heads of keys, or groups (Mamba 2), each `columns` long
    - `single`: it is kept in float32 whatever the type of the model
    - `chunk`: tokens after which the kernels can keep it for common beginnings (Mamba 2); 0 at the end only
    - `rank`: of the matrix that steps are computed with (Mamba 1)
    """

    kind: Literal["delta", "kimi", "lightning", "mamba", "selective", "convolution"]
    taps: int
    heads: int
    rows: int
    columns: int
    keys: int
    single: bool = False
    chunk: int = 0
    rank: int = 0

    @property
    def values(self) -> int:
        """How wide the values of all heads are."""
        return self.heads * self.rows

    def channels(self, ranks: int = 1) -> int:
        """Return the channels of its convolution; each of the ranks that share them needs a group."""
        groups = max(self.keys, ranks) if self.kind == "mamba" and self.keys % ranks else self.keys
        return self.values + 2 * groups * self.columns


Mixer = Heads | Latent | State


@dataclass(frozen=True)
class Experts:
    """A mixture of experts: `count` of `width`, of which a token uses `used`; `shared` is the width that all
    tokens use.
    """

    count: int
    width: int
    used: int
    shared: int


@dataclass(frozen=True)
class Layer:
    """A layer: what mixes tokens, and behind it a feed-forward part of `width`, or experts.

    Some have two mixers beside each other (Falcon-H1, Zamba 2). A layer of Nemotron-H has either one mixer,
    or a feed-forward part.
    """

    mixers: tuple[Mixer, ...]
    width: int
    experts: Experts | None = None


def whole(text: Config, *names: str) -> int:
    """Return the first of some keys that holds a whole number.

    Raises:
        UnknownShape: none does.
    """
    for name in names:
        value = text.get(name)
        if isinstance(value, int) and value > 0:
            return value
    raise UnknownShape(f"its config.json has no {names[0]}")


def number(about: Config, *names: str) -> int:
    """Return the first of some keys that holds a whole number; 0 when none does."""
    return next((value for name in names if isinstance(value := about.get(name), int)), 0)
