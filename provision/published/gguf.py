"""What a GGUF file tells of its model: metadata and a list of tensors, both at its beginning.

The format is that of ggml's `docs/gguf.md`, versions 2 and 3. The metadata holds the vocabulary, so the
beginning is some MB long; it is read in parts.
"""

from __future__ import annotations

import re
import struct
from typing import Any, Callable, Iterator, NamedTuple

from provision.published.tensors import Tensor

ENDING = ".gguf"

Part = Callable[[int, int], bytes]
"""(first, last): the bytes of a file from `first` up to, not including, `last`."""


class File(NamedTuple):
    """What a file tells: its metadata, of lists of texts only how many they are; and its tensors."""

    metadata: dict[str, Any]
    tensors: list[Tensor]


TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    6: "Q5_0",
    7: "Q5_1",
    8: "Q8_0",
    9: "Q8_1",
    10: "Q2_K",
    11: "Q3_K",
    12: "Q4_K",
    13: "Q5_K",
    14: "Q6_K",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    20: "IQ4_NL",
    21: "IQ3_S",
    22: "IQ2_S",
    23: "IQ4_XS",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    28: "F64",
    29: "IQ1_M",
    30: "BF16",
    34: "TQ1_0",
    35: "TQ2_0",
    39: "MXFP4",
}
"""Types of tensors by their numbers (`ggml.h`, `enum ggml_type`)."""

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9

_LONGEST = 256 * 2**20
"""The most bytes that are read: a beginning that is longer is none."""

_FIRST_PART = 2**20


def read(part: Part) -> File:
    """Read the beginning of a file.

    Raises:
        ValueError: it is not a GGUF file, or it is cut off.
    """
    found = _Bytes(part)
    if found.take(4) != b"GGUF":
        raise ValueError("it does not begin as GGUF does")
    version, count, pairs = found.unpack("<IQQ")
    if version not in (2, 3):
        raise ValueError(f"it has version {version} of GGUF, and 2 and 3 are known")
    metadata = {}
    for _ in range(pairs):
        name = found.text()
        metadata[name] = found.value(found.unpack("<I")[0])
    return File(metadata, [_tensor(found) for _ in range(count)])


def _tensor(found: _Bytes) -> Tensor:
    name = found.text()
    (dimensions,) = found.unpack("<I")
    shape = found.unpack(f"<{dimensions}Q")
    kind, _ = found.unpack("<IQ")
    if kind not in TYPES:
        raise ValueError(f"{name} has the unknown type {kind}")
    return Tensor(name, TYPES[kind], tuple(reversed(shape)))


class _Bytes:
    """Reads a file from its beginning, in parts that double."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._held = b""
        self._place = 0

    def take(self, size: int) -> bytes:
        end = self._place + size
        if end > len(self._held):
            self._more(end)
        found = self._held[self._place : end]
        self._place = end
        return found

    def _more(self, end: int) -> None:
        if end > _LONGEST:
            raise ValueError("its header is too long")
        last = max(end, 2 * len(self._held), _FIRST_PART)
        self._held += self._part(len(self._held), last)
        if end > len(self._held):
            raise ValueError("it is cut off")

    def unpack(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def text(self) -> str:
        return self.take(self.unpack("<Q")[0]).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == _TEXT:
            return self.text()
        if kind == _LIST:
            inner, count = self.unpack("<IQ")
            if inner in _SCALARS:
                return list(self.unpack(f"<{count}{_SCALARS[inner]}"))
            for _ in range(count):
                self.value(inner)
            return count
        if kind not in _SCALARS:
            raise ValueError(f"its metadata has the unknown type {kind}")
        return self.unpack(f"<{_SCALARS[kind]}")[0]


_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


def parts(name: str) -> Iterator[str]:
    """Give the names of all files of a model, which may be in parts, by the name of one."""
    found = _PART.search(name)
    if found is None:
        yield name
        return
    beginning, count = name[: found.start()], int(found[2])
    yield from (f"{beginning}-{index:05}-of-{count:05}.gguf" for index in range(1, count + 1))
