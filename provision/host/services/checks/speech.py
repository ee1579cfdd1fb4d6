"""The check of models that write down what is said."""

from __future__ import annotations

import base64
import binascii
import io
import wave

from provision.host.failure import Failure
from provision.host.services.checks.asking import Asking, Check, Verdict
from provision.host.services.checks.error_rate import error_rate

RATE = 16000
"""Samples a second of the sound that `silence` makes."""


def transcribe(asking: Asking) -> Verdict:
    """Have a recording transcribed: `audio` (base64), `file` (its name), `expect`, `max_cer` (0.0)."""
    check = asking.check
    try:
        audio = base64.b64decode(check["audio"], validate=True)
    except (binascii.Error, ValueError):
        raise Failure("the check's audio is no base64") from None
    file = check.get("file") or "audio.wav"
    path = "/v1/audio/transcriptions"
    model = asking.model()
    reply = asking.client.upload(path, file, audio, {"model": model} if model else {}, asking.limit)
    if reply.status == 404:
        other = asking.client.upload("/recognize/", file, audio, {}, asking.limit)
        reply = reply if other.status == 404 else other
    if reply.status != 200:
        return asking.refused(path, reply)
    answer = reply.json()
    text = answer.get("text", answer.get("result")) if isinstance(answer, dict) else None
    if not isinstance(text, str):
        return Verdict("the answer holds no transcript", received=reply.text())
    expect = check.get("expect")
    if expect is None:
        return Verdict(received=text)
    rate, allowed = error_rate(expect, text), float(check.get("max_cer") or 0.0)
    if rate > allowed:
        error = f'heard "{text}" instead of "{expect}": character error rate {rate:.3f}, allowed {allowed:g}'
        return Verdict(error, received=text)
    return Verdict(received=text)


def silence() -> Check:
    """Return a check with a second of silence: any transcript of it proves that the model listens."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(bytes(2 * RATE))
    audio = base64.b64encode(data.getvalue()).decode("ascii")
    return {"type": "transcribe", "file": "silence.wav", "audio": audio}
