"""Speech in the tone alphabet of the tiny model (mk_sensevoice.py), with the standard library alone."""

import array
import io
import math
import random
import wave

RATE = 16000
WORDS = {
    "hello": 300,
    "world": 420,
    "one": 560,
    "two": 730,
    "three": 2740,
    "stop": 3360,
    "你": 930,
    "好": 1170,
    "世": 1460,
    "界": 1810,
    "。": 2230,
}
CHINESE = "你好世界。"


def sentence(words):
    """The text that the tiny model reads from these words."""
    text = ""
    for word in words:
        text += word if word in CHINESE else f" {word}"
    return text.strip()


def samples(words, *, lead=0.4, length=0.30, gap=0.15, rate=RATE):
    """16 bit samples in which these words are spoken; of whole seconds ``lead`` silence before and after."""
    noise = random.Random(" ".join(words))
    out = array.array("h", bytes(2 * int(lead * rate)))
    ramp = int(0.01 * rate)
    for word in words:
        n = int(length * rate)
        step = 2 * math.pi * WORDS[word] / rate
        for i in range(n):
            fade = min(1.0, i / ramp, (n - 1 - i) / ramp)
            out.append(int(32767 * (0.3 * fade * math.sin(step * i) + 1e-4 * noise.gauss(0, 1))))
        out.extend(array.array("h", bytes(2 * int(gap * rate))))
    out.extend(array.array("h", bytes(2 * int(lead * rate))))
    return out


def wav(data, rate=RATE, channels=1):
    """A wav file of these samples."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(data.tobytes())
    return buffer.getvalue()


def small(number):
    """A file of 2 to 3 seconds and its text; different for each number."""
    pick = random.Random(number)
    words = [pick.choice(list(WORDS)) for _ in range(2 + number % 4)]
    words = [word for i, word in enumerate(words) if i == 0 or word != words[i - 1]]  # CTC joins repetitions
    return wav(samples(words)), sentence(words)


def large(number, seconds=44.0):
    """A file of 44 seconds, 1.4 MB; different for each number."""
    pick = random.Random(1000 + number)
    data = array.array("h")
    while len(data) < seconds * RATE:
        words = [pick.choice(list(WORDS)) for _ in range(pick.randint(2, 6))]
        data.extend(
            samples([word for i, word in enumerate(words) if i == 0 or word != words[i - 1]], lead=0.6)
        )
    return wav(data[: int(seconds * RATE)])
