"""The forms that requests send, each field declared once: a form is validated by it, and described.

An unknown value is an error, and never silently a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, WithJsonSchema

from .declared import Language
from .errors import Refusal
from .transcript import Tags
from .upload import FILE_FIELD


def _no_default(schema: dict[str, Any]) -> None:
    """Leave out of a description the default of a field that is described as another type."""
    del schema["default"]


_LANGUAGE: Any = Field(
    None,
    description="Language hint; auto detects it. Without it the service's own setting.",
    json_schema_extra=_no_default,
)
_TAGS = "Emotions and events: emoji, keep (the model's raw <|TAGS|>) or strip (bare words)."
_FILE = {"type": "string", "format": "binary", "description": "wav, flac, ogg, mp3; with ffmpeg there, m4a."}


class RecognizeForm(BaseModel):
    """The fields of /recognize/, besides the file."""

    language: Language = _LANGUAGE
    tags: Tags = Field("emoji", description=_TAGS)

    @property
    def with_times(self) -> bool:
        """Whether the answer tells when each piece was said."""
        return False


class TranscriptionForm(RecognizeForm):
    """The fields of OpenAI's transcription request, besides the file."""

    model: str = Field("", description="An id from /v1/models; without it the served model.")
    response_format: Literal["json", "text", "verbose_json", "srt", "vtt"] = "json"
    tags: Tags = Field("strip", description=_TAGS)
    temperature: Annotated[float, BeforeValidator(lambda text: text or 0)] = Field(
        0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="For OpenAI's clients: this model decodes deterministically whatever it is.",
    )
    prompt: str = Field("", description="For OpenAI's clients: this model takes no prompt.")
    stream: Annotated[
        Literal["false", "False", "0"], WithJsonSchema({"type": "boolean", "enum": [False]})
    ] = Field("false", description="Streaming is not supported.", json_schema_extra=_no_default)
    granularities: Annotated[
        Literal["segment"],
        WithJsonSchema({"type": "array", "items": {"type": "string", "enum": ["segment"]}}),
    ] = Field(
        "segment",
        alias="timestamp_granularities[]",
        description="Times are given per stretch of speech.",
        json_schema_extra=_no_default,
    )

    @property
    def with_times(self) -> bool:
        """Whether the answer tells when each piece was said."""
        return self.response_format in ("verbose_json", "srt", "vtt")


F = TypeVar("F", bound=RecognizeForm)


def read(form: type[F], given: Mapping[str, str]) -> F:
    """A form from the fields that were sent. Raises Refusal."""
    try:
        return form.model_validate(dict(given))
    except ValidationError as error:
        wrong = str(error.errors()[0]["loc"][0])
    choices = next(
        get_args(field.annotation)
        for name, field in form.model_fields.items()
        if wrong in (name, field.alias)
    )
    expected = f"one of: {', '.join(choices)}" if choices else "a number from 0 to 1"
    raise Refusal(422, f"{wrong} must be {expected}", param=wrong)


def described(form: type[RecognizeForm]) -> dict[str, Any]:
    """The request with a form, for the OpenAPI description."""
    properties = {FILE_FIELD: _FILE, **form.model_json_schema()["properties"]}
    schema = {"type": "object", "required": [FILE_FIELD], "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def in_query(form: type[RecognizeForm]) -> list[dict[str, Any]]:
    """The fields of a form as parameters of a query, for the OpenAPI description."""
    return [
        {
            "in": "query",
            "name": name,
            "schema": {key: schema[key] for key in ("type", "enum")},
            "description": "As the form field, which wins.",
        }
        for name, schema in form.model_json_schema()["properties"].items()
    ]
