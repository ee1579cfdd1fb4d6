"""What a model says of itself: its `config.json` and the list of its weights, from a folder or from a hub.

Of a hub only these are read, some kB: of each file of weights its header, by a request for a range.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.config.problems import failure, quoted
from provision.kinds.vllm.memory.tensors import Tensor, header

INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
MODELOPT = "hf_quant_config.json"
"""Where NVIDIA's ModelOpt says how it quantized a model."""
LONGEST_HEADER = 100_000_000
"""The most bytes of a header, as the safetensors library has it."""


@dataclass(frozen=True)
class Described:
    """What a model says of itself.

    - `source`: where it was read, for people
    - `config`: its `config.json`
    - `tensors`: its weights; None when no complete list of them is there
    """

    source: str
    config: dict[str, Any]
    tensors: list[Tensor] | None


def folder(path: Path) -> Described:
    """Read a folder of a model.

    Raises:
        ConfigError: it has no `config.json`, or a file in it cannot be read.
    """
    try:
        config = json.loads((path / CONFIG).read_bytes())
    except FileNotFoundError:
        raise failure(
            "model-incomplete", f"{path} has no {CONFIG}", hint="name the folder of a model"
        ) from None
    except (OSError, ValueError) as error:
        raise failure("unreadable-file", f"{path / CONFIG} cannot be read: {error}") from None
    found = mapping(config, str(path / CONFIG))
    if "quantization_config" not in found and (path / MODELOPT).is_file():
        found["quantization_config"] = json.loads((path / MODELOPT).read_bytes())
    return Described(str(path), found, _weights(path))


def mapping(config: Any, where: str) -> dict[str, Any]:
    """Return a `config.json`, which must be a mapping."""
    if not isinstance(config, dict):
        raise failure("unreadable-file", f"{quoted(where)} is not a JSON object")
    return config


def _weights(path: Path) -> list[Tensor] | None:
    """Return the weights that the files list; None when some of these are not there."""
    try:
        index = json.loads((path / INDEX).read_bytes())
        names = sorted(set(index["weight_map"].values()))
    except FileNotFoundError:
        names = sorted(each.name for each in path.glob("*.safetensors"))
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise failure("unreadable-file", f"{path / INDEX} cannot be read: {error}") from None
    if not names or not all((path / name).is_file() for name in names):
        return None
    return [tensor for name in names for tensor in _header(path / name)]


def _header(path: Path) -> Iterator[Tensor]:
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > LONGEST_HEADER:
                raise ValueError("its header is too long")
            yield from header(file.read(size))
    except (OSError, ValueError, struct.error) as error:
        raise failure("unreadable-file", f"{path} is no file of weights: {error}") from None
