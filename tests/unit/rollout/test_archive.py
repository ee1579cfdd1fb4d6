"""The archive: the same bytes for the same sources, and packed only when they changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import zlib
from pathlib import Path

import pytest

from provision.transport import archive
from provision.transport.archive import PACKAGE, ROOMS, Archive, pack, sources


@pytest.fixture
def package(tmp_path: Path) -> Path:
    root = tmp_path / "one" / "provision"
    (root / "host" / "resources").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "host" / "main.py").write_text("def main(request): return 0\n")
    (root / "host" / "resources" / "file.py").write_text("x = 1\n")
    (root / "wire").mkdir()
    (root / "published").mkdir()
    (root / "cli").mkdir()
    (root / "cli" / "main.py").write_text("not for hosts\n")
    for path in root.rglob("*.py"):
        os.utime(path, (1, 1))  # a write to it has another time, however soon it comes
    return root


def test_holds_the_host_side_and_the_contract_and_nothing_else() -> None:
    names = json.loads(zlib.decompress(pack(PACKAGE)))
    assert "provision/__init__.py" in names
    assert "provision/host/main.py" in names
    assert "provision/wire/record.py" in names
    ours = ("provision/__init__.py", *(f"provision/{room}/" for room in ROOMS))
    assert all(name.startswith(ours) for name in names)
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_the_same_sources_give_the_same_bytes_wherever_and_whenever(package: Path, tmp_path: Path) -> None:
    copy = tmp_path / "two" / "provision"
    shutil.copytree(package, copy)
    for path in sources(copy):
        (copy / path).chmod(0o600)
        os.utime(copy / path, (1, 1))
    (copy / "host" / "__pycache__").mkdir()
    (copy / "host" / "__pycache__" / "main.cpython-311.pyc").write_bytes(b"x")
    assert pack(copy) == pack(package)


def test_the_name_is_the_hash_of_the_bytes(package: Path, tmp_path: Path) -> None:
    made = Archive(package, tmp_path / "cache")
    assert made.name == hashlib.sha256(made.data).hexdigest()
    assert Archive(package).name == made.name


def test_packs_once(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Archive(package, tmp_path / "cache")
    name, data = first.name, first.data

    def packed_again(package: Path) -> bytes:
        raise AssertionError("packed again")

    monkeypatch.setattr(archive, "pack", packed_again)
    again = Archive(package, tmp_path / "cache")
    assert again.name == name
    assert again.data == data


@pytest.mark.parametrize("change", ["content", "new file", "removed file"])
def test_a_change_is_seen(package: Path, tmp_path: Path, change: str) -> None:
    before = Archive(package, tmp_path / "cache").name
    if change == "content":
        (package / "host" / "main.py").write_text("def main(request): return 1\n")
    elif change == "new file":
        (package / "host" / "new.py").write_text("")
    else:
        (package / "host" / "resources" / "file.py").unlink()
    after = Archive(package, tmp_path / "cache")
    assert after.name != before
    assert after.name == hashlib.sha256(after.data).hexdigest()
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_cache_is_seen(package: Path, tmp_path: Path, damage: str) -> None:
    cache = tmp_path / "cache"
    name = Archive(package, cache).name
    (kept,) = cache.iterdir()
    if damage == "changed":
        kept.write_bytes(b"evil")
    else:
        kept.unlink()
    again = Archive(package, cache)
    assert again.name == name
    assert hashlib.sha256(again.data).hexdigest() == name


def test_works_without_a_cache_it_can_write(package: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    made = Archive(package, tmp_path / "file" / "cache")
    assert made.name == hashlib.sha256(made.data).hexdigest()


def test_the_cache_is_private_whatever_the_umask(package: Path, tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        assert Archive(package, tmp_path / ".cache" / "provision" / "archives").name
    finally:
        os.umask(before)
    for path in (tmp_path / ".cache" / "provision", tmp_path / ".cache" / "provision" / "archives"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
