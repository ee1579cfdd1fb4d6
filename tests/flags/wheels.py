"""The files of released wheels, of which only those that are needed are transferred."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from functools import cached_property
from typing import Any

from tests.lab.paths import state_directory

TAGS = ("manylinux1", "manylinux2014", *(f"manylinux_2_{glibc}" for glibc in range(17, 40)))
"""The wheels that are read: those for Linux on x86-64. All of a release declare the same flags."""

WINDOW = 256 * 1024
"""Bytes that one request transfers: the argument modules of a release are in a few such windows."""


class Wheel:
    """The wheel of one release; what was read of it stays in the lab's cache."""

    def __init__(self, version: str) -> None:
        self.version = version
        self._kept = state_directory() / "cache" / "vllm-sources" / version

    def read(self, path: str) -> str | None:
        """Return the text of a file; None when the wheel has no such file."""
        kept = self._kept / path
        if kept.exists():
            return kept.read_text(encoding="utf-8")
        if path not in self.names:
            return None
        data = self._archive.read(path)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(data)
        return data.decode("utf-8")

    @cached_property
    def names(self) -> frozenset[str]:
        """The paths of its files."""
        kept = self._kept / "NAMES"
        if not kept.exists():
            names = "\n".join(sorted(self._archive.namelist()))
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(names, encoding="utf-8")
        return frozenset(kept.read_text(encoding="utf-8").splitlines())

    @cached_property
    def _archive(self) -> zipfile.ZipFile:
        remote: Any = _Remote(_address(self.version))
        return zipfile.ZipFile(io.BufferedReader(remote, WINDOW))


def _address(version: str) -> str:
    """Return where pip would download the wheel from."""
    asked = [
        "--dry-run",
        "--quiet",
        "--ignore-installed",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--report",
        "-",
    ]
    where = ["--target", tempfile.gettempdir(), "--python-version", "3.12"]
    where += [f"--platform={tag}_x86_64" for tag in TAGS]
    argv = [sys.executable, "-m", "pip", "install", *asked, *where, f"vllm=={version}"]
    report = json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout)
    found: str = report["install"][0]["download_info"]["url"]
    return found


class _Remote(io.RawIOBase):
    """A file behind HTTP, read in ranges."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._at = 0
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD")) as answer:
            self._size = int(answer.headers["Content-Length"])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        last = min(self._at + len(buffer), self._size) - 1
        if last < self._at:
            return 0
        asked = urllib.request.Request(self._address, headers={"Range": f"bytes={self._at}-{last}"})
        with urllib.request.urlopen(asked) as answer:
            if answer.status != 206:
                raise OSError(f"{self._address}: the index does not answer for a part of a file")
            data = answer.read()
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
