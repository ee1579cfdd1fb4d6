"""Loads SenseVoice and fsmn-vad, and recognizes several files at once. Runs in a process of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np  # type: ignore[import-not-found,unused-ignore]

from .audio import RATE
from .features import FRAME
from .library import check_loaded, load_model
from .sensevoice import SenseVoice
from .voice_activity import VoiceActivity

log = logging.getLogger(__name__)

# On a CPU the arithmetic is saturated by one piece of a few seconds, and larger batches only fall out of the
# caches; FunASR itself batches nothing there.
_CPU_BATCH_SECONDS = 8.0
# What voice_activity.py and sensevoice.py were compared with (tests/asr/test_fast_paths.py); any other
# release is used without them.
_COMPARED_FUNASR = ("1.4.16",)


class Recognizer:
    """SenseVoice and fsmn-vad, loaded from directories that were checked before. Not for use by two threads
    at once.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        """Load both models. ``options`` are the settings of the same names.

        Raises Unusable when FunASR runs elsewhere than told; what FunASR and torch raise passes through.
        """
        self._options = options
        # Two separate objects rather than AutoModel(model=, vad_model=): that one recognizes file after file,
        # while the pieces of several files can be recognized together.
        self._vad = load_model(
            options,
            model=options["vad_model"],
            max_single_segment_time=options["max_single_segment_time"],
        )
        self._asr = load_model(options, model=options["model"])
        from funasr.utils.postprocess_utils import (  # type: ignore[import-not-found,unused-ignore]
            rich_transcription_postprocess,
        )

        self._render = rich_transcription_postprocess
        loaded = {"vad_model": self._vad, "model": self._asr}
        check_loaded(options, {name: (auto.model, auto.kwargs) for name, auto in loaded.items()})
        self._batch_seconds = options["batch_size_s"]
        if options["device"] == "cpu":
            self._batch_seconds = min(self._batch_seconds, _CPU_BATCH_SECONDS)
        self._fast_vad: VoiceActivity | None = None
        self._fast_asr: SenseVoice | None = None

    def warm_up(self) -> None:
        """Run both models once on a second of noise; first inferences are slow, and broken installations show
        here. From then on the fast paths are taken, if they have given what FunASR gives.
        """
        noise = (0.3 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)
        spans, texts = self._find_speech(noise), self._read_pieces([noise], "auto")
        try:
            self._take_fast_paths()
            if (spans, texts) != (self._find_speech(noise), self._read_pieces([noise], "auto")):
                raise RuntimeError("the fast paths give something else with this model")
        except Exception as error:  # anything may differ in another release or another model
            log.warning("FunASR's own, slower code is used: %s", error)
            self._fast_vad = self._fast_asr = None

    def _take_fast_paths(self) -> None:
        from funasr import __version__

        if __version__ not in _COMPARED_FUNASR:
            raise NotImplementedError(f"fast paths are known for funasr {', '.join(_COMPARED_FUNASR)} only")
        self._fast_vad = VoiceActivity(self._vad)
        self._fast_asr = SenseVoice(
            self._asr, use_itn=self._options["use_itn"], ban_emo_unk=self._options["ban_emo_unk"]
        )

    def recognize(self, files: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Recognize files of raw samples: ``{"path", "language", "split"}`` each, an answer each in the same
        order.

        ``split`` leaves the pieces of speech as they were found, for timestamps, instead of joining short
        ones. An answer is ``{"segments": [{"start", "end", "raw", "emoji"}], "emoji"}`` or ``{"error"}``: a
        file that fails fails alone.
        """
        answers: list[dict[str, Any]] = [{} for _ in files]
        pieces: dict[str, list[tuple[int, int, Any]]] = {}  # by language: (file, piece, samples)
        spans: list[list[tuple[int, int]]] = [[] for _ in files]
        for number, file in enumerate(files):
            try:
                samples = np.fromfile(file["path"], dtype=np.float32)
                spans[number] = self._find_speech(samples)
                if self._options["merge_vad"] and not file["split"]:
                    spans[number] = self._merge(spans[number])
            except Exception as error:
                log.exception("voice activity detection failed")
                answers[number] = {"error": type(error).__name__}
                continue
            cut = pieces.setdefault(file["language"], [])
            for index, (start, end) in enumerate(spans[number]):
                cut.append(
                    (number, index, _at_least_a_frame(samples[start * RATE // 1000 : end * RATE // 1000]))
                )
        texts: dict[tuple[int, int], str] = {}
        for language, cut in pieces.items():
            for batch in self._batches(cut):
                for (number, index, _), text in zip(batch, self._read_batch(batch, language)):
                    if isinstance(text, Exception):
                        answers[number] = {"error": type(text).__name__}
                    else:
                        texts[number, index] = text
        for number, answer in enumerate(answers):
            if "error" not in answer:
                raws = [texts[number, index] for index in range(len(spans[number]))]
                answer["segments"] = [
                    {
                        "start": start / 1000,
                        "end": end / 1000,
                        "raw": raw,
                        "emoji": self._render(raw) if raw else "",
                    }
                    for (start, end), raw in zip(spans[number], raws)
                ]
                answer["emoji"] = self._render(" ".join(raws)) if raws else ""
        return answers

    def _find_speech(self, samples: Any) -> list[tuple[int, int]]:
        """Spans of speech in milliseconds."""
        if len(samples) < FRAME:  # FunASR's front end would divide by zero
            return []
        found = None if self._fast_vad is None else self._fast_vad(samples)
        if found is None:
            found = self._vad.generate(input=samples, cache={})[0]["value"]
        length = len(samples) * 1000 // RATE
        return [(int(start), min(int(end), length)) for start, end in found]

    def _merge(self, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
        from funasr.utils.vad_utils import merge_vad  # type: ignore[import-not-found,unused-ignore]

        merged = merge_vad([list(span) for span in spans], int(self._options["merge_length_s"] * 1000))
        return [(int(start), int(end)) for start, end in merged]

    def _batches(self, pieces: list[tuple[int, int, Any]]) -> Iterable[list[tuple[int, int, Any]]]:
        """Pieces of like length together, up to the allowed seconds, counting the padding to the longest."""
        batch: list[tuple[int, int, Any]] = []
        for piece in sorted(pieces, key=lambda piece: len(piece[2])):
            if batch and len(piece[2]) * (len(batch) + 1) > self._batch_seconds * RATE:
                yield batch
                batch = []
            batch.append(piece)
        if batch:
            yield batch

    def _read_batch(self, batch: list[tuple[int, int, Any]], language: str) -> Sequence[str | Exception]:
        samples = [piece[2] for piece in batch]
        try:
            return self._read_pieces(samples, language)
        except Exception as error:
            log.exception("recognition of %d pieces failed", len(batch))
            if len(batch) == 1:
                return [error]
        return [
            text for piece in batch for text in self._read_batch([piece], language)
        ]  # find the piece that fails

    def _read_pieces(self, samples: list[Any], language: str) -> list[str]:
        if self._fast_asr is not None:
            return self._fast_asr(samples, language)
        results = self._asr.generate(
            input=samples,
            cache={},
            batch_size=len(samples),
            language=language,
            use_itn=self._options["use_itn"],
            ban_emo_unk=self._options["ban_emo_unk"],
        )
        if len(results) != len(samples):
            raise RuntimeError(f"{len(samples)} pieces gave {len(results)} results")
        return [str(result["text"]) for result in results]


def _at_least_a_frame(samples: Any) -> Any:
    missing = FRAME - len(samples)
    return samples if missing <= 0 else np.pad(samples, (0, missing))
