"""What a firewall between nodes would do wrong, before it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.host.machine import Machine
from provision.host.services.nodes import reaching
from provision.wire.nodes import Closed, Meeting, Node, Peer


def found(tmp_path: Path) -> list[str]:
    closed = Closed(let_in=["10.0.0.1", "10.0.0.2"], first=32768, last=60999, spared=[22])
    meeting = Meeting(
        node=Node(names=["a", "b"], rank=0, state="s"),
        address=None,
        interface=None,
        ports=[],
        environment=None,
        models={},
        closed=closed,
    )
    peers = [Peer(host="b", address="10.0.0.3", ports=[])]
    machine = Machine(lambda event: None, str(tmp_path))
    return [each.message for each in reaching.shut_out(machine, "a", meeting, peers)]


def test_a_firewall_needs_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaching, "NFT", str(tmp_path / "nft"))
    assert f"the firewall of a needs {tmp_path}/nft, which is not there" in found(tmp_path)
    (tmp_path / "nft").touch(0o755)
    assert found(tmp_path) == ["the firewall of a would not let in b, which is 10.0.0.3"]
