"""What every kind of service has: supervision, environment variables, and checks that prove it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, PlainValidator, model_validator
from pydantic import WithJsonSchema as JsonSchema

from provision.config.loading import Part
from provision.config.model import (
    Count,
    EnvName,
    Line,
    Lines,
    Model,
    PositiveDuration,
    Range,
    Tags,
    Text,
    UnixName,
    reject,
    shaped,
)
from provision.config.problems import found
from provision.config.references import SecretReference, parse_secret


@dataclass(frozen=True)
class Listener:
    """A port of the host that a service takes: by `address` (None: every address)."""

    loc: tuple[Part, ...]
    address: str | None
    port: int
    protocol: str = "tcp"


def _env_value(value: Any) -> Any:
    if isinstance(value, dict):
        return parse_secret(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        hint = "put it in quotes" if isinstance(value, (bool, float)) else None
        raise reject(f"expected text or a reference to a secret, found {found(value)}", hint)
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise reject("the text holds a line break or another control character", "it must be one line")
    return value


EnvValue = Annotated[
    str | SecretReference,
    PlainValidator(_env_value),
    JsonSchema(
        {
            "anyOf": [
                {"type": ["string", "integer"]},
                {"type": "object", "minProperties": 1, "maxProperties": 1},
            ]
        }
    ),
]
"""One line of text (a whole number counts as text), or a secret."""

Env = dict[EnvName, EnvValue]
"""Environment variables."""


class Chat(Model):
    """The messages of a chat check."""

    user: Lines
    """What is asked."""
    system: Lines | None = None
    """The system message; none by default."""


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
        raise reject(f"expected text or a mapping with `user` and `system`, found {found(value)}")
    return value


class Check(Model):
    """One request that proves a service: exactly one of `chat`, `completion`, `http`, `transcribe`."""

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
    http: Annotated[str, shaped(r"/\S*", "a path", "write /health")] | None = None
    """A path that must answer a GET with `status`."""
    transcribe: Transcribe | None = None
    """An audio file that must be transcribed."""
    expect: Lines | None = None
    """A text that the answer must contain."""
    max_tokens: Count = 64
    """Longest answer to `chat` and `completion`, in tokens."""
    status: Annotated[int, Range(100, 599)] = 200
    """The HTTP status that `http` expects."""
    timeout: PositiveDuration = 120.0
    """How long the answer may take."""

    @property
    def type(self) -> Literal["chat", "completion", "http", "transcribe"]:
        """Which request this is."""
        return self._types()[0]

    def _types(self) -> list[Literal["chat", "completion", "http", "transcribe"]]:
        names: tuple[Literal["chat", "completion", "http", "transcribe"], ...]
        names = ("chat", "completion", "http", "transcribe")
        return [name for name in names if getattr(self, name) is not None]

    @model_validator(mode="after")
    def _one_request(self) -> Self:
        types = self._types()
        if len(types) != 1:
            said = " and ".join(f"`{name}`" for name in types) or "none of them"
            raise reject(f"a check has one of `chat`, `completion`, `http` or `transcribe`, found {said}")
        applies = {"max_tokens": ("chat", "completion"), "status": ("http",)}
        applies["expect"] = ("chat", "completion", "http")
        for key, kinds in applies.items():
            if key in self.model_fields_set and types[0] not in kinds:
                raise reject(f"`{key}` has no meaning for a `{types[0]}` check", at=key)
        return self


class Service(Model):
    """The fields that every kind of service has."""

    kind: str
    """What runs: vllm, asr, container or program."""
    supervisor: Literal["systemd", "script"] | None = None
    """What keeps it running. Default: systemd where root may be used, else, and in containers, a script."""
    user: UnixName | None = None
    """The user to run as. Default: the system user `provision` under systemd, else whoever applies."""
    env: Env = {}
    """Environment variables of the service: text, or references to secrets."""
    checks: list[Check] = []
    """Requests that prove the service after a start, and on `provision verify`."""
    tags: Tags = []
    """Words to select this service by (`--tags`)."""
    start_timeout: PositiveDuration = 1200.0
    """How long a start may take until the first answer."""
    stop_timeout: PositiveDuration = 60.0
    """How long a stop may take until it is forced."""

    def listeners(self) -> Iterator[Listener]:
        """The ports of the host that this service takes."""
        yield from ()
