"""Service kind `asr`: speech recognition by FunASR. The options of recognition carry FunASR's own names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import model_validator

from provision.config.model import Count, Duration, Name, NotNegative, Port, Range, Text, reject, shaped
from provision.config.references import SecretReference
from provision.config.services.base import Listener, Service
from provision.config.services.gpus import PATTERN_UUID, is_uuid


class AsrService(Service):
    """A speech recognition server."""

    kind: Literal["asr"]
    """What runs."""
    environment: Name
    """The environment (of `environments:`) that FunASR is installed in."""
    model: Name
    """The model (of `models:`) that recognizes speech."""
    vad_model: Name
    """The model (of `models:`) that finds speech in long recordings."""
    language: Literal["auto", "zh", "en", "yue", "ja", "ko", "nospeech"] = "auto"
    """The language spoken, where a request names none."""
    device: Annotated[
        str,
        shaped(rf"(cpu|mps|(cuda|npu)(:[0-9]+)?|{PATTERN_UUID})", "a device", "write cpu, cuda, or cuda:1"),
    ] = "cpu"
    """Where to compute: cpu, cuda, cuda:1, or the UUID of a GPU. The start fails when it is not there."""
    use_itn: bool = True
    """Write numbers and dates as figures, with punctuation."""
    batch_size_s: Count = 60
    """Seconds of audio in one batch."""
    merge_vad: bool = True
    """Join short pieces of speech before recognition."""
    merge_length_s: Count = 15
    """Longest joined piece, in seconds."""
    ban_emo_unk: bool = True
    """Always name an emotion, never "unknown"."""
    max_single_segment_time: Count = 30000
    """Longest piece that the VAD model gives, in milliseconds."""
    host: Text = "0.0.0.0"
    """The address to listen on."""
    port: Port = 8000
    """The port to listen on."""
    api_key: SecretReference | None = None
    """The key that clients must send."""
    workers: Annotated[int, Range(1, 256)] = 1
    """Processes that recognize, each with a model of its own."""
    max_upload_mb: Count = 100
    """Largest upload, in megabytes (10^6 bytes)."""
    max_audio_seconds: Count = 3600
    """Longest recording, in seconds."""
    queue: NotNegative = 64
    """Requests that may wait; more are answered 503."""
    request_timeout: Duration = 300.0
    """How long one request may take."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if is_uuid(self.device) and "CUDA_VISIBLE_DEVICES" in self.env:
            message = "CUDA_VISIBLE_DEVICES is what a UUID in `device` sets"
            raise reject(message, "leave the variable out, or write `device: cuda`", at="device")
        return self

    def listeners(self) -> Iterator[Listener]:
        """The port of the server."""
        yield Listener(("port",), self.host, self.port)
