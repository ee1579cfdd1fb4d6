"""Secrets: references to values that are never written in YAML and never printed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from provision.config.problems import ConfigError, Position, failure

COMMAND_SECONDS = 30
"""How long a `command:` secret may take."""

MAX_BYTES = 65_536
"""The longest secret; more is a mistake in the reference."""

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What neither a secret nor the path of one holds."""

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
        if CONTROL.search(value):
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
