"""The first program on a host: its cache is complete or not there, private, and never grows."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from provision.host.modules import Modules
from provision.transport import boot, unpack
from provision.transport.bootstrap import delivery


def packed(text: str = "x = 1\n") -> tuple[str, bytes]:
    texts = {"provision/__init__.py": "", "provision/host/main.py": text}
    data = zlib.compress(json.dumps(texts).encode())
    return hashlib.sha256(data).hexdigest(), data


def send(name: str, data: bytes) -> str:
    """Let `boot` have the archive that it asks for, and return the directory in which it is then."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(delivery(data))))
        place, _, index = boot.ask(name)
    assert "provision.host.main" in index
    return f"{place}/{name}"


def found(name: str) -> str:
    """Return the directory in which an archive is found, or nothing."""
    kept = boot.find(name)
    return f"{kept[0]}/{name}" if kept else ""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "home" / ".cache" / "provision"
    monkeypatch.setattr(boot, "places", lambda: [str(place), str(tmp_path / "second")])
    return place


def test_sent_once_and_found_again(place: Path) -> None:
    name, data = packed()
    assert found(name) == ""
    assert send(name, data) == found(name) == str(place / name)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE((place / name / boot.NAME).stat().st_mode) == 0o600
    assert [entry.name for entry in place.iterdir()] == [name]


def test_modules_come_from_the_compiled_code(place: Path) -> None:
    name, data = packed('"""Words."""\nwhere = __file__, __name__\n')
    send(name, data)
    _, file, index = boot.find(name) or ("", -1, {})
    loaded = {module: each for module, each in sys.modules.items() if module.split(".")[0] == "provision"}
    try:
        for module in loaded:
            del sys.modules[module]
        main = Modules(file, index).load("provision.host.main")
        assert main.where == ("provision/host/main.py", "provision.host.main")
        assert sys.modules["provision.host"].main is main
    finally:
        sys.modules.update(loaded)


@pytest.mark.parametrize("damage", ["emptied", "shortened", "removed", "something else"])
def test_damaged_code_is_made_anew(place: Path, damage: str) -> None:
    name, data = packed()
    send(name, data)
    code = place / name / boot.NAME
    whole = code.read_bytes()
    if damage == "removed":
        code.unlink()
    else:
        code.write_bytes({"emptied": b"", "shortened": whole[:-9], "something else": b"\0" * 99}[damage])
    assert found(name) == ""
    assert send(name, data) == found(name)
    assert code.read_bytes() == whole
    assert [entry.name for entry in (place / name).iterdir()] == [boot.NAME]


def test_each_python_has_its_own_code_beside_that_of_others(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, data = packed()
    send(name, data)
    own = boot.NAME
    series, _, _ = own.rpartition("-")
    monkeypatch.setattr(boot, "NAME", "cpython-38-30812f0.code")
    assert found(name) == ""
    send(name, data)
    assert found(name)
    monkeypatch.setattr(boot, "NAME", f"{series}-ffffff0.code")  # a newer one of the same series
    send(name, data)
    codes = {entry.name for entry in (place / name).glob("*.code")}
    assert codes == {"cpython-38-30812f0.code", f"{series}-ffffff0.code"}


def test_a_cache_that_others_can_write_to_is_not_trusted(place: Path, tmp_path: Path) -> None:
    name, data = packed()
    send(name, data)
    place.chmod(0o777)
    assert found(name) == ""
    assert send(name, data) == str(tmp_path / "second" / name)
    place.chmod(0o700)
    (place / name).chmod(0o770)
    assert found(name) == str(tmp_path / "second" / name)
    (tmp_path / "second").chmod(0o777)
    assert send(name, data) == str(place / name)  # made again, for us alone


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_home_that_became_read_only(place: Path, tmp_path: Path) -> None:
    name, data = packed()
    place.mkdir(parents=True, mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], check=True)
    try:
        place.chmod(0o700)
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        assert send(name, data) == found(name) == str(tmp_path / "second" / name)
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_link_that_somebody_put_there_is_not_followed(place: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "elsewhere")
    name, data = packed()
    assert send(name, data) == str(tmp_path / "second" / name)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_cache_that_belongs_to_somebody_else_is_not_trusted(place: Path, tmp_path: Path) -> None:
    name, data = packed()
    send(name, data)
    os.chown(place, 65534, 65534)
    assert found(name) == ""
    assert send(name, data) == str(tmp_path / "second" / name)


def test_the_three_versions_used_last_stay(place: Path) -> None:
    archives = [packed(f"x = {number}\n") for number in range(5)]
    for age, (name, data) in enumerate(archives):
        send(name, data)
        os.utime(place / name, (1000 + age, 1000 + age))
    assert found(archives[2][0])  # used again: younger than the rest
    new = packed("x = 'new'\n")
    send(*new)
    names = {entry.name for entry in place.iterdir()}
    assert names == {archives[2][0], archives[4][0], new[0]}


def test_what_an_interrupted_run_left_is_removed(place: Path) -> None:
    name, data = packed()
    send(name, data)
    (place / name / boot.NAME).rename(place / name / ".new-dead")
    send(name, data)
    assert [entry.name for entry in (place / name).iterdir()] == [boot.NAME]


def test_a_damaged_archive_is_refused(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name, data = packed()
    with pytest.raises(SystemExit):
        send(name, data[:-1] + b"x")
    assert "damaged" in capfd.readouterr().out
    assert not place.exists()


def test_says_where_it_tried_when_nothing_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(boot, "places", lambda: [str(tmp_path / "file" / "a"), str(tmp_path / "file" / "b")])
    with pytest.raises(SystemExit):
        send(*packed())
    said = capfd.readouterr().out
    assert '{"event": "error"' in said
    assert f"{tmp_path}/file/a: Not a directory; {tmp_path}/file/b: Not a directory" in said


def _keep(place: str, code: bytes) -> bool:
    unpack.keep(place, "name", code, boot.NAME, boot.private)
    return Path(place, "name", boot.NAME).read_bytes() == code


def test_runs_that_write_at_once_do_not_disturb_each_other(place: Path) -> None:
    place.mkdir(parents=True, mode=0o700)
    (place / "name").mkdir(mode=0o770)  # one that is not ours alone is in everybody's way
    with ProcessPoolExecutor(8) as pool:
        answers = [pool.submit(_keep, str(place), b"code" * 100_000) for _ in range(40)]
        assert all(answer.result() for answer in answers)
    assert [entry.name for entry in (place / "name").iterdir()] == [boot.NAME]


def test_needs_nothing_that_an_old_python_cannot_read() -> None:
    import ast

    ast.parse(Path(boot.__file__).read_text(), feature_version=(3, 4))
