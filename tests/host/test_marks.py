"""The restart marks: whatever the moment of a crash, a restart that is owed is not forgotten."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from provision.host.state import marks, owed


def test_nothing_is_owed_at_first(tmp_path: Path) -> None:
    assert owed.restart(str(tmp_path), "r1").read() is None
    assert marks.proven(str(tmp_path), "r1") is None


def test_reasons_add_up_until_the_proof(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    owed.restart(state, "r1").need("file:/a")
    owed.restart(state, "r1").need("file:/b", "file:/a")
    assert owed.restart(state, "r1").read() == {
        "state": "needed",
        "because": ["file:/a", "file:/b"],
        "invocation": None,
    }

    owed.restart(state, "r1").started("7:99:boot")
    assert owed.restart(state, "r1").read() == {
        "state": "started",
        "because": ["file:/a", "file:/b"],
        "invocation": "7:99:boot",
    }
    marks.prove(state, "r1", "7:99:boot")
    assert owed.restart(state, "r1").read() is None
    assert marks.proven(state, "r1") == "7:99:boot"


def test_a_change_after_the_start_needs_another_restart(tmp_path: Path) -> None:
    state = str(tmp_path)
    owed.restart(state, "r1").need("file:/a")
    owed.restart(state, "r1").started("7:99:boot")
    owed.restart(state, "r1").need("file:/b")
    marks.prove(state, "r1", "7:99:boot")
    note = owed.restart(state, "r1").read()
    assert note is not None
    assert note["state"] == "needed"


def test_a_change_that_did_not_come_about_owes_nothing(tmp_path: Path) -> None:
    state = str(tmp_path)
    owed.restart(state, "r1").need("file:/a")
    owed.restart(state, "r1").withdraw("file:/a", None)
    assert owed.restart(state, "r1").read() is None

    owed.restart(state, "r1").need("file:/a")
    owed.restart(state, "r1").started("7:99:boot")
    before = owed.restart(state, "r1").read()
    owed.restart(state, "r1").need("file:/b")
    owed.restart(state, "r1").withdraw("file:/b", before)
    assert owed.restart(state, "r1").read() == before


def test_what_was_owed_before_or_by_others_stays(tmp_path: Path) -> None:
    state = str(tmp_path)
    owed.restart(state, "r1").need("file:/a")
    before = owed.restart(state, "r1").read()
    owed.restart(state, "r1").need("file:/a")
    owed.restart(state, "r1").withdraw("file:/a", before)
    assert owed.restart(state, "r1").read() == before

    owed.restart(state, "r2").need("file:/a")
    owed.restart(state, "r2").need("file:/b")
    owed.restart(state, "r2").withdraw("file:/a", None)
    note = owed.restart(state, "r2").read()
    assert note is not None
    assert (note["state"], note["because"]) == ("needed", ["file:/b"])


def test_a_restart_that_was_begun_is_done_once_another_life_runs(tmp_path: Path) -> None:
    restart = owed.restart(str(tmp_path), "r1")
    restart.begun(lambda: "7:99:boot")
    assert restart.read() is None  # nothing is owed, so nothing is noted

    restart.need("file:/a")
    restart.begun(lambda: "7:99:boot")
    lives: list[str | None] = ["7:99:boot", None, "8:99:boot"]
    assert [restart.needed(lambda life=life: life) for life in lives] == [["file:/a"], ["file:/a"], None]
    marks.prove(str(tmp_path), "r1", "7:99:boot")
    assert restart.needed(lambda: "7:99:boot") == ["file:/a"]
    marks.prove(str(tmp_path), "r1", "8:99:boot")
    assert restart.read() is None


def test_a_first_start_that_was_begun_is_done_once_any_life_runs(tmp_path: Path) -> None:
    restart = owed.restart(str(tmp_path), "r1")
    restart.need("file:/a")
    restart.begun(lambda: None)
    assert restart.needed(lambda: None) == ["file:/a"]
    assert restart.needed(lambda: "7:99:boot") is None


def test_a_change_after_the_begin_needs_another_restart(tmp_path: Path) -> None:
    restart = owed.restart(str(tmp_path), "r1")
    restart.need("file:/a")
    restart.begun(lambda: "7:99:boot")
    restart.need("file:/b")
    assert restart.needed(lambda: "8:99:boot") == ["file:/a", "file:/b"]


def test_services_do_not_share_marks(tmp_path: Path) -> None:
    owed.restart(str(tmp_path), "r1").need("a")
    assert owed.restart(str(tmp_path), "r2").read() is None


def test_forget_drops_both(tmp_path: Path) -> None:
    state = str(tmp_path)
    owed.restart(state, "r1").need("a")
    marks.prove(state, "r1", "1:2:3")
    marks.forget(state, "r1")
    marks.forget(state, "r1")
    assert owed.restart(state, "r1").read() is None
    assert marks.proven(state, "r1") is None


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"state": "?"}', "null"])
def test_a_damaged_mark_means_a_restart(tmp_path: Path, broken: str) -> None:
    (tmp_path / "restart").mkdir()
    (tmp_path / "restart" / "r1").write_text(broken)
    note = owed.restart(str(tmp_path), "r1").read()
    assert note is not None
    assert note["state"] == "needed"


@pytest.mark.parametrize("stops", ["null", "7", "[]"])
def test_a_damaged_begin_means_a_restart(tmp_path: Path, stops: str) -> None:
    (tmp_path / "restart").mkdir()
    (tmp_path / "restart" / "r1").write_text(f'{{"state": "needed", "because": [], "stops": {stops}}}')
    assert owed.restart(str(tmp_path), "r1").needed(lambda: "8:99:boot") == []


def test_threads_lose_no_reason(tmp_path: Path) -> None:
    state = str(tmp_path)
    reasons = [f"file:/{number}" for number in range(20)]
    restart = owed.restart(state, "r1")
    threads = [threading.Thread(target=restart.need, args=(reason,)) for reason in reasons]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    note = owed.restart(state, "r1").read()
    assert note is not None
    assert sorted(note["because"]) == sorted(reasons)


@pytest.mark.parametrize("killed_after", range(16))
def test_killed_at_any_system_call_a_restart_is_still_owed(tmp_path: Path, killed_after: int) -> None:
    """The process dies before its n-th change to the file system, from the start to the proof's very end."""
    state = str(tmp_path)
    owed.restart(state, "r1").need("file:/a")
    program = textwrap.dedent(
        """
        import os, sys
        from provision.host.state import owed
        left = int(sys.argv[2])
        def counted(real):
            def call(*args, **named):
                global left
                if left == 0:
                    os._exit(9)
                left -= 1
                return real(*args, **named)
            return call
        for name in ("fsync", "replace", "unlink"):
            setattr(os, name, counted(getattr(os, name)))
        owed.restart(sys.argv[1], "r1").begun(lambda: "6:99:boot")
        owed.restart(sys.argv[1], "r1").started("7:99:boot")
        owed.restart(sys.argv[1], "r1").need("file:/b")
        """
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(marks.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", program, state, str(killed_after)], env=environment, check=False)
    note = owed.restart(state, "r1").read()
    assert note is not None
    assert "file:/a" in note["because"]
