"""What the nodes of a service hold against each other, from real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.host.machine import Machine
from provision.host.services.nodes import same
from provision.wire.nodes import Meeting, Node
from tests.host import smi


def meeting(model: Path) -> Meeting:
    node = Node(names=["a", "b"], rank=0, state="")
    return Meeting(
        node=node, address=None, interface=None, ports=[], environment=None, models={"chat": str(model)}
    )


def test_the_driver_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi.install(tmp_path / "bin", smi.tool(gpus=smi.cards(1)))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    machine = Machine(lambda event: None, str(tmp_path / "state"))
    assert same.of(machine, meeting(tmp_path / "none")) == {"NVIDIA driver": "580.159.04"}


def test_a_model_that_differs_by_one_file_differs(tmp_path: Path) -> None:
    machine = Machine(lambda event: None, str(tmp_path / "state"))
    found = []
    for name, text in (("one", "{}"), ("other", "{ }")):
        model = tmp_path / name
        model.mkdir()
        (model / "config.json").write_text(text)
        (model / "tokenizer.json").write_text("{}")
        found.append(same.of(machine, meeting(model)))
    first, second = found
    assert [key for key in first if first[key] != second[key]] == ["config.json of model chat"]
