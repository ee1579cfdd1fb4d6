"""Kaldi's log mel filter bank, which both models are fed with, computed for many frames at once.

Up to rounding it gives the same numbers as ``torchaudio.compliance.kaldi.fbank`` and kaldi-native-fbank, in a
tenth of the time of the latter, which FunASR calls where torchaudio is missing.
"""

from __future__ import annotations

from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]

from .audio import RATE

FRAME = 400
"""Samples in a frame: 25 ms."""
SHIFT = 160
"""Samples from one frame to the next: 10 ms."""
MELS = 80
"""Numbers for each frame."""

SETTINGS = {
    "fs": RATE,
    "window": "hamming",
    "n_mels": MELS,
    "frame_length": FRAME * 1000 // RATE,
    "frame_shift": SHIFT * 1000 // RATE,
    "snip_edges": True,
}
"""What a front end of FunASR must be set to for this filter bank to be its own."""

_FFT = 512
_PREEMPHASIS = 0.97
_LOWEST_HZ = 20.0
_SMALLEST = torch.finfo(torch.float32).eps
_BLOCK = 512  # frames; what a block needs stays in a core's cache


def frame_count(samples: int) -> int:
    """Whole frames in this many samples."""
    return max(0, (samples - FRAME) // SHIFT + 1)


class FilterBank:
    """Turns samples into one row of log mel energies for each frame."""

    def __init__(self, dither: float = 0.0) -> None:
        """``dither``: standard deviation of the noise that is added, in steps of 16-bit audio.

        The noise is always the same, so that the same audio always gives the same text.
        """
        self._dither = dither
        self._window = torch.hamming_window(FRAME, periodic=False, dtype=torch.float64).float()
        self._mels = _triangles()

    def __call__(self, samples: Any) -> Any:
        """Features of samples from -1 to 1, a float32 vector: frame_count(len(samples)) rows of MELS."""
        signal = samples * 32768.0
        if self._dither:
            noise = torch.randn(len(signal), generator=torch.Generator().manual_seed(0))
            signal = signal.add_(noise, alpha=self._dither)
        # Preemphasis of the whole signal gives the same as preemphasis of each frame with its mean removed,
        # once the first sample and the mean of each frame are corrected.
        emphasized = signal.clone()
        emphasized[1:] -= _PREEMPHASIS * signal[:-1]
        count = frame_count(len(signal))
        features = torch.empty(count, MELS)
        for start in range(0, count, _BLOCK):
            size = min(_BLOCK, count - start)
            raw = signal[start * SHIFT :].as_strided((size, FRAME), (SHIFT, 1))
            frames = emphasized[start * SHIFT :].as_strided((size, FRAME), (SHIFT, 1)).clone()
            frames[:, 0] = raw[:, 0] * (1 - _PREEMPHASIS)
            frames -= raw.mean(dim=1, keepdim=True) * (1 - _PREEMPHASIS)
            frames *= self._window
            spectrum = torch.view_as_real(torch.fft.rfft(frames, _FFT)).square_()
            power = spectrum[..., 0] + spectrum[..., 1]
            torch.matmul(power, self._mels, out=features[start : start + size])
        return features.clamp_(min=_SMALLEST).log_()


def _triangles() -> Any:
    """Weights of the spectrum's lines (rows) in the mel bands (columns)."""

    def mel(hertz: Any) -> Any:
        return 1127.0 * torch.log1p(torch.as_tensor(hertz, dtype=torch.float64) / 700.0)

    lowest, highest = mel(_LOWEST_HZ), mel(RATE / 2)
    edges = lowest + (highest - lowest) / (MELS + 1) * torch.arange(MELS + 2)
    lines = mel(torch.arange(_FFT // 2 + 1) * (RATE / _FFT))[:, None]
    rising = (lines - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - lines) / (edges[2:] - edges[1:-1])
    weights = torch.minimum(rising, falling).clamp(min=0.0)
    weights[-1] = 0.0  # Kaldi leaves the Nyquist frequency out
    return weights.float()
