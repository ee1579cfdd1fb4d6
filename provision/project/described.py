"""A model that a command line names: a folder, or an id on a hub, of which only some kB are read.

Mirrors and tokens are those of the hubs' own variables.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.config.problems import failure
from provision.published import models
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
    """Read a model: a folder, or else an id such as Qwen/Qwen3-8B on a hub.

    Args:
        model: the folder, or the id.
        source: the hub, as `source:` of a model names it; None asks all, ModelScope first.

    Raises:
        ConfigError: there is no such model, or what was read is no model.
    """
    path = Path(model)
    if source is None and (path.is_dir() or model.count("/") != 1 or model.startswith((".", "/", "~"))):
        return _folder(path)
    return _published(model, [source] if source else list(SITES))


def _folder(path: Path) -> Described:
    try:
        names = sorted(os.listdir(path)) if path.is_dir() else [path.name]
        return _read(str(path), models.folder(str(path)), names)
    except (Absent, NotADirectoryError):
        message, hint = _lacking(path, names)
        raise failure("model-incomplete", message, hint=hint) from None
    except OSError as error:
        raise failure("unreadable-file", f"{path} cannot be read: {error.strerror or error}") from None


def _lacking(path: Path, names: Sequence[str]) -> tuple[str, str]:
    """Say what a folder has instead of a model in the form that is read, and what to do."""
    if any(name.endswith(".gguf") for name in names):
        message = (
            f"{path} has weights in GGUF, which vLLM reads before 0.24 only, and provision does not count"
        )
        return message, "take the model in safetensors, in bfloat16, fp8 or awq"
    if "params.json" in names:
        message = f"{path} has no {CONFIG}: provision does not read Mistral's own format (params.json)"
        return message, f"put the {CONFIG} beside it that the model has on Hugging Face"
    return f"{path} has no {CONFIG}", "name the folder of a model"


def _published(model: str, sources: Sequence[str]) -> Described:
    """Read a model from the first of some hubs that has it."""
    said = []
    for source in sources:
        site = SITES[source]
        snapshot = Snapshot(site, site.address(), model, site.revision, os.environ.get(site.token), TIMEOUT)
        where = f"{site.title} at {snapshot.address}"
        try:
            return _read(str(snapshot), snapshot.read)
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


def _read(source: str, read: Read, names: Sequence[str] = ()) -> Described:
    try:
        return Described(source, *models.model(read, names))
    except Unreadable as error:
        raise failure("unreadable-file", f"{source}: {error}") from None
