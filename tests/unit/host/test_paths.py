"""Directories that several resources want at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from provision.host.files.paths import make_directories


def test_made_once_whoever_comes_first(tmp_path: Path) -> None:
    for number in range(200):
        together = Barrier(4)
        path = str(tmp_path / f"{number}/a/b")

        def make(path: str = path, together: Barrier = together) -> list[str]:
            together.wait()
            return make_directories(path)

        with ThreadPoolExecutor(4) as pool:
            made = [pool.submit(make) for _ in range(4)]
        everything = sorted(directory for each in made for directory in each.result())
        assert everything == [str(tmp_path / f"{number}{rest}") for rest in ("", "/a", "/a/b")]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        make_directories(str(tmp_path / "file"))
