"""Secrets: references to values that are never written in YAML and never printed."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from provision.config import programs
from provision.config.problems import ConfigError, Position, Problem, failure, is_one_line, quoted

COMMAND_SECONDS = 30
"""How long a `command:` secret may take."""

MAX_BYTES = 65_536
"""The longest secret of one line; more is a mistake in the reference."""

MAX_FILE_BYTES = 1 << 20
"""The longest secret that is a whole file."""

_results: dict[tuple[tuple[str, ...], Path], str] = {}
_lock = threading.Lock()


@dataclass(frozen=True, repr=False)
class Secret:
    """Where a secret comes from. Its value exists only as what `resolve` returns."""

    kind: str
    """"env", "file", "vault" or "command"."""
    reference: tuple[str, ...]
    """The variable's name, the path (of a vault also the key in it), or the argument vector."""
    folder: Path = Path()
    """What relative files and commands start from: the folder of the playbook."""
    position: Position | None = field(default=None, compare=False)
    whole: bool = False
    """Whether it is the text of a whole file, of any number of lines, rather than one line."""

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def describe(self) -> str:
        """The reference for a reader, such as "env R1_API_KEY"; of a command, only the program."""
        return f"{self.kind} {self.reference[0]}"

    def located(self, position: Position, folder: Path) -> Secret:
        """The same secret, knowing where it was written."""
        return replace(self, position=position, folder=folder)

    def as_file(self) -> Secret:
        """The same secret, used as the text of a whole file."""
        return replace(self, whole=True)

    def resolve(self) -> str:
        """The secret's value; raises `ConfigError` saying how to provide it.

        One line of text loses the line end after it. The text of a whole file is exactly what was given; only
        a variable of several lines gets back the last line end, which `$(…)` takes away in a shell.
        """
        value = {
            "env": self._from_env,
            "file": self._from_file,
            "vault": self._from_vault,
            "command": self._from_command,
        }[self.kind]()
        return self._checked(value)

    def foresee(self) -> Problem | None:
        """What is wrong with the secret already, as far as that shows without running a command.

        A variable that is not set, or a file that is not there, is not wrong yet: it may be there when the
        secret is needed.
        """
        if self.kind in ("command", "vault") or (self.kind == "env" and self.reference[0] not in os.environ):
            return None
        if self.kind == "file" and not os.path.lexists(self._path()):
            return None
        try:
            self.resolve()
        except ConfigError as error:
            return error.problems[0]
        return None

    def _checked(self, value: str) -> str:
        one_line = value.removesuffix("\n").removesuffix("\r")
        secret = f"the secret from {self._named()}"
        if not one_line:
            raise self._unusable(f"{secret} is empty")
        if "\0" in value:
            raise self._unusable(f"{secret} holds a NUL character", "a secret is text, not binary data")
        if self.whole:
            return f"{value}\n" if self.kind == "env" and "\n" in one_line and value == one_line else value
        if len(value.encode()) > MAX_BYTES:
            raise self._unusable(f"{secret} is longer than {MAX_BYTES} bytes")
        if "\n" in one_line:
            raise self._unusable(
                f"{secret} has several lines, and one line is needed here",
                "put a key or certificate into a file with `files: {/path: {content: …}}`, "
                "and give the service its path",
            )
        if not is_one_line(one_line):
            raise self._unusable(f"{secret} holds a control character", "a secret is one line of text")
        return one_line

    def _named(self) -> str:
        return {
            "env": "the environment variable {}",
            "file": "the file {}",
            "vault": "the vault {}",
            "command": "the command `{}`",
        }[self.kind].format(self.reference[0])

    def _unusable(self, message: str, hint: str | None = None) -> ConfigError:
        return failure("unusable-secret", message, self.position, hint)

    def _missing(self, message: str, hint: str) -> ConfigError:
        return failure("missing-secret", message, self.position, hint)

    def _from_env(self) -> str:
        name = self.reference[0]
        value = os.environ.get(name)
        if value is None:
            hint = f"set it where provision runs: export {name}=…"
            raise self._missing(f"the environment variable {name} is not set", hint)
        return self._text(os.fsencode(value))

    def _path(self) -> Path:
        name = self.reference[0]
        try:
            return self.folder / Path(name).expanduser()
        except RuntimeError:
            message = f"the home directory in {quoted(name)} is not known"
            raise self._unusable(message, "write the whole path") from None

    def _from_vault(self) -> str:
        from provision.config import vault  # only where there is one

        path, key = self._path(), self.reference[1] if len(self.reference) > 1 else None
        try:
            return self._text(vault.value(path, self._read(path), key))
        except vault.VaultError as error:
            found = self._missing if error.missing else self._unusable
            raise found(f"the vault {path} {error}", error.hint) from None

    def _from_file(self) -> str:
        return self._text(self._read(self._path()))

    def _read(self, path: Path) -> bytes:
        try:
            if path.exists() and not path.is_file():
                kind = "a directory" if path.is_dir() else "not a regular file"
                raise self._unusable(f"the secret file {path} cannot be read: it is {kind}")
            with path.open("rb") as stream:
                return stream.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            hint = "put the secret there, and nothing else"
            raise self._missing(f"there is no secret file {path}", hint) from None
        except OSError as error:
            raise self._unusable(f"the secret file {path} cannot be read: {error.strerror}") from None

    def _text(self, data: bytes) -> str:
        if len(data) > MAX_FILE_BYTES:
            raise self._unusable(f"the secret from {self._named()} is longer than {MAX_FILE_BYTES} bytes")
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise self._unusable(f"the secret from {self._named()} is not UTF-8 text") from None

    def _from_command(self) -> str:
        # One run serves every host and service; the lock keeps parallel hosts from asking twice.
        with _lock:
            key = (self.reference, self.folder.absolute())
            if key not in _results:
                _results[key] = self._run()
            return _results[key]

    def _run(self) -> str:
        try:
            output = programs.run(self.reference, self.folder, COMMAND_SECONDS, MAX_FILE_BYTES)
        except TimeoutError:
            raise self._unusable(f"{self._named()} took longer than {COMMAND_SECONDS} s") from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise self._unusable(f"{self._named()} cannot be run: {reason}") from None
        if len(output.printed) <= MAX_FILE_BYTES and output.code != 0:
            message = f"{self._named()} failed with exit code {output.code}"
            raise self._unusable(message, "run it by hand to see why")
        return self._text(output.printed)
