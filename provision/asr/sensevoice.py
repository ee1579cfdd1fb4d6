"""SenseVoice's forward pass and greedy decoding, without what ``AutoModel.generate`` does around them.

The likeliest token of each frame is the same before and after the softmax, so none is computed, and the
vocabulary's 25,000 numbers of a frame are searched while they are still in a core's cache.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]
from torch.nn.functional import linear  # type: ignore[import-not-found,unused-ignore]
from torch.nn.utils.rnn import pad_sequence  # type: ignore[import-not-found,unused-ignore]

from .features import SETTINGS, FilterBank

_QUERIES = 4  # language, event, emotion and text normalization go before the speech
_CPU_FRAMES = 64  # frames whose scores fit into a core's cache


class SenseVoice:
    """SenseVoiceSmall by a faster path than ``AutoModel.generate``."""

    def __init__(self, auto: Any, *, use_itn: bool, ban_emo_unk: bool) -> None:
        """``auto``: the loaded AutoModel; the others are options of ``generate``.

        Raises NotImplementedError when its settings are not known here.
        """
        from funasr.frontends import wav_frontend  # type: ignore[import-not-found,unused-ignore]

        self._library = wav_frontend
        self._model, self._device = auto.model, torch.device(auto.kwargs["device"])
        self._frontend, self._tokenizer = auto.kwargs["frontend"], auto.kwargs["tokenizer"]
        found = {name: getattr(self._frontend, name) for name in _UNDERSTOOD_FRONTEND}
        if found != _UNDERSTOOD_FRONTEND:
            raise NotImplementedError(f"a front end with {found}")
        self._filter_bank = FilterBank(self._frontend.dither)
        self._textnorm = self._model.textnorm_dict["withitn" if use_itn else "woitn"]
        self._weight = self._model.ctc.ctc_lo.weight
        self._bias = self._model.ctc.ctc_lo.bias.detach().clone()
        if ban_emo_unk:
            self._bias[self._model.emo_dict["unk"]] = -torch.inf

    def __call__(self, pieces: Sequence[Any], language: str) -> list[str]:
        """The raw text of each piece, a float32 array of at least FRAME samples."""
        with torch.inference_mode():
            features = [self._features(torch.from_numpy(piece)) for piece in pieces]
            lengths = torch.tensor([len(rows) + _QUERIES for rows in features], device=self._device)
            speech = pad_sequence(features, batch_first=True).to(self._device)
            queries = [self._model.lid_dict.get(language, 0), 1, 2, self._textnorm]
            head = self._model.embed(torch.tensor([queries], device=self._device))
            speech = torch.cat([head.expand(len(pieces), -1, -1), speech], dim=1)
            encoded, *_ = self._model.encoder(speech, lengths)
            return [self._text(rows[:length]) for rows, length in zip(encoded, lengths.tolist())]

    def _features(self, samples: Any) -> Any:
        rows = self._library.apply_lfr(self._filter_bank(samples), self._frontend.lfr_m, self._frontend.lfr_n)
        cmvn = self._frontend.cmvn
        return rows if cmvn is None else self._library.apply_cmvn(rows, cmvn)

    def _text(self, encoded: Any) -> str:
        """Greedy CTC decoding: the best token of each frame, repetitions and blanks left out."""
        if self._device.type == "cpu":  # there numpy searches an array four times as fast as torch
            blocks = encoded.split(_CPU_FRAMES)
            best = [token for rows in blocks for token in self._scores(rows).numpy().argmax(axis=1).tolist()]
        else:
            best = self._scores(encoded).argmax(dim=1).tolist()
        tokens = [token for token, _ in itertools.groupby(best) if token != self._model.blank_id]
        return str(self._tokenizer.decode(tokens))

    def _scores(self, encoded: Any) -> Any:
        return linear(encoded, self._weight, self._bias)


_UNDERSTOOD_FRONTEND = {**SETTINGS, "upsacle_samples": True}  # FunASR's spelling
