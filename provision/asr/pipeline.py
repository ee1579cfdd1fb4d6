"""FunASR's own pipeline, for everything except SenseVoice by itself: it finds and recognizes speech, sets
punctuation and tells speakers apart. Runs in a process of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np  # type: ignore[import-not-found,unused-ignore]
import torch  # type: ignore[import-not-found,unused-ignore]

from .audio import RATE
from .classes import CLASSES, ROLES, class_of
from .features import FRAME
from .library import PIPELINE, check_loaded, load_model

log = logging.getLogger(__name__)


class Pipeline:
    """An AutoModel with all models that were asked for. Not for use by two threads at once."""

    def __init__(self, options: dict[str, Any]) -> None:
        """Load the models. ``options`` are the settings of the same names.

        Raises Unusable when FunASR runs elsewhere than told; what FunASR and torch raise passes through.
        """
        self._options = options
        used = CLASSES[class_of(Path(options["model"])) or ""]
        self._plain = not used.punctuates  # its texts have no tags
        self._by_punctuation = options["punc_model"] is not None and used.timed
        models = {name: options[name] for name in ROLES if options[name]}
        if options["spk_model"]:
            models["spk_mode"] = "punc_segment" if self._by_punctuation else "vad_segment"
        self._auto = load_model(
            options,
            PIPELINE,
            vad_kwargs={"max_single_segment_time": options["max_single_segment_time"]},
            **models,
        )
        from funasr.utils.postprocess_utils import (  # type: ignore[import-not-found,unused-ignore]
            rich_transcription_postprocess,
        )

        self._render = rich_transcription_postprocess
        loaded = {
            name: (module, getattr(self._auto, name.replace("model", "kwargs")))
            for name in ROLES
            if (module := getattr(self._auto, name)) is not None
        }
        check_loaded(options, loaded)

    def warm_up(self) -> None:
        """Run all models once on two seconds of noise: broken installations show here."""
        noise = (0.3 * np.random.default_rng(0).standard_normal(2 * RATE)).astype(np.float32)
        self._recognize(noise, "auto", split=True)

    def recognize(self, files: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Recognize files of raw samples, as ``Recognizer.recognize`` does; one after another."""
        answers: list[dict[str, Any]] = []
        for file in files:
            try:
                samples = np.fromfile(file["path"], dtype=np.float32)
                answers.append(self._recognize(samples, file["language"], file["split"]))
            except Exception as error:
                log.exception("recognition failed")
                answers.append({"error": type(error).__name__})
        return answers

    def _recognize(self, samples: Any, language: str, split: bool) -> dict[str, Any]:
        torch.manual_seed(0)  # for the noise that the front end adds: a file always gets the same text
        if len(samples) < FRAME:
            return {"segments": [], "emoji": "", "plain": self._plain}
        asked: dict[str, Any] = {}
        if not self._plain:  # SenseVoice's own
            asked = {name: self._options[name] for name in ("use_itn", "ban_emo_unk")}
            asked["language"] = language
        if self._options["hotwords"]:
            asked["hotword"] = " ".join(self._options["hotwords"])
        found = self._auto.generate(
            input=samples,
            cache={},
            batch_size_s=self._options["batch_size_s"],
            merge_vad=self._options["merge_vad"] and (self._by_punctuation or not split),
            merge_length_s=self._options["merge_length_s"],
            sentence_timestamp=True,
            **asked,
        )
        # FunASR gives no result at all for a recording in which nothing was said.
        result = found[0] if found else {"text": ""}
        text = str(result["text"]).strip()
        return {
            "segments": self._segments(result, len(samples) / RATE),
            "emoji": text if self._plain else self._render(text),
            "plain": self._plain,
        }

    def _segments(self, result: dict[str, Any], seconds: float) -> list[dict[str, Any]]:
        pieces = result.get("sentence_info") or []
        if not pieces and str(result["text"]).strip():
            times = result.get("timestamp") or [[0, seconds * 1000]]
            pieces = [{"start": times[0][0], "end": times[-1][1], "text": result["text"]}]
        segments = []
        for piece in pieces:
            raw = str(piece["text"]).strip()
            segments.append(
                {
                    "start": piece["start"] / 1000,
                    "end": piece["end"] / 1000,
                    "raw": raw,
                    "emoji": raw if self._plain else self._render(raw),
                    "speaker": piece.get("spk"),
                }
            )
        return segments
