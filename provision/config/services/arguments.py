"""Arguments of a command line as YAML says them: text, numbers, and mappings or lists, which become JSON.

`{model: NAME}`, or `{model: NAME, file: PATH}`, stands for the path of a model, wherever it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

from pydantic import PlainValidator
from pydantic import WithJsonSchema as JsonSchema

from provision.config.model import one_line, reject
from provision.config.problems import found

Argument = str | dict[str, Any] | list[Any]
"""One argument: text, or data that the command line gets as JSON."""

SECRET_FORMS = (("env",), ("file",), ("command",))
"""The keys of a reference to a secret, which no command line may hold."""


class NamedModel(NamedTuple):
    """A model that an argument names, or a file in it."""

    model: str
    file: str | None


def named_model(value: Any) -> NamedModel | None:
    """Return the model that a value stands for; None when it is what it is."""
    if not isinstance(value, dict) or not {"model"} <= set(value) <= {"model", "file"}:
        return None
    if not all(isinstance(part, str) and part for part in value.values()):
        return None
    return NamedModel(value["model"], value.get("file"))


def named_models(
    value: Any, loc: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], NamedModel]]:
    """Give each model that is named in a value, with its place."""
    named = named_model(value)
    if named is not None:
        yield (*loc, "model"), named
    elif isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from named_models(item, (*loc, key))


def inside(file: str) -> None:
    """Refuse a path that leads out of a model."""
    if not {"", ".", ".."}.isdisjoint(file.split("/")):
        raise reject("wrong-form", "`file` expects a path inside the model", "write it such as q4/model.gguf")


def as_text(argument: Argument) -> str:
    """Return an argument as the command line has it: data as JSON on one line."""
    if isinstance(argument, str):
        return argument
    return json.dumps(argument, ensure_ascii=False, allow_nan=False)


def _argument(value: Any) -> Argument:
    if isinstance(value, bool) or value is None:
        hint = "leave the item out if its flag takes no value; else put it in quotes"
        raise reject("wrong-type", f"expected an argument, found {found(value)}", hint)
    if isinstance(value, (int, float)):
        _representable(value)
        return str(value)
    if isinstance(value, str):
        one_line(value)
        if not value.strip():
            raise reject("empty-value", "the argument is empty", "leave the item out")
        return value
    if isinstance(value, dict) and tuple(value) in SECRET_FORMS:
        # What stands there may be a secret: it is not repeated.
        message = "a secret on a command line would be seen by every user of the host"
        raise reject("secret-in-yaml", message, "give it to the program by a variable of `env`")
    if isinstance(value, dict) and value and all(str(key).startswith("-") for key in value):
        flag = next(iter(value))
        raise reject("wrong-form", f"the flag {flag} and its value are two items", f'write ["{flag}", VALUE]')
    for _, named in named_models(value, ()):
        inside(named.file or "x")
    _representable(value)
    return value  # type: ignore[no-any-return]


def json_value(value: Any) -> Any:
    """Return a value that JSON can say, or refuse it."""
    _representable(value)
    return value


def _representable(value: Any) -> None:
    """Raise for a number that JSON cannot say."""
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            _representable(item)
    elif isinstance(value, float) and not math.isfinite(value):
        raise reject("wrong-form", "JSON cannot hold a number that is not finite", "write a finite number")


_JSON = {"type": ["string", "number", "object", "array"]}

Arguments = list[Annotated[Argument, PlainValidator(_argument), JsonSchema(_JSON)]]
"""Arguments, each item one."""
