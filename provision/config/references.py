"""References to secrets, as YAML has them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import GetPydanticSchema
from pydantic import WithJsonSchema as JsonSchema
from pydantic_core import core_schema

from provision.config.model import PATTERN_ENV_NAME, reject
from provision.config.problems import did_you_mean, found
from provision.config.secrets import CONTROL, Secret

_FORMS = "write {env: NAME}, {file: PATH} or {command: [PROGRAM, ARGUMENT]}"
_KINDS = ("env", "file", "command")


def parse_secret(value: Any) -> Secret:
    """A secret from its YAML form. What stands there is never repeated in an error: it may be the secret."""
    if isinstance(value, Secret):
        return value
    if not isinstance(value, dict):
        what = (
            "text" if isinstance(value, str) else found(value) if not isinstance(value, int) else "a number"
        )
        raise reject("secret-reference", f"expected a reference to a secret, found {what}", _FORMS)
    unknown = [key for key in value if key not in _KINDS]
    if unknown:
        near = did_you_mean(unknown[0], _KINDS) if len(unknown[0]) <= 12 else None
        raise reject(
            "secret-reference",
            "a reference to a secret has one key: `env`, `file` or `command`",
            near or _FORMS,
        )
    if len(value) != 1:
        raise reject(
            "secret-reference", "a reference to a secret has one key: `env`, `file` or `command`", _FORMS
        )
    kind, reference = next(iter(value.items()))
    return Secret(kind, _PARSERS[kind](reference))


def _parse_env(value: Any) -> tuple[str, ...]:
    if not isinstance(value, str) or not re.fullmatch(PATTERN_ENV_NAME, value):
        raise reject(
            "secret-reference", "`env` expects the name of an environment variable", "write {env: MY_API_KEY}"
        )
    return (value,)


def _parse_file(value: Any) -> tuple[str, ...]:
    if not isinstance(value, str) or not value or CONTROL.search(value):
        raise reject(
            "secret-reference",
            "`file` expects the path of a file that holds the secret",
            "write {file: secrets/api-key}",
        )
    return (value,)


def _parse_command(value: Any) -> tuple[str, ...]:
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(item, str) and "\0" not in item for item in value)
        or not value[0]
    ):
        raise reject(
            "secret-reference",
            "`command` expects a list: a program and its arguments, each a text",
            "write {command: [pass, show, api-key]}",
        )
    return tuple(value)


_PARSERS: dict[str, Callable[[Any], tuple[str, ...]]] = {
    "env": _parse_env,
    "file": _parse_file,
    "command": _parse_command,
}

SecretReference = Annotated[
    Secret,
    GetPydanticSchema(lambda _source, _handler: core_schema.no_info_plain_validator_function(parse_secret)),
    JsonSchema(
        {
            "description": "A secret, by reference: the value never stands in YAML.",
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": {
                "env": {"type": "string", "pattern": f"^{PATTERN_ENV_NAME}$"},
                "file": {"type": "string", "minLength": 1},
                "command": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            },
        }
    ),
]
"""A field that is a secret."""


def _keys(value: Any) -> Any:
    if not isinstance(value, list):
        return parse_secret(value)
    if not value:
        raise reject("empty-value", "the list of keys is empty", "name one, or leave `api_key` out")
    return [parse_secret(item) for item in value]


_ONE = {"type": "object", "minProperties": 1, "maxProperties": 1}

ApiKeys = Annotated[
    Secret | list[Secret],
    GetPydanticSchema(lambda _source, _handler: core_schema.no_info_plain_validator_function(_keys)),
    JsonSchema({"anyOf": [_ONE, {"type": "array", "items": _ONE, "minItems": 1}]}),
]
"""The key that clients must send, or several of which each will do; checks send the first."""


def each_key(keys: Secret | list[Secret] | None) -> list[Secret]:
    """Return the keys of a service, the first first; none when everybody may use it."""
    if keys is None:
        return []
    return keys if isinstance(keys, list) else [keys]
