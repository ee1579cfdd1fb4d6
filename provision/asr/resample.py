"""Change of sample rate by a windowed sinc in polyphase form, block by block, with numpy alone."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np  # type: ignore[import-not-found,unused-ignore]

_ZERO_CROSSINGS = 24
_MAX_PHASES = 4096  # filters that a file may take; 11025 Hz takes 640
_KAISER_BETA = 9.0  # about 90 dB stopband attenuation
_ROLLOFF = 0.945  # where the passband ends, as a part of the lower Nyquist frequency


class Resampler:
    """Resamples a mono float32 signal that comes in blocks; the output does not depend on how it was cut."""

    def __init__(self, source_rate: int, target_rate: int) -> None:
        """Rates in Hz, both positive. Odd ones are met within a few hundred-thousandths."""
        ratio = Fraction(source_rate, target_rate).limit_denominator(_MAX_PHASES)
        self._up, self._down = ratio.denominator, ratio.numerator
        cutoff = _ROLLOFF * min(1.0, self._up / self._down)  # relative to the source's Nyquist frequency
        self._half = math.ceil(_ZERO_CROSSINGS / cutoff)
        self._taps = self._filters(cutoff)
        self._buffer: Any = np.zeros(self._half, dtype=np.float32)  # silence before the first sample
        self._buffer_start = -self._half  # index in the source of the buffer's first sample
        self._received = 0
        self._next = 0  # index of the next output sample

    def push(self, block: Any) -> Any:
        """Take a block of samples; return the output that is settled by now."""
        self._received += len(block)
        self._buffer = np.concatenate([self._buffer, block.astype(np.float32, copy=False)])
        # output n lies at source position n * down / up and needs `half` samples after it
        return self._produce((self._received - self._half) * self._up // self._down)

    def finish(self) -> Any:
        """Return the rest of the output, as if silence followed the last sample."""
        self._buffer = np.concatenate([self._buffer, np.zeros(self._half + 1, dtype=np.float32)])
        return self._produce(-(-self._received * self._up // self._down))

    def _produce(self, end: int) -> Any:
        start = self._next
        if end <= start:
            return np.zeros(0, dtype=np.float32)
        output = np.empty(end - start, dtype=np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(self._buffer, 2 * self._half)
        for first in range(start, min(start + self._up, end)):
            position, phase = divmod(first * self._down, self._up)
            row = position - self._half + 1 - self._buffer_start
            count = len(range(first, end, self._up))
            rows = windows[row : row + (count - 1) * self._down + 1 : self._down]
            output[first - start :: self._up] = rows @ self._taps[phase]
        self._next = end
        keep_from = end * self._down // self._up - self._half
        self._buffer = self._buffer[max(0, keep_from - self._buffer_start) :].copy()
        self._buffer_start = max(self._buffer_start, keep_from)
        return output

    def _filters(self, cutoff: float) -> Any:
        """A row of taps for each phase."""
        phases = np.arange(self._up)[:, None] / self._up
        offset = np.arange(-self._half + 1, self._half + 1) - phases
        window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1 - (offset / self._half) ** 2, 0, None))) / np.i0(
            _KAISER_BETA
        )
        taps = np.sinc(offset * cutoff) * window
        return (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
