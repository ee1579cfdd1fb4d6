"""The first program on a host: its cache is complete or not there, private, and never grows."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from provision.run import boot


def packed(text: str = "x = 1\n") -> tuple[str, bytes]:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("provision/__init__.py", "")
        archive.writestr("provision/host/main.py", text)
    return hashlib.sha256(out.getvalue()).hexdigest(), out.getvalue()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "home" / ".cache" / "provision"
    monkeypatch.setattr(boot, "places", lambda: [str(place), str(tmp_path / "second")])
    return place


def test_unpacked_once_and_found_again(place: Path) -> None:
    name, data = packed()
    assert boot.find(name) == ""
    path = boot.unpack(name, data)
    assert path == boot.find(name) == str(place / name)
    assert (place / name / "provision" / "host" / "main.py").read_text() == "x = 1\n"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert [entry.name for entry in place.iterdir()] == [name]


@pytest.mark.parametrize(
    "damage", ["emptied", "shortened", "removed", "no mark", "mark cut short", "mark empty"]
)
def test_a_half_written_cache_is_made_anew(place: Path, damage: str) -> None:
    name, data = packed()
    boot.unpack(name, data)
    file, mark = place / name / "provision" / "host" / "main.py", place / name / boot.MARK
    if damage == "emptied":
        file.write_text("")
    elif damage == "shortened":
        file.write_text("x =")
    elif damage == "removed":
        file.unlink()
    elif damage == "no mark":
        mark.unlink()
    elif damage == "mark cut short":
        mark.write_text(mark.read_text()[:-4])
    else:
        mark.write_text("")
    assert boot.find(name) == ""
    assert boot.unpack(name, data) == str(place / name)
    assert boot.find(name) == str(place / name)
    assert file.read_text() == "x = 1\n"
    assert [entry.name for entry in place.iterdir()] == [name]


def test_a_cache_that_others_can_write_to_is_not_trusted(place: Path, tmp_path: Path) -> None:
    name, data = packed()
    boot.unpack(name, data)
    place.chmod(0o777)
    assert boot.find(name) == ""
    assert boot.unpack(name, data) == str(tmp_path / "second" / name)


def test_a_link_that_somebody_put_there_is_not_followed(place: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "elsewhere")
    name, data = packed()
    assert boot.unpack(name, data) == str(tmp_path / "second" / name)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_cache_that_belongs_to_somebody_else_is_not_trusted(place: Path, tmp_path: Path) -> None:
    name, data = packed()
    boot.unpack(name, data)
    os.chown(place, 65534, 65534)
    assert boot.find(name) == ""
    assert boot.unpack(name, data) == str(tmp_path / "second" / name)


def test_the_three_versions_used_last_stay(place: Path) -> None:
    archives = [packed(f"x = {number}\n") for number in range(5)]
    for age, (name, data) in enumerate(archives):
        boot.unpack(name, data)
        os.utime(place / name, (1000 + age, 1000 + age))
    assert boot.find(archives[2][0])  # used again: younger than the rest
    boot.unpack(*packed("x = 'new'\n"))
    names = {entry.name for entry in place.iterdir()}
    assert names == {archives[2][0], archives[4][0], packed("x = 'new'\n")[0]}


def test_what_an_interrupted_run_left_is_removed(place: Path) -> None:
    (place / ".new-dead" / "provision").mkdir(parents=True)
    place.chmod(0o700)
    name, data = packed()
    boot.unpack(name, data)
    assert [entry.name for entry in place.iterdir()] == [name]


def test_a_damaged_archive_is_refused(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name, data = packed()
    with pytest.raises(SystemExit):
        boot.unpack(name, data[:-1] + b"x")
    assert "damaged" in capfd.readouterr().out
    assert not place.exists()


def test_says_where_it_tried_when_nothing_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(boot, "places", lambda: [str(tmp_path / "file" / "a"), str(tmp_path / "file" / "b")])
    with pytest.raises(SystemExit):
        boot.unpack(*packed())
    said = capfd.readouterr().out
    assert said.startswith('{"event": "error"')
    assert f"{tmp_path}/file/a: Not a directory; {tmp_path}/file/b: Not a directory" in said


def _unpack(place: str, name: str, data: bytes) -> str:
    boot.keep(place, name, data)
    return "complete" if boot.complete(place + "/" + name) else "broken"


def test_runs_that_unpack_at_once_do_not_disturb_each_other(place: Path) -> None:
    name, data = packed("x = 1\n" * 20_000)
    place.mkdir(parents=True, mode=0o700)
    (place / name).mkdir()  # a broken one is in everybody's way
    with ProcessPoolExecutor(8) as pool:
        answers = [pool.submit(_unpack, str(place), name, data) for _ in range(40)]
        assert {answer.result() for answer in answers} == {"complete"}
    assert [entry.name for entry in place.iterdir()] == [name]


def test_needs_nothing_that_an_old_python_cannot_read() -> None:
    import ast

    ast.parse(Path(boot.__file__).read_text(), feature_version=(3, 4))
