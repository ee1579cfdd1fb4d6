"""From any supported audio file to 16 kHz mono float32 samples, within a limit of length."""

from __future__ import annotations

import ctypes
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np  # type: ignore[import-not-found,unused-ignore]
import soundfile  # type: ignore[import-not-found,unused-ignore]
import soxr  # type: ignore[import-not-found,unused-ignore]  # it comes with librosa, which funasr needs

from .errors import Refusal

RATE = 16000
"""Samples a second of the decoded audio, what SenseVoice and fsmn-vad are trained on."""

_BLOCK_SAMPLES = 2**20  # decoded at a time, all channels together
_MAX_CHANNELS = 32
_MIN_RATE, _MAX_RATE = 1000, 192_000
# Container formats that ffmpeg decodes. Playlists are excluded: with one, a file could read other files or
# fetch URLs.
_FFMPEG_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aac,amr,asf,adts,avi,flv,mpegts,caf,ape,wv,tta,dsf"


def decode(source: Path, target: Path, max_seconds: float) -> float:
    """Write the audio of ``source`` to ``target`` as raw float32 samples at 16 kHz; return its length in
    seconds.

    The length that the header states is checked before decoding, the real one during it. Raises Refusal.
    """
    if source.stat().st_size == 0:
        raise Refusal(422, "the file is empty")
    try:
        sound = soundfile.SoundFile(str(source))
    except (soundfile.LibsndfileError, RuntimeError, TypeError):
        return _decode_with_ffmpeg(source, target, max_seconds)
    with sound:
        return _decode_sound(sound, target, max_seconds)


def _decode_sound(sound: Any, target: Path, max_seconds: float) -> float:
    rate, channels = sound.samplerate, sound.channels
    if not _MIN_RATE <= rate <= _MAX_RATE:
        raise Refusal(415, f"a sample rate of {rate} Hz is not supported ({_MIN_RATE} to {_MAX_RATE} Hz are)")
    if not 1 <= channels <= _MAX_CHANNELS:
        raise Refusal(415, f"{channels} channels are not supported (1 to {_MAX_CHANNELS} are)")
    stated = sound.frames / rate
    # A stream that does not know its length states 2**63 - 1 frames; it is measured as it is decoded.
    if sound.frames < 2**62 and stated > max_seconds:
        raise _too_long(f"{stated:.0f} s", max_seconds)
    resampler = None if rate == RATE else soxr.ResampleStream(rate, RATE, 1, dtype="float32")
    taken = written = 0
    with open(target, "wb") as output:
        while True:
            try:
                block = sound.read(_BLOCK_SAMPLES // channels, dtype="float32", always_2d=True)
            except (soundfile.LibsndfileError, RuntimeError) as error:
                raise Refusal(415, "the audio is damaged and cannot be decoded") from error
            if not len(block):
                break
            taken += len(block)
            if taken > max_seconds * rate:
                raise _too_long("longer", max_seconds)
            mono = block[:, 0] if channels == 1 else block.mean(axis=1, dtype=np.float32)
            if not np.isfinite(mono).all():
                raise Refusal(415, "the audio holds samples that are not numbers")
            if resampler is not None:
                mono = resampler.resample_chunk(mono)
            output.write(mono.tobytes())
            written += len(mono)
        if resampler is not None:
            rest = resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
            output.write(rest.tobytes())
            written += len(rest)
    if not written:
        raise Refusal(422, "the file holds no audio")
    return written / RATE


def _decode_with_ffmpeg(source: Path, target: Path, max_seconds: float) -> float:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise Refusal(
            415, "not audio that this server reads: send wav, flac, ogg or mp3 (m4a needs ffmpeg here)"
        )
    command = [
        ffmpeg, "-nostdin", "-y", "-hide_banner", "-loglevel", "error", "-threads", "1",
        "-protocol_whitelist", "file", "-format_whitelist", _FFMPEG_DEMUXERS,
        "-i", f"file:{source}", "-vn", "-sn", "-dn", "-map", "0:a:0",
        "-t", str(max_seconds + 1), "-ar", str(RATE), "-ac", "1", "-f", "f32le", f"file:{target}",
    ]  # fmt: skip
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=_die_with_parent,
    )
    size = target.stat().st_size if target.exists() else 0
    if done.returncode != 0 or size == 0:
        raise Refusal(415, "not audio that this server reads: send wav, flac, ogg, mp3 or m4a")
    seconds = size / 4 / RATE
    if seconds > max_seconds:
        raise _too_long("longer", max_seconds)
    return seconds


def _die_with_parent() -> None:
    """Linux's PR_SET_PDEATHSIG: a killed decoder must not leave its ffmpeg running."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _too_long(length: str, max_seconds: float) -> Refusal:
    return Refusal(413, f"the audio is too long ({length}); at most {max_seconds:g} s are accepted")
