"""The options of a request, validated: an unknown value is an error, and never silently a default."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from .declared import LANGUAGES, Settings
from .errors import Refusal
from .schemas import RESPONSE_FORMATS
from .transcript import TAG_MODES


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of one request."""

    language: str
    tags: str
    response_format: str = "json"

    @property
    def with_times(self) -> bool:
        """Whether the answer tells when each piece was said."""
        return self.response_format in ("verbose_json", "srt", "vtt")


def recognize_options(query: Mapping[str, str], fields: Mapping[str, str], settings: Settings) -> Options:
    """Options of /recognize/ from query parameters and form fields; the latter win. Raises Refusal."""
    given = {**query, **fields}
    return Options(
        language=_choice(given, "language", LANGUAGES, settings.language),
        tags=_choice(given, "tags", TAG_MODES, "emoji"),
    )


def transcription_options(fields: Mapping[str, str], settings: Settings) -> Options:
    """Options of OpenAI's transcription request from its form fields. Raises Refusal."""
    model = fields.get("model") or settings.model_id
    if model.rsplit("/", 1)[-1] != settings.model_id:
        raise Refusal(
            404, f"there is no such model here; the served model is {settings.model_id}", param="model"
        )
    _choice(fields, "stream", ("false", "False", "0"), "false")
    _choice(fields, "timestamp_granularities[]", ("segment",), "segment")
    try:
        temperature_is_valid = 0 <= float(fields.get("temperature") or 0) <= 1
    except ValueError:
        temperature_is_valid = False
    if not temperature_is_valid:
        raise Refusal(422, "temperature must be a number from 0 to 1", param="temperature")
    return Options(
        language=_choice(fields, "language", LANGUAGES, settings.language),
        tags=_choice(fields, "tags", TAG_MODES, "strip"),
        response_format=_choice(fields, "response_format", RESPONSE_FORMATS, "json"),
    )


def _choice(given: Mapping[str, str], name: str, allowed: Sequence[str], default: str) -> str:
    value = given.get(name, default)
    if value not in allowed:
        raise Refusal(422, f"{name} must be one of: {', '.join(allowed)}", param=name)
    return value
