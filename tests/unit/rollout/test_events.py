"""Events: from the wire and back, and what is no event."""

from __future__ import annotations

import json

import pytest

from provision.wire import dataclass_events as events
from provision.wire.dataclass_events import MalformedEvent, parse

SAMPLES = [
    {"event": "hello", "python": "3.11.2", "pid": 7, "user": "root", "root": True, "facts": {"cpus": 2}},
    {"event": "waiting", "id": "apt", "for": "the dpkg lock", "seconds": 1.5},
    {
        "event": "inspected", "id": "file:/x", "type": "file", "label": "/x", "service": "r1",
        "changes": {"mode": ["0600", "0644"]}, "diff": "-a\n+b\n", "work": {"bytes": 3}, "notes": ["n"],
        "pending": False, "error": None, "hint": None,
    },
    {"event": "started", "id": "apt", "changes": ["git"]},
    {"event": "progress", "id": "model:r1", "done": 5, "total": 10, "unit": "bytes", "text": ""},
    {"event": "output", "id": "command:x", "line": "hi"},
    {
        "event": "result", "id": "apt", "status": "changed", "changes": {"git": [None, True]}, "seconds": 2.0,
        "error": None, "hint": None, "log": [],
    },
    {"event": "restart", "service": "r1", "because": ["file:/x"]},
    {
        "event": "proof", "service": "r1", "check": "chat", "ok": True, "sent": "hi", "received": "ho",
        "seconds": 0.2, "error": None, "hint": None, "log": [],
    },
    {
        "event": "restored", "id": "probe:r1", "service": "r1", "ok": False, "text": "back", "error": "no",
        "hint": None, "log": ["boom"],
    },
    {"event": "service", "service": "r1", "state": "running", "pid": 7},
    {"event": "line", "service": "r1", "text": "INFO"},
    {"event": "orphan", "service": "old", "playbooks": ["a"], "ids": ["unit:old"]},
    {"event": "removed", "id": "file:/x", "label": "/x", "planned": True, "kept": None, "error": None},
    {"event": "note", "text": "n"},
    {"event": "error", "message": "m", "hint": "h", "log": []},
    {
        "event": "done", "ok": True, "counts": {"ok": 3}, "seconds": 1.0, "orphans": 0, "digest": "d",
        "services": {"r1": "before"}, "executions": 1, "sent": 9,
    },
    {
        "event": "unreachable", "cause": "c", "hint": None, "begun": False, "log": [], "executions": 0,
        "sent": 0,
    },
    {"event": "bootstrapped", "python": "3.11.2", "seconds": 9.0},
    {"event": "heartbeat"},
]  # fmt: skip


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: str(sample["event"]))
def test_an_event_comes_out_as_it_came_in(sample: dict[str, object]) -> None:
    event = parse(sample, "gpu")
    assert event.host == "gpu"
    assert json.loads(json.dumps(event.as_json())) == {**sample, "host": "gpu"}


def test_every_kind_of_event_has_a_sample() -> None:
    kinds = {kind.name for kind in vars(events).values() if isinstance(kind, type) and hasattr(kind, "name")}
    assert kinds == {sample["event"] for sample in SAMPLES}


def test_what_is_left_out_has_its_default() -> None:
    event = parse({"event": "inspected", "id": "apt", "type": "apt", "label": "packages"}, "gpu")
    assert isinstance(event, events.Inspected)
    assert event.changes == {}
    assert event.notes == []


def test_changes_are_pairs() -> None:
    event = parse({"event": "result", "id": "x", "status": "ok", "changes": {"mode": ["a", "b"]}}, "gpu")
    assert isinstance(event, events.Result)
    assert event.changes == {"mode": ("a", "b")}


def test_a_host_cannot_speak_for_another() -> None:
    assert parse({"event": "note", "text": "n", "host": "other"}, "gpu").host == "gpu"
    assert parse({"event": "service", "service": "s", "host": "other"}, "gpu").host == "gpu"


def test_fields_of_a_newer_host_side_are_ignored() -> None:
    assert parse({"event": "note", "text": "n", "colour": "red"}, "gpu") == events.Note(host="gpu", text="n")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"event": "surprise"}, "unknown event 'surprise'"),
        ({"event": ["note"]}, "unknown event ['note']"),
        ({"event": "note"}, "text"),
        ({"event": "service"}, "no service"),
        ({"event": "result", "id": "x", "status": "ok", "changes": {"mode": 3}}, "changes"),
        ({"event": "result", "id": "x", "status": "ok", "changes": ["mode"]}, "changes"),
    ],
)
def test_what_is_no_event_is_refused_by_name(data: dict[str, object], message: str) -> None:
    with pytest.raises(MalformedEvent) as caught:
        parse(data, "gpu")
    assert message in str(caught.value)


def test_no_control_character_of_a_host_comes_through() -> None:
    hostile = "\x1b[2J\x9b1m\x07\ra\x00 \udcff 好\tb\nc"
    plain = "\\x1b[2J\\x9b1m\\x07\\ra\\x00 \\udcff 好\tb\nc"
    line = parse({"event": "line", "service": "r1", "text": hostile}, "gpu")
    assert isinstance(line, events.Line)
    assert line.text == plain
    result = {"event": "result", "id": "x", "status": "failed", "seconds": 1.0, "log": [hostile]}
    failed = parse({**result, "changes": {hostile: [None, {"k": hostile}]}}, "gpu")
    assert isinstance(failed, events.Result)
    assert failed.log == [plain]
    assert failed.changes == {plain: (None, {"k": plain})}
