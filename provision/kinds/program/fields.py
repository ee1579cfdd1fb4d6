"""Service kind `program`: any other server, started by its own command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, PlainValidator, model_validator
from pydantic import WithJsonSchema as JsonSchema

from provision.config import shellline
from provision.config.model import (
    Called,
    HostPath,
    Name,
    Port,
    Text,
    reject,
)
from provision.config.problems import found
from provision.config.services.arguments import inside, named_model
from provision.config.services.base import Listener, Spoken
from provision.config.services.gpus import VisibleGpus

_FORMS = "write text, {model: NAME}, or {model: NAME, file: PATH}"


def _word(value: Any) -> str | dict[str, Any]:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, dict):
        raise reject("wrong-type", f"expected an argument, found {found(value)}", _FORMS)
    if "env" in value or "command" in value:
        # What stands there may be a secret: it is not repeated.
        message = "a secret on a command line would be seen by every user of the host"
        raise reject("secret-in-yaml", message, "give it to the program by a variable of `env`")
    named = named_model(value)
    if named is None:
        raise reject("wrong-form", "an argument that is not text has to name a model", _FORMS)
    inside(named.file or "x")
    return value


def _startable(command: list[str | dict[str, Any]]) -> list[str | dict[str, Any]]:
    if not command or command[0] == "":
        raise reject("wrong-form", "the command is empty", "begin it with a program")
    if isinstance(command[0], str) and command[0].startswith("-"):
        raise reject("wrong-form", f"the command begins with {found(command[0])}", "begin it with a program")
    return command


_MODEL = {
    "type": "object",
    "properties": {
        "model": {"type": "string", "description": "The model (of `models:`)."},
        "file": {"type": "string", "description": "A path inside the model."},
    },
    "required": ["model"],
    "additionalProperties": False,
}
_WORD = {"anyOf": [{"type": ["string", "integer"]}, _MODEL]}

Command = Annotated[
    list[Annotated[str | dict[str, Any], PlainValidator(_word), JsonSchema(_WORD)]],
    BeforeValidator(lambda value: shellline.words(value, "program")),
    AfterValidator(_startable),
    JsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": _WORD, "minItems": 1}]}),
    Called("text, or a list of arguments and models"),
]
"""An argument vector in which `{model: NAME}` stands for a model's path."""


class ProgramService(Spoken):
    """Any other program that serves."""

    kind: Literal["program"]
    """What runs."""
    command: Command
    """The program and its arguments; it stays in the foreground. A text is split into words, no shell is
    involved. In a list, `{model: NAME}` is the path of a model, `{model: NAME, file: PATH}` of a file in it.
    """
    environment: Name | None = None
    """An environment (of `environments:`) whose programs come first on PATH."""
    models: list[Name] = []
    """Models (of `models:`) that it needs although the command does not name them."""
    working_directory: HostPath | None = None
    """The directory to start in, and to write to. Default: one of the service's own."""
    host: Text | None = None
    """The address that it listens on; not set: every address."""
    port: Port | None = None
    """The port that it listens on. Checks go there."""
    socket: HostPath | None = None
    """The unix socket that it listens on, instead of a port. Checks go there."""
    gpus: VisibleGpus | None = None
    """The GPUs to use, by index or UUID (CUDA_VISIBLE_DEVICES); not set: all of the host."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.port is not None and self.socket is not None:
            raise reject(
                "conflicting-keys",
                "it listens on a `port` or on a `socket`",
                "leave one of the two out",
                at="socket",
            )
        if self.socket is not None and self.tls is not None:
            raise reject(
                "impossible-check",
                "checks speak no TLS on a unix socket",
                "leave one of the two out",
                at="tls",
            )
        if self.checks and self.port is None and self.socket is None:
            hint = "name the port, or the unix socket, that the program listens on"
            raise reject("impossible-check", "a check needs a `port` or a `socket`", hint, at="checks")
        if self.gpus is not None and "CUDA_VISIBLE_DEVICES" in self.env:
            message = "CUDA_VISIBLE_DEVICES is what the field gpus sets"
            raise reject("conflicting-keys", message, "leave out one of the two", at="gpus")
        return self

    def listeners(self) -> Iterator[Listener]:
        """Its port, when it names one."""
        if self.port is not None:
            yield Listener(("port",), self.host, self.port)
