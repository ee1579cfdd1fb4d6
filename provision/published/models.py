"""What a model says of itself: its `config.json` and the list of its weights.

Of files of weights only their headers are read, some kB each.
"""

from __future__ import annotations

import json
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, NamedTuple, Sequence

from provision.published import gguf, gguf_models, mistral
from provision.published.tensors import Tensor, grouped, header

CONFIG = "config.json"
MODELOPT = "hf_quant_config.json"
"""Where NVIDIA's ModelOpt says how it quantized a model."""

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
"""The weights when they are in one file, which needs no index."""

CONSOLIDATED = "consolidated"
"""How files in Mistral's own format begin: the same weights once more; vLLM loads one of both."""

LONGEST_HEADER = 100_000_000
"""The most bytes of a header, as the safetensors library has it."""

AT_ONCE = 8
"""Files that are read at a time."""

Read = Callable[[str, int, "int | None"], bytes]
"""(name, first, last): the bytes of a file from `first` up to `last`, None for its end; raises `Absent`."""


class Absent(Exception):
    """There is no such file."""


class Unreadable(ValueError):
    """A file is not what its name says; the message names it."""


class Model(NamedTuple):
    """What a model says of itself."""

    config: dict[str, Any]
    """Its `config.json`."""
    tensors: list[Tensor] | None
    """Its weights, those of experts that are alike as one; None when not all of its files are there."""


def model(read: Read, names: Sequence[str] = ()) -> Model:
    """Read a model by its files.

    Args:
        read: reads one of them.
        names: all of them, where they can be listed: weights in several files then need no index.

    Raises:
        Absent: it has no `config.json`, and no `params.json` either.
        Unreadable: a file is not what its name says.
    """
    try:
        config = _json(CONFIG, read)
    except Absent:
        return _mistral(read)
    if "quantization_config" not in config:
        try:
            config["quantization_config"] = _json(MODELOPT, read)
        except Absent:
            pass
    return Model(config, _weights(read, _files(read, names)))


def _mistral(read: Read) -> Model:
    """Read a model in Mistral's own format."""
    try:
        params = _json(mistral.PARAMS, read)
    except Absent:
        raise Absent(CONFIG) from None
    try:
        config = mistral.config(params)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(f"{mistral.PARAMS} has another form than is known: {error!r}") from None
    found = _weights(read, _listed(mistral.INDEX, read) or [mistral.SINGLE])
    return Model(config, None if found is None else grouped(map(mistral.renamed, found)))


def gguf_model(read: Read, name: str) -> Model:
    """Read a model in GGUF, by the name of its file, or of one of its files.

    Raises:
        Absent: one of them is missing.
        Unreadable: a file is not what its name says.
    """
    files = [_gguf(each, read) for each in gguf.parts(name)]
    tensors = [tensor for file in files for tensor in file.tensors]
    config = gguf_models.config(files[0].metadata, tensors)
    return Model(config, [gguf_models.renamed(tensor) for tensor in tensors])


def _gguf(name: str, read: Read) -> gguf.File:
    try:
        return gguf.read(lambda first, last: read(name, first, last))
    except ValueError as error:
        raise Unreadable(f"{name} is no GGUF file: {error}") from None


def folder(path: str) -> Read:
    """Return what reads the files in a directory; it raises OSError as the kernel says."""

    def read(name: str, first: int, last: int | None) -> bytes:
        try:
            with Path(path, name).open("rb") as file:
                file.seek(first)
                return file.read(-1 if last is None else last - first)
        except FileNotFoundError:
            raise Absent(name) from None

    return read


def _json(name: str, read: Read) -> dict[str, Any]:
    try:
        found = json.loads(read(name, 0, None))
    except ValueError as error:
        raise Unreadable(f"{name} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Unreadable(f"{name} is not a JSON object")
    return found


def _weights(read: Read, files: Sequence[str]) -> list[Tensor] | None:
    """Return the weights that files list; None when not all files are there."""
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            headers = list(pool.map(lambda name: _header(name, read), files))
    except Absent:
        return None
    return grouped(tensor for each in headers for tensor in each)


def _files(read: Read, names: Sequence[str]) -> list[str]:
    """Return the files of weights: those of the index, else all that there are."""
    listed = _listed(INDEX, read)
    if listed:
        return listed
    found = sorted(name for name in names if name.endswith(".safetensors"))
    return [name for name in found if not name.startswith(CONSOLIDATED)] or found or [SINGLE]


def _listed(index: str, read: Read) -> list[str]:
    """Return the files that an index lists; none without one."""
    try:
        listed = _json(index, read).get("weight_map")
    except Absent:
        return []
    return sorted(set(listed.values())) if isinstance(listed, dict) else []


def _header(name: str, read: Read) -> list[Tensor]:
    try:
        (size,) = struct.unpack("<Q", read(name, 0, 8))
        if size > LONGEST_HEADER:
            raise ValueError("its header is too long")
        return header(read(name, 8, 8 + size))
    except (ValueError, struct.error) as error:
        raise Unreadable(f"{name} is no file of weights: {error}") from None
