"""Service kind `asr`: speech recognition by FunASR. The options of recognition carry FunASR's own names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from provision.asr.declared import HOTWORD_HINT, OPTIONS, Language, default, is_hotword
from provision.config.model import Name, Port, PositiveDuration, Range, Text, reject, shaped
from provision.config.problems import found
from provision.config.references import ApiKeys
from provision.config.services.base import Listener, Service, Tls
from provision.config.services.gpus import PATTERN_UUID, is_uuid


def _limits(name: str) -> Range:
    """Return the limits of the app, so that no value is valid here that it would refuse."""
    option = OPTIONS[name]
    return Range(option.least, option.most, option.above, whole=isinstance(option.default, int))


def _hotword(word: str) -> str:
    if not is_hotword(word):
        raise reject("wrong-form", f"{found(word)} is not one word", HOTWORD_HINT)
    return word


class AsrService(Service):
    """A speech recognition server."""

    kind: Literal["asr"]
    """What runs."""
    environment: Name
    """The environment (of `environments:`) that FunASR is installed in."""
    model: Name
    """The model (of `models:`) that recognizes speech: SenseVoiceSmall, or one of the Paraformers."""
    vad_model: Name
    """The model (of `models:`) that finds speech in long recordings: fsmn-vad."""
    punc_model: Name | None = None
    """A model (of `models:`) that adds punctuation: ct-punc. For Paraformers; SenseVoice adds it itself."""
    spk_model: Name | None = None
    """A model (of `models:`) that tells speakers apart: CAM++. The segments of `verbose_json` name them."""
    hotwords: list[Annotated[Text, AfterValidator(_hotword)]] = []
    """Words to expect, such as names. For models that take them: SeacoParaformer, ContextualParaformer."""
    language: Language = default("language")
    """The spoken language, if a request names none."""
    device: Annotated[
        str,
        shaped(rf"(cpu|mps|(cuda|npu)(:[0-9]+)?|{PATTERN_UUID})", "a device", "write cpu, cuda, or cuda:1"),
    ] = default("device")
    """Where to compute: cpu, cuda, cuda:1, or the UUID of a GPU. The start fails if it does not exist."""
    use_itn: bool = default("use_itn")
    """Write numbers and dates as figures, with punctuation."""
    batch_size_s: Annotated[float, _limits("batch_size_s")] = default("batch_size_s")
    """Seconds of audio in one batch."""
    merge_vad: bool = default("merge_vad")
    """Join short pieces of speech before recognition."""
    merge_length_s: Annotated[float, _limits("merge_length_s")] = default("merge_length_s")
    """Longest joined piece, in seconds."""
    ban_emo_unk: bool = default("ban_emo_unk")
    """Always name an emotion, never "unknown"."""
    max_single_segment_time: Annotated[int, _limits("max_single_segment_time")] = default(
        "max_single_segment_time"
    )
    """Longest piece that the VAD model gives, in milliseconds."""
    host: Text = "0.0.0.0"
    """The address to listen on."""
    port: Port = default("port")
    """The port to listen on."""
    tls: Tls | None = None
    """The certificate for TLS: `{cert: PATH, key: PATH}`. Checks verify it with `ca: PATH`."""
    api_key: ApiKeys | None = None
    """The key that clients must send, or a list of accepted keys. Checks send the first."""
    workers: Annotated[int, _limits("workers")] = default("workers")
    """Processes that recognize speech, each with its own copy of the model."""
    max_upload_mb: Annotated[int, _limits("max_upload_mb")] = default("max_upload_mb")
    """Largest upload, in megabytes (10^6 bytes)."""
    max_audio_seconds: Annotated[float, _limits("max_audio_seconds")] = default("max_audio_seconds")
    """Longest recording, in seconds."""
    queue: Annotated[int, _limits("queue")] = default("queue")
    """Requests that may wait, 1 or more; others are answered 503."""
    request_timeout: PositiveDuration = default("timeout")
    """How long one request may take."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if is_uuid(self.device) and "CUDA_VISIBLE_DEVICES" in self.env:
            message = "CUDA_VISIBLE_DEVICES is what a UUID in `device` sets"
            raise reject(
                "conflicting-keys", message, "leave the variable out, or write `device: cuda`", at="device"
            )
        return self

    @model_validator(mode="after")
    def _asked_for_speech(self) -> Self:
        for index, check in enumerate(self.checks):
            if check.type not in ("transcribe", "http"):
                message = f"checks[{index}]: a speech server answers no `{check.type}`"
                raise reject("impossible-check", message, "use `transcribe` or `http`", at="checks")
        return self

    def listeners(self) -> Iterator[Listener]:
        """The port of the server."""
        yield Listener(("port",), self.host, self.port)


_OTHER_NAMES = {"timeout": "request_timeout"}

OPTION_FIELDS = {
    option: field
    for option in OPTIONS
    if (field := _OTHER_NAMES.get(option, option)) in AsrService.model_fields
}
"""The field that sets each option of the app; a playbook does not set the others."""
