"""Text for shells, env files and units: one quoting function for each, and texts that hold secrets.

Every value that ends up in a generated file goes through a function of this module, so that no string from a
YAML file can end the value it stands in.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from provision.config.problems import failure

if TYPE_CHECKING:
    from provision.config.secrets import Secret

MASK = "***"
"""What stands for a secret in everything that is shown or rendered."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check(value: str) -> str:
    """Return `value` unless it holds a character that cannot stand in a script, an env file or a unit.

    Tabs are fine. Line ends are not: systemd refuses control characters in environment values
    (`env_value_is_valid`) and ends a setting at the line.

    Raises:
        ConfigError: it holds a line end, NUL, another control character, or half a surrogate pair.
    """
    match = _CONTROL.search(value)
    if not match:
        return value
    name = {"\n": "a line end", "\r": "a carriage return", "\0": "a NUL character"}.get(match[0])
    if name is None:
        name = (
            "half a surrogate pair"
            if match[0] >= "\ud800"
            else f"the control character \\x{ord(match[0]):02x}"
        )
    raise failure(
        "unsafe-text", f"the text contains {name}, which cannot stand in a script, an env file or a unit"
    )


def sh(value: str) -> str:
    """Quote a value as one word of a POSIX shell; plain words stay as they are."""
    return shlex.quote(check(value))


def sh_words(values: Iterable[str]) -> str:
    """Quote values as words of one shell line."""
    return " ".join(sh(value) for value in values)


def env_escape(value: str) -> str:
    r"""Escape a value for the inside of `NAME="..."`, which `sh` and systemd's `EnvironmentFile=` read alike.

    Both take a backslash away before `"`, `\`, `$` and `` ` `` within double quotes, and before nothing else
    that is left here (systemd: `SHELL_NEED_ESCAPE` in env-file.c; sh: POSIX 2.2.3).
    """
    return re.sub(r'(["\\$`])', r"\\\1", check(value))


def env_line(name: str, value: str) -> str:
    """Return one assignment of an env file, without its line end.

    Raises:
        ConfigError: the name is no environment variable's, or the value holds a control character.
    """
    if not _ENV_NAME.fullmatch(name):
        raise failure(
            "unsafe-text", f"{name!r} is no name for an environment variable (letters, digits and _)"
        )
    return f'{name}="{env_escape(value)}"'


def unit(value: str) -> str:
    """Escape a value that is a whole setting of a unit (`EnvironmentFile=`, `Description=`): `%` means a
    specifier.
    """
    value = check(value)
    if value != value.strip() or value.endswith("\\"):
        raise failure(
            "unsafe-text", "the text begins or ends with a space or a backslash, which a unit would lose"
        )
    return value.replace("%", "%%")


def unit_word(value: str, *, command: bool = False) -> str:
    r"""Quote a value as one word of a unit's setting.

    Args:
        value: the word.
        command: the setting is a command line (`ExecStart=`), where `$` must be doubled as well.
    """
    text = check(value).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"{}"'.format(text.replace("$", "$$") if command else text)


def comment(value: str) -> str:
    """Return a text that can follow `#`: one line, whatever the text was."""
    return " ".join(_CONTROL.sub(" ", value).split())


@dataclass(frozen=True)
class SecretPart:
    """A secret's place in a text.

    Args:
        secret: the reference; resolved only when a request is built.
        quote: how the value is escaped there: for an env file, or not at all; `file`: it is the whole text.
    """

    secret: Secret
    quote: Literal["envfile", "none", "file"] = "none"


class NotKeptError(Exception):
    """Something was to be written to disk that must not be."""


@dataclass(frozen=True, repr=False)
class PrivateText:
    """A text that stands in the playbook or beside it and is declared secret: shown and kept nowhere."""

    text: str

    def __repr__(self) -> str:
        return MASK

    def __reduce__(self) -> NoReturn:
        raise NotKeptError("a text that is declared secret is not kept")


@dataclass(frozen=True)
class SecretText:
    """A text with secrets in it."""

    parts: tuple[str | SecretPart | PrivateText, ...]

    def reveal(self, resolve: Callable[[Secret], str]) -> str:
        """Return the text with the secrets' values.

        Raises:
            ConfigError: a secret's value cannot stand in its place.
        """
        return self._join(
            lambda part: part.text if isinstance(part, PrivateText) else _quoted(part, resolve(part.secret))
        )

    def masked(self) -> str:
        """Return the text with `***` for each secret."""
        return self._join(lambda part: MASK)

    def __str__(self) -> str:
        return self.masked()

    def _join(self, value: Callable[[SecretPart | PrivateText], str]) -> str:
        return "".join(part if isinstance(part, str) else value(part) for part in self.parts)


def _quoted(part: SecretPart, value: str) -> str:
    if part.quote == "file":
        return value
    return env_escape(value) if part.quote == "envfile" else check(value)


def reveal(data: Any, resolve: Callable[[Secret], str]) -> Any:
    """Return a copy of plain data with each `SecretText` replaced by its text, secrets resolved."""
    return _replace(data, lambda text: text.reveal(resolve))


def mask(data: Any) -> Any:
    """Return a copy of plain data with each `SecretText` replaced by its text with `***` for secrets."""
    return _replace(data, SecretText.masked)


def secrets(data: Any) -> list[Secret]:
    """Return the secrets that plain data refers to, in order, each once."""
    found: dict[Secret, None] = {}

    def collect(text: SecretText) -> str:
        found.update((part.secret, None) for part in text.parts if isinstance(part, SecretPart))
        return ""

    _replace(data, collect)
    return list(found)


def private(data: Any) -> list[PrivateText]:
    """Return the texts in plain data that are declared secret, in order."""
    found: list[PrivateText] = []

    def collect(text: SecretText) -> str:
        found.extend(part for part in text.parts if isinstance(part, PrivateText))
        return ""

    _replace(data, collect)
    return found


def _replace(data: Any, of: Callable[[SecretText], str]) -> Any:
    if isinstance(data, SecretText):
        return of(data)
    if isinstance(data, dict):
        return {key: _replace(value, of) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_replace(value, of) for value in data]
    return data
