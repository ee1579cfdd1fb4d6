"""What a host tells is shown at the place of the field that decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.project.load import load
from provision.project.project import Selection
from provision.rollout import places
from provision.wire.events import Event, Note
from provision.wire.finding import Finding, fault

PLAYBOOK = """\
- hosts: all
  environments:
    vllm:
      packages:
        - vllm==0.33.0
        - torch
    flow: {packages: [vllm==0.33.0, "torch"], index_url: "https://mirror.example/simple"}
  services:
    web:
      kind: program
      command: [sleep, "9"]
      port: 8123
    short: {kind: program, command: [sleep, "9"], port: 8124}
"""
INVENTORY = "hosts: {box: {connection: local}}\n"


def place(folder: Path, id: str, finding: Finding) -> str | None:
    """Return the line and column that a finding of a host is shown at."""
    playbook, inventory = folder / "p.yml", folder / "hosts.yml"
    playbook.write_text(PLAYBOOK)
    inventory.write_text(INVENTORY)
    fleet = load(Selection((playbook,), (inventory,), "box")).fleet
    seen: list[Event] = []
    places.adding(fleet, seen.append)(Note(host="box", id=id, finding=finding))
    (note,) = seen
    assert isinstance(note, Note)
    where = note.finding.where
    return where.replace(f"{playbook}:", "") if where else None


@pytest.mark.parametrize(
    ("id", "field", "expected"),
    [
        ("process:web", "port", "12:13"),
        ("process:short", "port", "13:57"),
        ("process:web", "nothing", "9:5"),
        ("environment:vllm", "packages", "4:7"),
        ("environment:vllm", "packages/1", "6:11"),
        ("environment:vllm", "packages/7", "4:7"),
        ("environment:flow", "packages/1", "7:37"),
        ("environment:flow", "index_url", "7:58"),
        ("environment:flow", "extra_index_urls/0", "7:11"),
    ],
)
def test_a_field_is_found_in_the_playbook(tmp_path: Path, id: str, field: str, expected: str) -> None:
    assert place(tmp_path, id, fault("port-taken", "text").at(*field.split("/"))) == expected


def test_what_names_no_field_is_shown_where_the_resource_is(tmp_path: Path) -> None:
    assert place(tmp_path, "process:web", fault("port-taken", "text")) == "9:5"
    assert place(tmp_path, "process:gone", fault("port-taken", "text").at("port")) is None
