"""The checks of a service as YAML says them: one request each, and what its answer must be."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, PlainValidator, model_validator
from pydantic import WithJsonSchema as JsonSchema

from provision.config.model import (
    Count,
    Line,
    Lines,
    Model,
    PositiveDuration,
    Range,
    Text,
    one_of,
    reject,
    shaped,
)
from provision.config.problems import found
from provision.config.services.arguments import json_value

Type = Literal["chat", "completion", "embed", "rerank", "score", "classify", "http", "transcribe"]
"""The keys of which a check has one."""

TYPES: tuple[Type, ...] = get_args(Type)

_APPLIES: dict[str, tuple[Type, ...]] = {
    "model": tuple(kind for kind in TYPES if kind != "http"),
    "max_tokens": ("chat", "completion"),
    "expect": ("chat", "completion", "rerank", "score", "classify", "http"),
    "method": ("http",),
    "headers": ("http",),
    "body": ("http",),
    "status": ("http",),
    "json": ("http",),
}
"""To which types the other keys belong."""


class Chat(Model):
    """The messages of a chat check."""

    user: Lines
    """What is asked."""
    system: Lines | None = None
    """The system message; none by default."""


class Ranking(Model):
    """What a reranker compares."""

    query: Lines
    """What is looked for."""
    documents: Annotated[list[Lines], Field(min_length=1)]
    """The texts to compare with it."""


class Transcribe(Model):
    """An audio file with known words."""

    file: Text
    """A sound file beside the playbook."""
    expect: Line
    """The words that are spoken in it."""
    max_cer: Annotated[float, Range(0, 1, whole=False)] = 0.0
    """The part of the characters that may be wrong, 0 to 1."""


def _chat(value: Any) -> Any:
    if isinstance(value, str):
        return {"user": value}
    if not isinstance(value, dict):
        message = f"expected text or a mapping with `user` and `system`, found {found(value)}"
        raise reject("wrong-type", message)
    return value


def _body(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if not isinstance(value, (dict, list)):
        raise reject("wrong-type", f"expected text, or a mapping to send as JSON, found {found(value)}")
    return json_value(value)


def _headers(value: Any) -> Any:
    if not isinstance(value, dict):
        raise reject("wrong-type", f"expected a mapping of names to text, found {found(value)}")
    for name, text in value.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            message = f"{found(name)} cannot be the name of a header"
            raise reject("wrong-form", message, "write one such as Accept")
        if isinstance(text, dict):
            hint = "a key that `api_key` or `api_key_env` names is sent automatically"
            raise reject("secret-in-yaml", f"the header `{name}` cannot be a secret", hint)
        if not isinstance(text, str) or not text.isascii() or not text.isprintable():
            message = f"the header `{name}` expects one line of ASCII text, found {found(text)}"
            raise reject("wrong-form", message)
    return value


def _paths(value: Any) -> Any:
    if not isinstance(value, dict) or not value:
        message = f"expected a mapping of paths to values, found {found(value)}"
        raise reject("wrong-type", message, "write {data.0.id: qwen}")
    for path in value:
        if not isinstance(path, str) or not re.fullmatch(r"[^.\[\]]+(\.[^.\[\]]+|\[[0-9]+\])*", path):
            hint = "write one such as choices.0.text"
            raise reject("wrong-form", f"{found(path)} is not a path in JSON", hint)
    return json_value(value)


def _status(value: Any) -> Any:
    for code in value if isinstance(value, list) and value else [value]:
        if type(code) is not int or not 100 <= code <= 599:
            message = f"expected a whole number from 100 to 599, or a list of them, found {found(code)}"
            raise reject("wrong-form", message)
    return value


_CODE = {"type": "integer", "minimum": 100, "maximum": 599}

_ANYTHING = {"type": ["string", "number", "boolean", "null", "object", "array"]}


class Check(Model):
    """One request that proves a service: exactly one of its first keys, up to `transcribe`."""

    chat: Annotated[
        Chat | None,
        BeforeValidator(_chat),
        JsonSchema(
            {
                "anyOf": [
                    {"type": "string"},
                    {
                        "type": "object",
                        "properties": {"system": {"type": "string"}, "user": {"type": "string"}},
                        "required": ["user"],
                        "additionalProperties": False,
                    },
                ]
            }
        ),
    ] = None
    """A chat message that must be answered: a text, or `{system, user}`."""
    completion: Lines | None = None
    """A prompt that must be completed."""
    embed: Lines | None = None
    """A text that must be embedded."""
    rerank: Ranking | None = None
    """Documents that must be put in order: `{query, documents}`."""
    score: Ranking | None = None
    """Documents that must be compared with a query: `{query, documents}`."""
    classify: Lines | None = None
    """A text that must be classified."""
    http: Annotated[str, shaped(r"/\S*", "a path", "write /health")] | None = None
    """A path that must answer with `status`."""
    transcribe: Transcribe | None = None
    """An audio file that must be transcribed."""
    expect: Lines | None = None
    """A part of the answer; with `rerank` and `score` of the first document, with `classify` the class."""
    model: Text | None = None
    """The model to ask for, such as a LoRA adapter. Default: the first that the service serves."""
    max_tokens: Count = 64
    """Longest answer to `chat` and `completion`, in tokens."""
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] | None = None
    """The method of `http`. Default: GET; POST with a `body`."""
    headers: Annotated[
        dict[str, str],
        PlainValidator(_headers),
        JsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
    ] = {}
    """Headers that `http` sends. The key of the service is sent by itself."""
    body: (
        Annotated[
            str | dict[str, Any] | list[Any],
            PlainValidator(_body),
            JsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}, {"type": "array"}]}),
        ]
        | None
    ) = None
    """What `http` sends: a text, or a mapping, which is sent as JSON."""
    status: Annotated[
        int | list[int],
        PlainValidator(_status),
        JsonSchema({"anyOf": [_CODE, {"type": "array", "items": _CODE, "minItems": 1}]}),
    ] = 200
    """The HTTP status that `http` expects, or a list of those that will do."""
    json_: Annotated[
        dict[str, Any],
        PlainValidator(_paths),
        JsonSchema({"type": "object", "additionalProperties": _ANYTHING}),
    ] = Field(default={}, alias="json")
    """Values that the JSON answer to `http` must have, by their path: `{data.0.id: qwen}`."""
    timeout: PositiveDuration = 120.0
    """How long the answer may take."""

    @property
    def type(self) -> Type:
        """Which request this is."""
        return next(name for name in TYPES if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _one_request(self) -> Self:
        one_of(self, "a check", TYPES)
        given = {
            field.alias or name
            for name, field in type(self).model_fields.items()
            if name in self.model_fields_set
        }
        for key, kinds in _APPLIES.items():
            if key in given and self.type not in kinds:
                raise reject("conflicting-keys", f"`{key}` has no meaning for a `{self.type}` check", at=key)
        if self.body is not None and self.method in ("GET", "HEAD"):
            hint = "leave one of the two out"
            raise reject("conflicting-keys", f"a {self.method} request has no body", hint, at="body")
        if self.rerank is not None or self.score is not None:
            self._can_come_first((self.rerank or self.score).documents)  # type: ignore[union-attr]
        return self

    def _can_come_first(self, documents: list[str]) -> None:
        if self.expect is not None and not any(self.expect in document for document in documents):
            raise reject("impossible-check", "none of the documents holds what `expect` says", at="expect")
