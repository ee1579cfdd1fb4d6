from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from provision.config.model import ByteSize, Duration, FileMode, HostPath, Name, Port


def valid(kind: Any, value: object) -> Any:
    return TypeAdapter(kind).validate_python(value, strict=True)


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        (Duration, 90, 90.0),
        (Duration, 1.5, 1.5),
        (Duration, "500ms", 0.5),
        (Duration, "90s", 90.0),
        (Duration, "5m", 300.0),
        (Duration, "1h30m", 5400.0),
        (Duration, "1.5h", 5400.0),
        (Duration, "1d", 86400.0),
        (Duration, 0, 0.0),
        (ByteSize, 512, 512),
        (ByteSize, "512", 512),
        (ByteSize, "64KiB", 65536),
        (ByteSize, "512MiB", 512 << 20),
        (ByteSize, "1.5GiB", 3 << 29),
        (ByteSize, "20GB", 20 * 10**9),
        (ByteSize, "16G", 16 * 10**9),
        (ByteSize, "16g", 16 << 30),
        (ByteSize, "64mb", 64 << 20),
        (ByteSize, "512b", 512),
        (ByteSize, "20 G", 20 * 10**9),
        (FileMode, "0644", "0644"),
        (FileMode, "644", "0644"),
        (FileMode, "1777", "1777"),
        (Port, 1, 1),
        (Port, 65535, 65535),
        (Name, "r1-1.5b", "r1-1.5b"),
        (Name, "a" * 63, "a" * 63),
        (HostPath, "/", "/"),
        (HostPath, "/data/模型 x", "/data/模型 x"),
    ],
)
def test_accepted(kind: Any, value: object, result: object) -> None:
    assert valid(kind, value) == result
    assert type(valid(kind, value)) is type(result)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Duration, ["", "5", "5 m", "m5", "-1s", -1, True, None, [], "1e3s", "9999d", "५m"]),
        (ByteSize, ["", "x", -1, True, None, 1.5, "1XB"]),
        (FileMode, ["", "0888", "rw", 644, True, None, "00644", "u+x"]),
        (Port, [0, 65536, -1, True, "1", 1.0, None]),
        (Name, ["", "a b", "a\n", "a'", "-a", "a" * 64, 5, None, "a/b", "é"]),
        (HostPath, ["", "a", "~/x", "/a//b", "/a/", "/a/../b", "/a/./b", "/a\nb", "/a\0", 5]),
    ],
)
def test_refused(kind: Any, values: list[object]) -> None:
    for value in values:
        with pytest.raises(ValidationError):
            valid(kind, value)
