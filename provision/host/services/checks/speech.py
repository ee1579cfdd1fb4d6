"""The check of models that transcribe speech."""

from __future__ import annotations

import base64
import binascii
import io
import wave

from provision.host.failure import Failure
from provision.host.services.checks.asking import Asking, Verdict
from provision.host.services.checks.error_rate import error_rate
from provision.wire.checks import Transcribe

RATE = 16000
"""Samples a second of the sound that `silence` makes."""


def transcribe(asking: Asking, check: Transcribe) -> Verdict:
    """Have a recording transcribed."""
    try:
        audio = base64.b64decode(check.audio, validate=True)
    except (binascii.Error, ValueError):
        raise Failure("impossible-check", "the check's audio is not base64") from None
    path = "/v1/audio/transcriptions"
    model = asking.model()
    reply = asking.client.upload(path, check.file, audio, {"model": model} if model else {}, asking.limit)
    if reply.status == 404:
        other = asking.client.upload("/recognize/", check.file, audio, {}, asking.limit)
        reply = reply if other.status == 404 else other
    if reply.status != 200:
        return asking.refused(path, reply)
    answer = reply.json()
    text = answer.get("text", answer.get("result")) if isinstance(answer, dict) else None
    if not isinstance(text, str):
        return Verdict("the answer contains no transcript", received=reply.text())
    if check.expect is None:
        return Verdict(received=text)
    rate = error_rate(check.expect, text)
    if rate > check.max_cer:
        error = f'heard "{text}" instead of "{check.expect}": character error rate {rate:.3f}'
        return Verdict(f"{error}, allowed {check.max_cer:g}", received=text)
    return Verdict(received=text)


def silence() -> Transcribe:
    """Return a check with a second of silence: any transcript of it proves that the model listens."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(bytes(2 * RATE))
    audio = base64.b64encode(data.getvalue()).decode("ascii")
    return Transcribe(file="silence.wav", audio=audio)
