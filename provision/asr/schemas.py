"""The answers, for the OpenAPI description."""

# ruff: noqa: UP007, UP045  (pydantic evaluates annotations, and Python 3.9 has no X | Y)

from __future__ import annotations

from typing import Any, Optional, Union

from pydantic import BaseModel

from .errors import STATUSES


class Recognition(BaseModel):
    """The answer of /recognize/."""

    result: str


class Problem(BaseModel):
    """An error outside /v1."""

    error: str


class OpenAIProblemDetail(BaseModel):
    """What is wrong, in OpenAI's fields."""

    message: str
    type: str
    param: Optional[str]
    code: Optional[str]


class OpenAIProblem(BaseModel):
    """An error below /v1."""

    error: OpenAIProblemDetail


class Usage(BaseModel):
    """What a transcription took: seconds of audio, rounded up."""

    type: str
    seconds: int


class Transcription(BaseModel):
    """response_format=json."""

    text: str
    usage: Usage


class VerboseSegment(BaseModel):
    """A stretch of speech, times in seconds. Fields that this kind of model has no value for are 0."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    speaker: Optional[int] = None
    """Where speakers are told apart."""


class VerboseTranscription(BaseModel):
    """response_format=verbose_json."""

    task: str
    language: str
    duration: float
    text: str
    segments: list[VerboseSegment]
    usage: Usage


class Model(BaseModel):
    """A served model."""

    id: str
    object: str
    created: int
    owned_by: str


class ModelList(BaseModel):
    """The served models."""

    object: str
    data: list[Model]


class Workers(BaseModel):
    """Recognition processes: the warm ones and how many there should be."""

    ready: int
    wanted: int


class Health(BaseModel):
    """State of the service: ok, starting, unavailable or stopping."""

    status: str
    workers: Workers
    waiting: int


UPLOAD_PROBLEMS = (400, 401, 408, 413, 415, 422, 500, 503, 504)


def problems(model: type[BaseModel], *statuses: int) -> dict[Union[int, str], dict[str, Any]]:
    """Error answers of one shape for FastAPI's ``responses``."""
    return {status: {"model": model, "description": STATUSES[status][1]} for status in statuses}


OTHER_FORMATS: dict[str, Any] = {
    "description": "The transcript in the response_format that was asked for.",
    "content": {"text/plain": {"schema": {"type": "string"}}, "text/vtt": {"schema": {"type": "string"}}},
}
"""The answer of a transcription, besides its forms in JSON."""
