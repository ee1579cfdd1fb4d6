"""References to secrets, as YAML has them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import GetPydanticSchema
from pydantic import WithJsonSchema as JsonSchema
from pydantic_core import core_schema

from provision.config.model import PATTERN_ENV_NAME, reject
from provision.config.problems import did_you_mean, found, is_one_line
from provision.config.secrets import Secret

_FORMS = "write {env: NAME}, {file: PATH}, {vault: PATH, key: NAME} or {command: [PROGRAM, ARGUMENT]}"


def parse_secret(value: Any) -> Secret:
    """A secret from its YAML form. What stands there is never repeated in an error: it may be the secret."""
    if isinstance(value, Secret):
        return value
    if not isinstance(value, dict):
        given = found(value)
        what = "text" if isinstance(value, str) else "a number" if isinstance(value, int) else given
        raise reject("secret-reference", f"expected a reference to a secret, found {what}", _FORMS)
    more = value.get("key") if "vault" in value else None
    if more is not None:
        value = {name: each for name, each in value.items() if name != "key"}
        if not isinstance(more, str) or not more or not is_one_line(more):
            raise reject("secret-reference", "`key` expects the name of a variable in the vault", _FORMS)
    unknown = next((key for key in value if key not in _KINDS), None)
    if unknown is not None or len(value) != 1:
        near = did_you_mean(unknown, _KINDS) if unknown is not None and len(unknown) <= 12 else None
        message = "a reference to a secret has one key: `env`, `file`, `vault` or `command`"
        raise reject("secret-reference", message, near or _FORMS)
    ((kind, reference),) = value.items()
    words = reference if isinstance(reference, list) else [reference]
    fits, expected, hint = _KINDS[kind]
    if not words or not all(isinstance(word, str) for word in words) or not fits(reference):
        raise reject("secret-reference", f"`{kind}` expects {expected}", hint)
    return Secret(kind, tuple(words) if more is None else (*words, more))


_KINDS: dict[str, tuple[Callable[[Any], bool], str, str]] = {
    "env": (
        lambda name: isinstance(name, str) and re.fullmatch(PATTERN_ENV_NAME, name) is not None,
        "the name of an environment variable",
        "write {env: MY_API_KEY}",
    ),
    "file": (
        lambda path: isinstance(path, str) and path != "" and is_one_line(path),
        "the path of a file that holds the secret",
        "write {file: secrets/api-key}",
    ),
    "vault": (
        lambda path: isinstance(path, str) and path != "" and is_one_line(path),
        "the path of a file of Ansible Vault",
        "write {vault: secrets.yml, key: api_key}",
    ),
    "command": (
        lambda words: isinstance(words, list) and words[0] != "" and not any("\0" in word for word in words),
        "a list: a program and its arguments, each a text",
        "write {command: [pass, show, api-key]}",
    ),
}
"""For each kind of secret: whether a reference to it can be one, what is expected, and the form to write."""

ONE_KEY = {"type": "object", "minProperties": 1, "maxProperties": 2}
"""The JSON schema of a reference to a secret, in short."""

SecretReference = Annotated[
    Secret,
    GetPydanticSchema(lambda _source, _handler: core_schema.no_info_plain_validator_function(parse_secret)),
    JsonSchema(
        {
            "description": "A secret, by reference: the value never stands in YAML.",
            "type": "object",
            "minProperties": 1,
            "maxProperties": 2,
            "additionalProperties": False,
            "properties": {
                "env": {"type": "string", "pattern": f"^{PATTERN_ENV_NAME}$"},
                "file": {"type": "string", "minLength": 1},
                "vault": {"type": "string", "minLength": 1},
                "key": {"type": "string", "minLength": 1},
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


ApiKeys = Annotated[
    Secret | list[Secret],
    GetPydanticSchema(lambda _source, _handler: core_schema.no_info_plain_validator_function(_keys)),
    JsonSchema({"anyOf": [ONE_KEY, {"type": "array", "items": ONE_KEY, "minItems": 1}]}),
]
"""The key that clients must send, or several, any of which is accepted; checks send the first."""


def each_key(keys: Secret | list[Secret] | None) -> list[Secret]:
    """Return the keys of a service in their order; none when it needs no key."""
    if keys is None:
        return []
    return keys if isinstance(keys, list) else [keys]
