"""A model that a command line names: a folder, or an id on a hub, of which only some kB are read.

Mirrors and tokens are those of the hubs' own variables.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.config.problems import failure
from provision.published import gguf, models
from provision.published.http import Refused
from provision.published.models import CONFIG, Absent, Read, Unreadable
from provision.published.sites import SITES, Snapshot
from provision.published.tensors import Tensor

TIMEOUT = 20.0
"""Seconds without an answer of a hub."""


@dataclass(frozen=True)
class Described:
    """What a model says of itself.

    - `source`: where it was read, for people
    - `config`: its `config.json`
    - `tensors`: its weights; None when not all of its files are there
    """

    source: str
    config: dict[str, Any]
    tensors: list[Tensor] | None


def described(model: str, source: str | None = None) -> Described:
    """Read a model: a folder, a file in GGUF, or else an id such as Qwen/Qwen3-8B on a hub.

    Args:
        model: the folder, the file, or the id, with the path of a file in GGUF behind it.
        source: the hub, as `source:` of a model names it; None asks all, ModelScope first.

    Raises:
        ConfigError: there is no such model, or what was read is no model.
    """
    path = Path(model)
    if source is None and (path.exists() or model.startswith((".", "/", "~")) or not _ID.match(model)):
        return _folder(path)
    return _published(model, [source] if source else list(SITES))


_ID = re.compile(r"(?P<repo>[^/]+/[^/]+)(/(?P<file>.+\.gguf))?$")
"""An id, or a file in GGUF of it: such as Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf."""


def _folder(path: Path) -> Described:
    try:
        if path.is_file() and path.name.endswith(gguf.ENDING):
            return _gguf(str(path), models.folder(str(path.parent)), path.name)
        names = sorted(os.listdir(path)) if path.is_dir() else [path.name]
        try:
            return _read(str(path), models.folder(str(path)), names)
        except Absent:
            one = _only_gguf(path, names)
        return _gguf(str(path / one), models.folder(str(path)), one)
    except (Absent, NotADirectoryError):
        raise failure(
            "model-incomplete", f"{path} has no {CONFIG}", hint="name the folder of a model"
        ) from None
    except OSError as error:
        raise failure("unreadable-file", f"{path} cannot be read: {error.strerror or error}") from None


def _only_gguf(path: Path, names: Sequence[str]) -> str:
    """Return the model in GGUF that a folder has.

    Raises:
        Absent: it has none.
        ConfigError: it has several.
    """
    firsts = sorted({next(gguf.parts(name)) for name in names if name.endswith(gguf.ENDING)})
    if not firsts:
        raise Absent(CONFIG)
    if len(firsts) > 1:
        message = f"{path} has several models in GGUF: {', '.join(firsts)}"
        raise failure("model-incomplete", message, hint="name one of these files")
    return firsts[0]


def _published(model: str, sources: Sequence[str]) -> Described:
    """Read a model from the first of some hubs that has it."""
    said = []
    asked = _ID.match(model)
    repo, file = (asked["repo"], asked["file"]) if asked else (model, None)
    for source in sources:
        site = SITES[source]
        snapshot = Snapshot(site, site.address(), repo, site.revision, os.environ.get(site.token), TIMEOUT)
        where = f"{site.title} at {snapshot.address}"
        try:
            return _gguf(str(snapshot), snapshot.read, file) if file else _read(str(snapshot), snapshot.read)
        except Absent:
            said.append(("not-on-hub", f'{where} has no model "{model}"'))
        except Refused as error:
            if error.status in (401, 403):
                said.append(("hub-refused", f"{where} refused access to {model} (HTTP {error.status})"))
            else:
                said.append(("hub-unreachable", f"{where} cannot be reached: it answered {error}"))
        except OSError as error:
            said.append(("hub-unreachable", f"{where} cannot be reached: {error}"))
    hint = "check the name, or download the model and name its folder"
    raise failure(said[0][0], "; ".join(message for _, message in said), hint=hint)


def _gguf(source: str, read: Read, name: str) -> Described:
    try:
        return Described(source, *models.gguf_model(read, name))
    except Unreadable as error:
        raise failure("unreadable-file", f"{source}: {error}") from None


def _read(source: str, read: Read, names: Sequence[str] = ()) -> Described:
    try:
        return Described(source, *models.model(read, names))
    except Unreadable as error:
        raise failure("unreadable-file", f"{source}: {error}") from None
