"""Secrets: references to values that are never written in YAML and never printed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from provision.config.model import PATTERN_ENV_NAME, reject
from provision.config.problems import ConfigError, Position, did_you_mean, failure, found

COMMAND_SECONDS = 30
"""How long a `command:` secret may take."""

MAX_BYTES = 65_536
"""The longest secret; more is a mistake in the reference."""

_FORMS = "write {env: NAME}, {file: PATH} or {command: [PROGRAM, ARGUMENT]}"
_KINDS = ("env", "file", "command")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_results: dict[tuple[tuple[str, ...], Path], str] = {}
_lock = threading.Lock()


@dataclass(frozen=True, repr=False)
class Secret:
    """Where a secret comes from. Its value exists only as what `resolve` returns."""

    kind: str
    """"env", "file" or "command"."""
    reference: tuple[str, ...]
    """The variable's name, the path, or the argument vector."""
    folder: Path = Path()
    """What relative files and commands start from: the folder of the playbook."""
    position: Position | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def describe(self) -> str:
        """The reference for a reader, such as "env R1_API_KEY"; of a command, only the program."""
        return f"{self.kind} {self.reference[0]}"

    def located(self, position: Position, folder: Path) -> Secret:
        """The same secret, knowing where it was written."""
        return replace(self, position=position, folder=folder)

    def resolve(self) -> str:
        """The secret's value, one line of text; raises `ConfigError` saying how to provide it."""
        value = {"env": self._from_env, "file": self._from_file, "command": self._from_command}[self.kind]()
        value = value.removesuffix("\n").removesuffix("\r")
        if not value:
            raise self._failure(f"the secret from {self._named()} is empty")
        if _CONTROL.search(value):
            raise self._failure(
                f"the secret from {self._named()} holds a line break or another control character",
                "a secret is one line of text",
            )
        return value

    def _named(self) -> str:
        return {
            "env": "the environment variable {}",
            "file": "the file {}",
            "command": "the command `{}`",
        }[self.kind].format(self.reference[0])

    def _failure(self, message: str, hint: str | None = None) -> ConfigError:
        return failure(message, self.position, hint)

    def _from_env(self) -> str:
        name = self.reference[0]
        value = os.environ.get(name)
        if value is None:
            raise self._failure(
                f"the environment variable {name} is not set", f"set it where provision runs: export {name}=…"
            )
        return value

    def _from_file(self) -> str:
        path = self.folder / Path(self.reference[0]).expanduser()
        try:
            with path.open("rb") as stream:
                return self._text(stream.read(MAX_BYTES + 1))
        except FileNotFoundError:
            raise self._failure(
                f"there is no secret file {path}", "put the secret there, and nothing else"
            ) from None
        except OSError as error:
            raise self._failure(f"the secret file {path} cannot be read: {error.strerror}") from None

    def _text(self, data: bytes) -> str:
        if len(data) > MAX_BYTES:
            raise self._failure(f"the secret from {self._named()} is longer than {MAX_BYTES} bytes")
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise self._failure(f"the secret from {self._named()} is not UTF-8 text") from None

    def _from_command(self) -> str:
        # One run serves every host and service; the lock keeps parallel hosts from asking twice.
        with _lock:
            key = (self.reference, self.folder.absolute())
            if key not in _results:
                _results[key] = self._run()
            return _results[key]

    def _run(self) -> str:
        try:
            process = subprocess.Popen(
                self.reference,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise self._failure(f"{self._named()} cannot be run: {reason}") from None
        try:
            output, _ = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            raise self._failure(f"{self._named()} took longer than {COMMAND_SECONDS} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdout:
                process.stdout.close()
        if process.returncode != 0:
            raise self._failure(
                f"{self._named()} failed with exit code {process.returncode}", "run it by hand to see why"
            )
        return self._text(output)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(parse_secret)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
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


def parse_secret(value: Any) -> Secret:
    """A secret from its YAML form. What stands there is never repeated in an error: it may be the secret."""
    if isinstance(value, Secret):
        return value
    if not isinstance(value, dict):
        what = (
            "text" if isinstance(value, str) else found(value) if not isinstance(value, int) else "a number"
        )
        raise reject(f"expected a reference to a secret, found {what}", _FORMS)
    unknown = [key for key in value if key not in _KINDS]
    if unknown:
        near = did_you_mean(unknown[0], _KINDS) if len(unknown[0]) <= 12 else None
        raise reject("a reference to a secret has one key: `env`, `file` or `command`", near or _FORMS)
    if len(value) != 1:
        raise reject("a reference to a secret has one key: `env`, `file` or `command`", _FORMS)
    kind, reference = next(iter(value.items()))
    return Secret(kind, _PARSERS[kind](reference))


def _parse_env(value: Any) -> tuple[str, ...]:
    if not isinstance(value, str) or not re.fullmatch(PATTERN_ENV_NAME, value):
        raise reject("`env` expects the name of an environment variable", "write {env: MY_API_KEY}")
    return (value,)


def _parse_file(value: Any) -> tuple[str, ...]:
    if not isinstance(value, str) or not value or _CONTROL.search(value):
        raise reject(
            "`file` expects the path of a file that holds the secret", "write {file: secrets/api-key}"
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
            "`command` expects a list: a program and its arguments, each a text",
            "write {command: [pass, show, api-key]}",
        )
    return tuple(value)


_PARSERS: dict[str, Callable[[Any], tuple[str, ...]]] = {
    "env": _parse_env,
    "file": _parse_file,
    "command": _parse_command,
}
