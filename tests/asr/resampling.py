"""Decodes tones of many sample rates; run by the Python that has soundfile, prints what differs as JSON.

python -m tests.asr.resampling
"""

import json
import math
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from provision.asr import audio


def decoded(directory, tone, rate, block):
    """What is recognized when it is sent a second of a tone, read in blocks."""
    audio._BLOCK_SAMPLES = block
    source, target = directory / "tone.wav", directory / "tone.pcm"
    samples = np.sin(2 * math.pi * tone * np.arange(rate) / rate)
    soundfile.write(source, samples, rate, subtype="FLOAT")
    assert audio.decode(source, target, 10.0) == 1.0
    return np.fromfile(target, dtype=np.float32)


def main():
    wanted = np.sin(2 * math.pi * 1000 * np.arange(16000) / 16000)
    differing = []
    with tempfile.TemporaryDirectory() as name:
        for rate in (8000, 11025, 22050, 32000, 44100, 48000, 96000):
            for block in (997, 16000, 10**7):
                kept = decoded(Path(name), 1000, rate, block)
                if abs(kept - wanted)[200:-200].max() >= 1e-3:
                    differing.append(["a tone keeps frequency, phase and level", rate, block])
                if rate > 20000 and abs(decoded(Path(name), 9500, rate, block))[200:-200].max() >= 2e-3:
                    differing.append(["a tone above the new limit vanishes", rate, block])
    print(json.dumps(differing))


if __name__ == "__main__":
    main()
