"""What a model server logged about its start: learned at a proof, told by the next plan and by `status`."""

from __future__ import annotations

from provision.wire.record import Record


class Figures(Record):
    """The figures of one start that was proven; None where the log does not say.

    Bytes are those of one GPU.

    - `seconds`: from the start of the process to its first answer
    - `weights`: bytes of the weights, and of what is loaded with them
    - `cache`: bytes for keys and values
    - `graphs`: bytes of captured CUDA graphs
    - `tokens`: that the cache has room for
    - `length`: the longest sequence in tokens
    - `sequences`: how many of that length the cache has room for at once
    """

    seconds: float
    weights: int | None = None
    cache: int | None = None
    graphs: int | None = None
    tokens: int | None = None
    length: int | None = None
    sequences: float | None = None
