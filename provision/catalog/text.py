"""Text for shells, env files and units: one quoting function for each, and texts that hold secrets.

Every value in a generated file goes through a function of this module, so that no string from a YAML file can
break out of its quotes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self

from provision.config.problems import failure
from provision.dataclass import dataclass
from provision.digest import sha256

if TYPE_CHECKING:
    from provision.config.secrets import Secret
    from provision.wire.spec import Spec

MASK = "***"
"""What is shown and rendered in place of a secret."""

# Compiled at their first use: a run that remembers what it has compiled uses none of them.
_NONE = "\ufdd0-\ufdef" + "".join(
    chr(plane + 0xFFFE) + chr(plane + 0xFFFF) for plane in range(0, 0x110000, 0x10000)
)
# Code points that are no characters: systemd ignores each setting and variable with one of them.
_CONTROL = rf"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff{_NONE}]"
_VISIBLE = r"[!-~]+"
_ENV_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


def check(value: str) -> str:
    """Return `value` unless it holds a character that is not possible in a script, an env file or a unit.

    Tabs are allowed. Line ends are not: systemd refuses control characters in environment values
    (`env_value_is_valid`), and a setting ends with its line.

    Raises:
        ConfigError: it holds a line end, NUL, another control character, half a surrogate pair, or what is no
            character.
    """
    match = re.search(_CONTROL, value)
    if not match:
        return value
    name = {"\n": "a line end", "\r": "a carriage return", "\0": "a NUL character"}.get(match[0])
    if name is None:
        point = ord(match[0])
        name = (
            f"the control character \\x{point:02x}"
            if point < 0x80
            else "half a surrogate pair"
            if point < 0xE000
            else f"U+{point:04X}, which is no character"
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

    Within double quotes, both remove a backslash before `"`, `\`, `$` and `` ` ``, and before no other
    character that `check` lets pass (systemd: `SHELL_NEED_ESCAPE` in env-file.c; sh: POSIX 2.2.3).
    """
    return re.sub(r'(["\\$`])', r"\\\1", check(value))


def env_line(name: str, value: str) -> str:
    """Return one assignment of an env file, without its line end.

    Raises:
        ConfigError: the name is no name of a variable, or the value holds a control character.
    """
    if not re.fullmatch(_ENV_NAME, name):
        raise failure(
            "unsafe-text", f"{name!r} is no name for an environment variable (letters, digits and _)"
        )
    return f'{name}="{env_escape(value)}"'


def unit(value: str) -> str:
    """Escape a value that is a whole setting of a unit (`Description=`), where `%` begins a specifier."""
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


def haproxy(value: str) -> str:
    """Quote a value as one word of HAProxy's configuration, in which nothing is replaced.

    Not in a condition in braces: there a word `}` is their end, even in quotes. A named `acl` takes it.
    """
    return "'{}'".format(check(value).replace("'", r"'\''"))


def token_digest(token: str) -> str:
    """Return the SHA-256 of a bearer token, as HAProxy's `digest(sha256),hex` writes it.

    Raises:
        ConfigError: a header cannot carry it as one word.
    """
    if not re.fullmatch(_VISIBLE, token):
        raise failure(
            "unsafe-text", "a key that clients send consists of visible ASCII characters without blanks"
        )
    return sha256(token.encode("ascii")).upper()


def comment(value: str) -> str:
    """Return a text that can follow `#`: one line, whatever the text was."""
    return " ".join(re.sub(_CONTROL, " ", value).split())


@dataclass(frozen=True)
class SecretPart:
    """A secret's place in a text.

    Args:
        secret: the reference; resolved only when a request is built.
        quote: how the value is escaped: `envfile`, or `none`; `file`: it is the whole text, as it is;
            `sha256`: its digest in capital letters stands there, by which a bearer token is recognized.
    """

    secret: Secret
    quote: Literal["envfile", "none", "file", "sha256"] = "none"


class NotKeptError(Exception):
    """Something must not be written to disk, and was about to be."""


@dataclass(frozen=True, repr=False)
class PrivateText:
    """A text in the playbook or beside it that is declared secret: it is not shown and not kept."""

    text: str

    def __repr__(self) -> str:
        return MASK

    def __reduce__(self) -> NoReturn:
        raise NotKeptError("a text that is declared secret is not kept")


class SecretText(str):
    """A text with secrets in it: until they are revealed, it holds `***` in their places.

    Args:
        parts: the text in pieces, in their order. Two such texts are equal when their parts are.
    """

    __slots__ = ("parts",)

    parts: tuple[str | SecretPart | PrivateText, ...]

    def __new__(cls, parts: tuple[str | SecretPart | PrivateText, ...]) -> Self:
        """Return the text whose secrets are hidden."""
        new = super().__new__(cls, "".join(part if isinstance(part, str) else MASK for part in parts))
        new.parts = parts
        return new

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretText) and self.parts == other.parts

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.parts)

    def __reduce__(self) -> tuple[type[Self], tuple[Any]]:
        return type(self), (self.parts,)

    def reveal(self, resolve: Callable[[Secret], str]) -> str:
        """Return the text with the secrets' values.

        Raises:
            ConfigError: a secret's value cannot stand in its place.
        """
        return "".join(_revealed(part, resolve) for part in self.parts)


def _revealed(part: str | SecretPart | PrivateText, resolve: Callable[[Secret], str]) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, PrivateText):
        return part.text
    value = resolve(part.secret)
    if part.quote == "file":
        return value
    if part.quote == "sha256":
        return token_digest(value)
    return env_escape(value) if part.quote == "envfile" else check(value)


_LEAVES = frozenset((str, int, float, bool, type(None)))
"""Types of plain data that hold no other: looked at here, as a call for each takes longer than all else."""


def reveal(data: Any, resolve: Callable[[Secret], str]) -> Any:
    """Return a copy of plain data with each `SecretText` replaced by its text, secrets resolved."""
    if isinstance(data, SecretText):
        return data.reveal(resolve)
    if isinstance(data, dict):
        return {key: each if type(each) in _LEAVES else reveal(each, resolve) for key, each in data.items()}
    if isinstance(data, list):
        return [each if type(each) in _LEAVES else reveal(each, resolve) for each in data]
    return data


def secrets(spec: Spec) -> list[Secret]:
    """Return the secrets in a resource, in order, each once."""
    parts = _parts(spec.plain())
    return list(dict.fromkeys(part.secret for part in parts if isinstance(part, SecretPart)))


def private(spec: Spec) -> list[PrivateText]:
    """Return the texts of a resource that are declared secret, in order."""
    return [part for part in _parts(spec.plain()) if isinstance(part, PrivateText)]


def _parts(data: Any) -> Iterator[str | SecretPart | PrivateText]:
    """Return the parts of all texts with secrets in plain data."""
    if isinstance(data, SecretText):
        yield from data.parts
    elif isinstance(data, (dict, list)):
        for value in data.values() if isinstance(data, dict) else data:
            yield from _parts(value)
