"""The restart marks: whatever the moment of a crash, a restart that is owed is not forgotten."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from provision.host.state import marks


def test_nothing_is_owed_at_first(tmp_path: Path) -> None:
    assert marks.pending(str(tmp_path), "r1") is None
    assert marks.proven(str(tmp_path), "r1") is None


def test_reasons_add_up_until_the_proof(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    marks.need(state, "r1", ["file:/a"])
    marks.need(state, "r1", ["file:/b", "file:/a"])
    assert marks.pending(state, "r1") == {
        "state": "needed",
        "because": ["file:/a", "file:/b"],
        "invocation": None,
    }

    marks.started(state, "r1", "7:99:boot")
    assert marks.pending(state, "r1") == {
        "state": "started",
        "because": ["file:/a", "file:/b"],
        "invocation": "7:99:boot",
    }
    marks.prove(state, "r1", "7:99:boot")
    assert marks.pending(state, "r1") is None
    assert marks.proven(state, "r1") == "7:99:boot"


def test_a_change_after_the_start_needs_another_restart(tmp_path: Path) -> None:
    state = str(tmp_path)
    marks.need(state, "r1", ["file:/a"])
    marks.started(state, "r1", "7:99:boot")
    marks.need(state, "r1", ["file:/b"])
    marks.prove(state, "r1", "7:99:boot")
    owed = marks.pending(state, "r1")
    assert owed is not None
    assert owed["state"] == "needed"


def test_a_change_that_did_not_come_about_owes_nothing(tmp_path: Path) -> None:
    state = str(tmp_path)
    marks.need(state, "r1", ["file:/a"])
    marks.withdraw(state, "r1", "file:/a", None)
    assert marks.pending(state, "r1") is None

    marks.need(state, "r1", ["file:/a"])
    marks.started(state, "r1", "7:99:boot")
    before = marks.pending(state, "r1")
    marks.need(state, "r1", ["file:/b"])
    marks.withdraw(state, "r1", "file:/b", before)
    assert marks.pending(state, "r1") == before


def test_what_was_owed_before_or_by_others_stays(tmp_path: Path) -> None:
    state = str(tmp_path)
    marks.need(state, "r1", ["file:/a"])
    before = marks.pending(state, "r1")
    marks.need(state, "r1", ["file:/a"])
    marks.withdraw(state, "r1", "file:/a", before)
    assert marks.pending(state, "r1") == before

    marks.need(state, "r2", ["file:/a"])
    marks.need(state, "r2", ["file:/b"])
    marks.withdraw(state, "r2", "file:/a", None)
    owed = marks.pending(state, "r2")
    assert owed is not None
    assert (owed["state"], owed["because"]) == ("needed", ["file:/b"])


def test_services_do_not_share_marks(tmp_path: Path) -> None:
    marks.need(str(tmp_path), "r1", ["a"])
    assert marks.pending(str(tmp_path), "r2") is None


def test_forget_drops_both(tmp_path: Path) -> None:
    state = str(tmp_path)
    marks.need(state, "r1", ["a"])
    marks.prove(state, "r1", "1:2:3")
    marks.forget(state, "r1")
    marks.forget(state, "r1")
    assert marks.pending(state, "r1") is None
    assert marks.proven(state, "r1") is None


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"state": "?"}', "null"])
def test_a_damaged_mark_means_a_restart(tmp_path: Path, broken: str) -> None:
    (tmp_path / "restart").mkdir()
    (tmp_path / "restart" / "r1").write_text(broken)
    owed = marks.pending(str(tmp_path), "r1")
    assert owed is not None
    assert owed["state"] == "needed"


def test_threads_lose_no_reason(tmp_path: Path) -> None:
    state = str(tmp_path)
    reasons = [f"file:/{number}" for number in range(20)]
    threads = [threading.Thread(target=marks.need, args=(state, "r1", [reason])) for reason in reasons]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    owed = marks.pending(state, "r1")
    assert owed is not None
    assert sorted(owed["because"]) == sorted(reasons)


@pytest.mark.parametrize("killed_after", range(12))
def test_killed_at_any_system_call_a_restart_is_still_owed(tmp_path: Path, killed_after: int) -> None:
    """The process dies before its n-th change to the file system, from the start to the proof's very end."""
    state = str(tmp_path)
    marks.need(state, "r1", ["file:/a"])
    program = textwrap.dedent(
        """
        import os, sys
        from provision.host.state import marks
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
        marks.started(sys.argv[1], "r1", "7:99:boot")
        marks.need(sys.argv[1], "r1", ["file:/b"])
        """
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(marks.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", program, state, str(killed_after)], env=environment, check=False)
    owed = marks.pending(state, "r1")
    assert owed is not None
    assert "file:/a" in owed["because"]
