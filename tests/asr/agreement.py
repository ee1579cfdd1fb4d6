"""Compares the fast paths with FunASR's own code; run by the Python that has it, prints what differs as JSON.

python -m tests.asr.agreement MODELS    (MODELS holds SenseVoiceSmall, fsmn-vad and waves)
"""

import json
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from funasr.utils.fbank import fbank

from provision.asr import recognizer as recognizer_module
from provision.asr.features import FilterBank
from provision.asr.recognizer import Recognizer
from tests.asr import speech

RATE = speech.RATE
MINUTE = 60 * RATE


def samples(wav):
    return np.frombuffer(wav[44:], dtype="<i2").astype(np.float32) / 32768


def signals():
    """Speech, noise and silence, of lengths around the minute at which FunASR cuts audio."""
    noise = np.random.default_rng(0)
    yield from (samples(speech.small(number)[0]) for number in range(12))
    for number, seconds in enumerate((44, 59.98, 60, 60.02, 75, 120)):
        yield samples(speech.large(number, seconds))
    for count, level in ((400, 0.1), (559, 0.1), (560, 1e-4), (5 * RATE, 0.01), (MINUTE + RATE, 0.2)):
        yield (level * noise.standard_normal(count)).astype(np.float32)
    yield np.zeros(3 * RATE, dtype=np.float32)
    yield np.full(RATE, 0.25, dtype=np.float32)
    yield 100 * samples(speech.small(1)[0])  # louder than audio can be


class Scores(torch.nn.Module):
    """Stands in for the encoder of fsmn-vad: gives each frame the chance of silence that it was told."""

    def __init__(self):
        super().__init__()
        self.silence = torch.zeros(0)
        self.nothing = torch.nn.Parameter(torch.zeros(1))  # FunASR asks the first parameter for the device

    def forward(self, features, cache):
        start = cache.get("start", 0)
        cache["start"] = start + features.shape[1]
        scores = torch.zeros(1, features.shape[1], 248)
        scores[0, :, 0] = self.silence[start : cache["start"]]
        return scores


def changing(pick, frames):
    """Chances of silence that change now and then between speech, silence and something in between."""
    spoken, paused = pick.choice((5, 20, 100, 1000, 4000)), pick.choice((3, 10, 30, 100, 200, 500))
    chances = []
    while len(chances) < frames:
        loud = pick.random() < 0.5
        level = pick.uniform(0.01, 0.24) if loud else pick.uniform(0.26, 0.95)
        length = 1 + int(pick.expovariate(1 / (spoken if loud else paused)))
        chances += [min(0.99, max(0.005, pick.gauss(level, 0.1))) for _ in range(length)]
    return torch.tensor(chances)


def main(models):
    options = {
        "model": f"{models}/SenseVoiceSmall",
        "vad_model": f"{models}/fsmn-vad",
        "device": "cpu",
        "threads": 1,
        "use_itn": True,
        "batch_size_s": 60.0,
        "merge_vad": True,
        "merge_length_s": 15.0,
        "ban_emo_unk": True,
        "max_single_segment_time": 30000,
    }
    recognizer = Recognizer(options)
    recognizer.warm_up()
    vad, asr = recognizer._vad, recognizer._asr
    fast_vad, fast_asr = recognizer._fast_vad, recognizer._fast_asr
    taken = fast_vad is not None and fast_asr is not None
    differing = []

    def compare(what, ours, theirs):
        if ours != theirs:
            differing.append([what, repr(ours)[:300], repr(theirs)[:300]])

    def spans(audio):
        return [tuple(span) for span in vad.generate(input=audio, cache={})[0]["value"]]

    def texts(pieces, language):
        found = asr.generate(
            input=pieces, cache={}, batch_size=1, language=language, use_itn=True, ban_emo_unk=True
        )
        return [one["text"] for one in found]

    waves = sorted(Path(models, "waves").glob("*.wav"))
    audio = [*signals(), *(samples(path.read_bytes()) for path in waves)]
    filter_bank = FilterBank()
    for number, signal in enumerate(audio):
        theirs = fbank(
            torch.from_numpy(signal)[None] * 32768, num_mel_bins=80, frame_length=25, frame_shift=10,
            dither=0.0, energy_floor=0.0, window_type="hamming", sample_frequency=RATE, snip_edges=True,
        )  # fmt: skip
        ours = filter_bank(torch.from_numpy(signal))
        compare(f"shape of features {number}", ours.shape, theirs.shape)
        if signal.std() > 1e-6:  # the rounding errors of a constant have no logarithm to speak of
            compare(f"features {number}", bool((ours - theirs).abs().max() < 2e-3), True)
        found = fast_vad(signal)
        if abs(signal).max() > 10:
            compare("asked FunASR itself", found, None)
        else:
            compare(f"speech in {number}", found, spans(signal))
    short = [signal for signal in audio if len(signal) <= 30 * RATE]
    for language in ("auto", "en", "yue", "nospeech"):
        theirs = texts(short, language)
        compare(f"{language}, one by one", [fast_asr([piece], language)[0] for piece in short], theirs)
        compare(f"{language}, together", fast_asr(short, language), theirs)

    encoder, scores = vad.model.encoder, Scores()
    vad.model.encoder = fast_vad._encoder = scores
    for seed in range(25):
        pick = random.Random(seed)
        length = pick.choice((2 * RATE, 10 * RATE, 30 * RATE, MINUTE, 2 * MINUTE))
        length += pick.choice((0, 1, 159, 160, 399, 400, 401, 560, pick.randrange(MINUTE)))
        silence = np.zeros(length, dtype=np.float32)
        scores.silence = changing(pick, length // 160)
        compare(f"decisions of seed {seed}", fast_vad(silence), spans(silence))
    vad.model.encoder = fast_vad._encoder = encoder

    recognizer_module._COMPARED_FUNASR = ("0.0",)
    careful = Recognizer(options)
    careful.warm_up()
    compare("an unknown release", careful._fast_vad or careful._fast_asr, None)
    with tempfile.TemporaryDirectory() as directory:
        files = []
        for number, signal in enumerate(short):
            path = Path(directory, str(number))
            signal.tofile(path)
            files += [{"path": path, "language": "auto", "split": split} for split in (False, True)]
        compare("whole answers", recognizer.recognize(files), careful.recognize(files))
    print(json.dumps({"taken": taken, "differing": differing}))


if __name__ == "__main__":
    main(sys.argv[1])
