"""What a service is asked to prove that it answers: one record for each type of check."""

from __future__ import annotations

from typing import Any, ClassVar

from provision.wire.record import Variant

TIMEOUT = 120.0
"""Seconds that an answer may take where nobody says otherwise."""


class Check(Variant):
    """What all checks have in common: the `model` to ask for, and seconds for the answer."""

    TAG: ClassVar[str] = "type"
    timeout: float = TIMEOUT
    model: str | None = None


class Chat(Check):
    """A chat message that must be answered, with `expect` in the answer."""

    NAME: ClassVar[str] = "chat"
    user: str
    system: str | None = None
    max_tokens: int = 64
    expect: str | None = None


class Completion(Check):
    """A prompt that must be completed, with `expect` in the completion."""

    NAME: ClassVar[str] = "completion"
    prompt: str
    max_tokens: int = 64
    expect: str | None = None


class Embed(Check):
    """A text that must be embedded."""

    NAME: ClassVar[str] = "embed"
    text: str


class Pooling(Check):
    """A text that must be pooled."""

    NAME: ClassVar[str] = "pooling"
    text: str


class Rerank(Check):
    """Documents that must be put in order, the first with `expect` in it."""

    NAME: ClassVar[str] = "rerank"
    query: str
    documents: list[str]
    expect: str | None = None


class Score(Check):
    """Documents that must be compared with a query, the best with `expect` in it."""

    NAME: ClassVar[str] = "score"
    query: str
    documents: list[str]
    expect: str | None = None


class Classify(Check):
    """A text that must be classified, as `expect`."""

    NAME: ClassVar[str] = "classify"
    text: str
    expect: str | None = None


class Transcribe(Check):
    """A sound file, in base64, that must be transcribed, with `max_cer` errors for each character at most."""

    NAME: ClassVar[str] = "transcribe"
    audio: str
    file: str
    expect: str | None = None
    max_cer: float | None = None


class Http(Check):
    """A path that must answer with one of `status`, `expect` in its text and `json` in its values."""

    NAME: ClassVar[str] = "http"
    path: str
    status: Any = 200
    method: str | None = None
    headers: dict[str, str] = {}
    body: Any = None
    json: dict[str, Any] = {}
    expect: str | None = None


class Port(Check):
    """Its port must take a connection."""

    NAME: ClassVar[str] = "port"


class Running(Check):
    """It must stay up for so many seconds."""

    NAME: ClassVar[str] = "running"
    seconds: float


class Fitting(Check):
    """What its model does must work; `first` is what it does by its flags, to be asked before all else."""

    NAME: ClassVar[str] = "fitting"
    first: str | None = None
