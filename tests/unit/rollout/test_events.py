"""Events: as a host says them, and as `--output json` prints them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provision.show.jsonl import fields
from provision.transport.reading import read
from provision.wire import events, rollout
from provision.wire.finding import Finding
from provision.wire.record import Mismatch

FINDING = Finding(code="no-space", message="no space", hint="free some", log=["boom"])

SAID = {"error": "no space", "hint": "free some", "log": ["boom"], "code": "no-space"}

SAMPLES: list[tuple[events.Event, dict[str, Any]]] = [
    (events.Waiting(reason="the dpkg lock", seconds=1.5), {"for": "the dpkg lock"}),
    (events.Note(finding=FINDING), {"text": "no space", "code": "no-space"}),
    (
        events.Error(finding=FINDING),
        {"message": "no space", "hint": "free some", "log": ["boom"], "code": "no-space"},
    ),
    (
        rollout.Unreachable(finding=FINDING),
        {"cause": "no space", "hint": "free some", "log": ["boom"], "code": "no-space"},
    ),
    (events.Result(id="apt", status="failed", finding=FINDING), SAID),
    (events.Result(id="apt", status="ok"), {"error": None, "hint": None, "log": []}),
    (events.Proof(service="s", check="chat", ok=False, finding=FINDING), SAID),
    (events.Restored(id="probe:s", service="s", ok=False, text="back", finding=FINDING), SAID),
    (events.Removed(id="file:/x", finding=FINDING), SAID),
    (
        events.Inspected(id="apt", type="apt", label="packages", finding=FINDING),
        {**SAID, "notes": [], "work": {}},
    ),
    (
        events.Inspected(
            id="apt", type="apt", label="packages", work=events.Work(install=["git"]), notes=[FINDING]
        ),
        {"work": {"install": ["git"]}, "notes": ["no space; free some"], "findings": [FINDING.plain()]},
    ),
]


@pytest.mark.parametrize(("event", "printed"), SAMPLES, ids=lambda each: getattr(each, "NAME", ""))
def test_readers_of_version_1_find_the_texts_where_they_were(
    event: events.Event, printed: dict[str, Any]
) -> None:
    line = fields(event)
    assert {key: line[key] for key in printed} == printed
    assert line["event"] == event.NAME
    assert "version" not in line  # that is the version of the output


def sent(data: dict[str, Any], ascii: bool = True) -> bytes:
    """Return what a host sends."""
    return json.dumps(data, ensure_ascii=ascii).encode("utf-8", "surrogatepass")


SENT = [event for event, _ in SAMPLES if not event.BY_CONTROLLER]


@pytest.mark.parametrize("event", SENT, ids=lambda event: str(event.NAME))
def test_an_event_comes_out_as_it_went_in(event: events.Event) -> None:
    read_again = read(sent(event.plain()), "gpu")
    assert read_again == event.replace(host="gpu")


def test_a_host_does_not_say_what_only_the_controller_says() -> None:
    with pytest.raises(Mismatch, match=r"^Unreachable is not for a host to say$"):
        read(sent(rollout.Unreachable(finding=FINDING).plain()), "gpu")


def test_changes_are_pairs() -> None:
    event = read(sent({"event": "result", "id": "x", "status": "ok", "changes": {"mode": ["a", "b"]}}), "gpu")
    assert isinstance(event, events.Result)
    assert event.changes == {"mode": ("a", "b")}


def test_a_host_cannot_speak_for_another() -> None:
    assert read(sent({"event": "line", "service": "s", "text": "t", "host": "other"}), "gpu").host == "gpu"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"event": "surprise"}, "unknown event 'surprise'"),
        ({"event": ["note"]}, "unknown event ['note']"),
        ({"event": "line", "service": "s"}, "Line lacks `text`"),
        ({"event": "started", "id": "x", "colour": "red"}, "Started has no field `colour`"),
        ({"event": "note", "finding": {"code": "c"}}, "Finding lacks `message`"),
        ({"event": "note", "finding": 3}, "Finding is not a mapping"),
        ({"event": "result", "id": "x", "status": "ok", "changes": {"mode": 3}}, "changes"),
        ({"event": "result", "id": "x", "status": "ok", "changes": ["mode"]}, "changes"),
    ],
)
def test_what_is_no_event_is_refused_by_name(data: dict[str, Any], message: str) -> None:
    with pytest.raises(Mismatch) as caught:
        read(sent(data), "gpu")
    assert message in str(caught.value)


def test_no_control_character_of_a_host_comes_through() -> None:
    hostile = "\x1b[2J\x9b1m\x07\ra\x00 \udcff 好\tb\nc"
    plain = "\\x1b[2J\\x9b1m\\x07\\ra\\x00 \\udcff 好\tb\nc"
    line = read(sent({"event": "line", "service": "r1", "text": hostile}), "gpu")
    assert isinstance(line, events.Line)
    assert line.text == plain
    for character in "\x7f\x9b":  # which JSON need not escape
        line = read(sent({"event": "line", "service": "r1", "text": character}, ascii=False), "gpu")
        assert isinstance(line, events.Line)
        assert line.text == repr(character)[1:-1]
    finding = {"code": "failed", "message": hostile, "log": [hostile]}
    result = {"event": "result", "id": "x", "status": "failed", "finding": finding}
    failed = read(sent({**result, "changes": {hostile: [None, {"k": hostile}]}}), "gpu")
    assert isinstance(failed, events.Result)
    assert failed.finding == Finding(code="failed", message=plain, log=[plain])
    assert failed.changes == {plain: (None, {"k": plain})}
