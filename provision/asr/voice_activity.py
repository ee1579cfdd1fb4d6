"""Where somebody speaks: fsmn-vad over a whole recording, with decisions on arrays.

FunASR decides frame by frame, slicing tensors and copying samples for each. Here the scores become one truth
value a frame, and the rules run over those; the result is the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch  # type: ignore[import-not-found,unused-ignore]

from .audio import RATE
from .features import FRAME, MELS, SETTINGS, SHIFT, FilterBank, frame_count

_CHUNK_MS = 60_000  # FunASR takes offline audio in chunks of a minute, and its rules depend on where they end
_LOUDEST = 4.0  # beyond this, thresholds of loudness could matter, which are left out here


class Rules(NamedTuple):
    """When speech begins and ends; numbers of frames of 10 ms."""

    window: int
    rise: int
    fall: int
    lookback: int
    lookahead: int
    longest: float
    patience: Sequence[tuple[float, float]]
    """(ms of speech so far, ms of silence that end it), the first that fits."""
    fall_ms: int

    @classmethod
    def of(cls, options: Any, schedule: Sequence[tuple[float, float]]) -> Rules:
        """Rules by FunASR's VADXOptions."""
        return cls(
            window=int(options.window_size_ms / 10),
            rise=int(options.sil_to_speech_time_thres / 10),
            fall=int(options.speech_to_sil_time_thres / 10),
            lookback=int(options.window_size_ms / 10) + int(options.lookback_time_start_point / 10),
            lookahead=int(options.lookahead_time_end_point / 10),
            longest=options.max_single_segment_time / 10,
            patience=schedule,
            fall_ms=options.speech_to_sil_time_thres,
        )

    def silence_that_ends(self, spoken_ms: float) -> int:
        """Milliseconds of silence after which speech that began this long ago is over."""
        allowed = next(silence for limit, silence in self.patience if spoken_ms <= limit)
        return max(int(allowed) - self.fall_ms, 0)


def spans(voiced: Sequence[bool], chunks: Sequence[int], rules: Rules) -> list[tuple[int, int]]:
    """Stretches of speech as (first frame, one past the last).

    ``voiced``: whether each frame sounds like speech. ``chunks``: the frame at which each chunk begins.
    """
    found: list[tuple[int, int]] = []
    total = [0, *itertools.accumulate(map(int, voiced))]
    fresh = free = 0  # since when the window counts, and from where on frames belong to no stretch
    begin: int | None = None
    loud = False
    silent = 0
    spoken_ms = end_ms = 0
    for start, stop in zip(chunks, [*chunks[1:], len(voiced)]):
        if begin is not None or spoken_ms:
            spoken_ms += _CHUNK_MS
        end_ms = rules.silence_that_ends(spoken_ms)
        before = len(found)
        for frame in range(start, stop):
            count = total[frame + 1] - total[max(fresh, frame + 1 - rules.window)]
            was, loud = loud, count > rules.fall if loud else count >= rules.rise
            silent = 0 if was or loud else silent + 1
            if begin is None:
                if loud:
                    begin = max(free, frame - rules.lookback)
                continue
            if silent and silent * 10 >= end_ms:
                end = frame - max(0, end_ms // 10 - rules.lookahead - 1)
            elif frame - begin + 1 > rules.longest or frame == len(voiced) - 1:
                end = frame
            else:
                continue
            found.append((begin, end + 1))
            begin, loud, silent, fresh, free = None, False, 0, frame + 1, end + 1
        if len(found) > before:
            spoken_ms = 0
    if begin is not None:
        found.append((begin, len(voiced)))
    return found


class VoiceActivity:
    """fsmn-vad by a faster path than ``AutoModel.generate``."""

    def __init__(self, auto: Any) -> None:
        """``auto``: the loaded AutoModel. Raises NotImplementedError when its settings are not known here."""
        from funasr.models.fsmn_vad_streaming.model import (  # type: ignore[import-not-found,unused-ignore]
            DEFAULT_SILENCE_SCHEDULE,
        )

        self._encoder, self._device = auto.model.encoder, auto.kwargs["device"]
        options, frontend = auto.model.vad_opts, auto.kwargs["frontend"]
        found = {name: getattr(options, name) for name in _UNDERSTOOD_OPTIONS}
        found |= {name: getattr(frontend, name) for name in _UNDERSTOOD_FRONTEND}
        if found != _UNDERSTOOD_OPTIONS | _UNDERSTOOD_FRONTEND:
            raise NotImplementedError(f"fsmn-vad with {found}")
        self._rules = Rules.of(options, DEFAULT_SILENCE_SCHEDULE)
        self._margin = 0.5  # what FunASR puts in place of speech_noise_thres where the schedule rules
        self._silence = list(options.sil_pdf_ids)
        self._filter_bank = FilterBank(frontend.dither)
        self._stack = frontend.lfr_m
        self._cmvn = frontend.cmvn

    def __call__(self, samples: Any) -> list[tuple[int, int]] | None:
        """Spans of speech in milliseconds in a float32 array of at least FRAME samples; None when FunASR
        itself has to decide.
        """
        if not -_LOUDEST <= samples.min() <= samples.max() <= _LOUDEST:
            return None
        chunks = [0]
        for end in range(_CHUNK_MS * RATE // 1000, len(samples) + 1, _CHUNK_MS * RATE // 1000):
            chunks.append(frame_count(end) - self._stack // 2)  # the last ones lack their right context
        with torch.inference_mode():
            noise = self._noise(torch.from_numpy(samples), chunks)
        voiced = (1 - noise >= noise + self._margin).tolist()
        return [(10 * start, 10 * end) for start, end in spans(voiced, chunks, self._rules)]

    def _noise(self, samples: Any, chunks: Sequence[int]) -> Any:
        """The probability that each frame is not speech, as float64."""
        frames, side = frame_count(len(samples)), self._stack // 2
        cache: dict[str, Any] = {}
        noise = []
        for start, stop in zip(chunks, [*chunks[1:], frames]):
            first, last = max(0, start - side), min(frames, stop + side)
            rows = self._filter_bank(samples[first * SHIFT : (last - 1) * SHIFT + FRAME])
            before, after = side - (start - first), side - (last - stop)  # at the ends of the audio
            rows = torch.cat([rows[:1].expand(before, -1), rows, rows[-1:].expand(after, -1)])
            stacked = rows.as_strided((stop - start, self._stack * MELS), (MELS, 1))
            if self._cmvn is not None:
                stacked = (stacked + self._cmvn[0]) * self._cmvn[1]
            scores = self._encoder(stacked[None].to(self._device), cache=cache)[0]
            noise.append(scores[:, self._silence].cpu().double().sum(dim=1))
        return torch.cat(noise)


_UNDERSTOOD_OPTIONS = {
    "sample_rate": RATE,
    "frame_in_ms": SHIFT * 1000 // RATE,
    "frame_length_ms": FRAME * 1000 // RATE,
    "detect_mode": 1,
    "do_extend": 1,
    "snr_thres": -100.0,
    "decibel_thres": -100.0,
    "speech_2_noise_ratio": 1.0,
    "output_frame_probs": False,
}
_UNDERSTOOD_FRONTEND = {**SETTINGS, "lfr_n": 1}
