"""What a model says of itself: its `config.json` and the list of its weights, from a folder or from a hub.

Of a hub only these are read, some kB: of each file of weights its header, by a request for a range.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.config.problems import failure
from provision.kinds.vllm.memory.tensors import Tensor, grouped, header
from provision.project import hub

CONFIG = "config.json"
MODELOPT = "hf_quant_config.json"
"""Where NVIDIA's ModelOpt says how it quantized a model."""

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
"""The weights when they are in one file, which needs no index."""

LONGEST_HEADER = 100_000_000
"""The most bytes of a header, as the safetensors library has it."""

AT_ONCE = 8
"""Requests to a hub at a time."""

Read = Callable[[str, int, int | None], bytes]
"""(path, first, last): a file of a model, or its bytes from `first` up to `last`; raises `Absent`."""


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
    return _published(model, [source] if source else list(hub.HUBS))


def _folder(path: Path) -> Described:
    def read(name: str, first: int, last: int | None) -> bytes:
        try:
            with (path / name).open("rb") as file:
                file.seek(first)
                return file.read(-1 if last is None else last - first)
        except FileNotFoundError:
            raise hub.Absent(name) from None

    try:
        return _read(str(path), read)
    except hub.Absent:
        raise failure(
            "model-incomplete", f"{path} has no {CONFIG}", hint="name the folder of a model"
        ) from None
    except OSError as error:
        raise failure("unreadable-file", f"{path} cannot be read: {error.strerror or error}") from None


def _published(model: str, sources: Sequence[str]) -> Described:
    """Read a model from the first of some hubs that has it."""
    said = []
    for source in sources:
        chosen = hub.HUBS[source]()
        where = f"{chosen.title} at {chosen.address}"

        def read(name: str, first: int, last: int | None, chosen: hub.Hub = chosen) -> bytes:
            return chosen.file(model, name, first, last)

        try:
            return _read(f"{model} of {where}", read)
        except hub.Absent:
            said.append(("not-on-hub", f'{where} has no model "{model}"'))
        except hub.Refused as error:
            said.append(("hub-refused", str(error)))
        except OSError as error:
            said.append(("hub-unreachable", f"{where} cannot be reached: {error}"))
    hint = "check the name, or download the model and name its folder"
    raise failure(said[0][0], "; ".join(message for _, message in said), hint=hint)


def _read(source: str, read: Read) -> Described:
    config = _json(source, CONFIG, read)
    if "quantization_config" not in config:
        try:
            config["quantization_config"] = _json(source, MODELOPT, read)
        except hub.Absent:
            pass
    return Described(source, config, _weights(source, read))


def _json(source: str, name: str, read: Read) -> dict[str, Any]:
    try:
        found = json.loads(read(name, 0, None))
    except ValueError as error:
        raise failure("unreadable-file", f"{name} of {source} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise failure("unreadable-file", f"{name} of {source} is not a JSON object")
    return found


def _weights(source: str, read: Read) -> list[Tensor] | None:
    """Return the weights that the files list; None when not all files are there."""
    try:
        listed = _json(source, INDEX, read).get("weight_map")
        names = sorted(set(listed.values())) if isinstance(listed, dict) else [SINGLE]
    except hub.Absent:
        names = [SINGLE]
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            headers = list(pool.map(lambda name: _header(source, name, read), names))
    except hub.Absent:
        return None
    return grouped(tensor for each in headers for tensor in each)


def _header(source: str, name: str, read: Read) -> list[Tensor]:
    try:
        (size,) = struct.unpack("<Q", read(name, 0, 8))
        if size > LONGEST_HEADER:
            raise ValueError("its header is too long")
        return header(read(name, 8, 8 + size))
    except (ValueError, struct.error) as error:
        raise failure("unreadable-file", f"{name} of {source} is no file of weights: {error}") from None
