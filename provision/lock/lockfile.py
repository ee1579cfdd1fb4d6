"""The file of a lock: what a playbook has come to on its hosts, in git beside the playbook."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provision.config import inputs
from provision.config.documents import parse, read
from provision.config.model import Model
from provision.config.problems import ConfigError, Problem, failure
from provision.config.validation import validate

VERSION = 1
"""Of the form of the file."""

SUFFIX = ".lock"

HEAD = "# Made by `provision lock` from what the hosts have. Not to be edited by hand: see docs/lock.md.\n"

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*")
_WORDS = ("true", "false", "null")


class LockedPackage(Model):
    """A Python package: which version, and the sha256 of the files that will do."""

    version: str
    sha256: list[str] = []
    direct: bool = False
    commit: str | None = None
    unhashed: str | None = None


class EnvironmentEntry(Model):
    """A Python environment, for one Python on one kind of machine, as one declaration has come to it."""

    python: str
    machine: str
    declaration: str
    asked: list[str]
    packages: dict[str, LockedPackage]

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from the other entries of its environment."""
        return self.declaration, self.python, self.machine


class PackagesEntry(Model):
    """Packages of the distribution, on one release of it; a virtual package has no version."""

    system: str
    machine: str
    packages: dict[str, str | None]

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from the other entries."""
        return self.system, self.machine


class ModelEntry(Model):
    """The files of a model, by their sha256."""

    snapshot: str
    commit: str | None
    files: dict[str, str]

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from the other entries of its model."""
        return (self.snapshot,)


class ImageEntry(Model):
    """The image of a container, without the name of its registry."""

    image: str
    machine: str
    id: str
    digests: list[str]

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from the other entries of its service."""
        return self.image, self.machine


Entry = EnvironmentEntry | PackagesEntry | ModelEntry | ImageEntry


class Lock(Model):
    """All that a playbook has come to."""

    version: int = VERSION
    packages: list[PackagesEntry] = []
    environments: dict[str, list[EnvironmentEntry]] = {}
    models: dict[str, list[ModelEntry]] = {}
    images: dict[str, list[ImageEntry]] = {}


def path_of(playbook: Path) -> Path:
    """Return the lock file of a playbook."""
    return playbook.with_suffix(SUFFIX)


def load(path: Path) -> Lock | None:
    """Return what a file holds; None when there is none.

    Raises:
        ConfigError: it cannot be read, or is damaged.
    """
    try:
        inputs.content(path, 0)
    except FileNotFoundError:
        return None
    except OSError:
        pass  # `read` says what is wrong
    try:
        document = parse(read(path), str(path))
    except ConfigError as error:
        raise ConfigError(_damaged(problem) for problem in error.problems) from None
    problems: list[Problem] = []
    found = validate(Lock, document.data, document.where, problems)
    if found is not None and found.version != VERSION:
        said = f"it is of version {found.version}, and this provision reads version {VERSION}"
        problems.append(Problem("damaged-lock", document.where(("version",)), said))
    if found is None or problems:
        raise ConfigError(map(_damaged, problems))
    return found


def _damaged(problem: Problem) -> Problem:
    hint = "take the file from git again, or make it again with `provision lock`"
    return Problem("damaged-lock", problem.position, f"this lock file is damaged: {problem.message}", hint)


def save(path: Path, lock: Lock) -> None:
    """Write a file: the old or the new one is there, whole.

    Raises:
        ConfigError: there is something else of this name.
        OSError: it cannot be written.
    """
    from provision.caches import write

    if path.exists() and not path.is_file():
        raise failure("damaged-lock", f"{path} is no regular file")
    write(path, text(lock).encode())
    path.chmod(0o644)


def text(lock: Lock) -> str:
    """Return a lock as YAML, one line for each package and file, always in the same order."""
    return HEAD + "\n".join(_lines(lock.model_dump(exclude_defaults=True) | {"version": VERSION})) + "\n"


def _lines(data: dict[str, Any]) -> Iterator[str]:
    yield f"version: {data['version']}"
    if "packages" in data:
        yield "packages:"
        for entry in data["packages"]:
            yield from _entry(entry, "")
    for section in ("environments", "models", "images"):
        if section in data:
            yield f"{section}:"
            for name, entries in sorted(data[section].items()):
                yield f"  {_key(name)}:"
                for entry in entries:
                    yield from _entry(entry, "  ")


def _entry(entry: dict[str, Any], indent: str) -> Iterator[str]:
    begin = "- "
    for name, value in entry.items():
        nested = isinstance(value, (dict, list)) and value
        yield f"{indent}{begin}{name}:" + ("" if nested else f" {json.dumps(value, ensure_ascii=False)}")
        begin = "  "
        if isinstance(value, dict):
            for key, each in sorted(value.items()):
                yield f"{indent}    {_key(key)}: {_flow(each)}"
        elif isinstance(value, list):
            yield from (f"{indent}  - {json.dumps(each, ensure_ascii=False)}" for each in value)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    plain = _PLAIN.fullmatch(name) and name.lower() not in _WORDS
    return name if plain else json.dumps(name, ensure_ascii=False)
