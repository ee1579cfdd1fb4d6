"""A node that ended because of another says so, whatever its own program has said of its connections."""

from __future__ import annotations

import pytest

from provision.host.services.failures.patterns import explain


@pytest.mark.parametrize(
    ("said", "code", "named"),
    [
        ("ends: the program of g2 (rank 1) has ended (exit 0)", "node-missing", "g2 (rank 1)"),
        ("ends: the line to g1 (rank 0) has ended: nothing heard for 10 s", "node-missing", "g1 (rank 0)"),
        ("ends: there is no interface eth9 with an address here", "unreachable-node", "eth9"),
    ],
)
def test_the_other_node_is_named(said: str, code: str, named: str) -> None:
    log = ["RuntimeError: [gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.1]:33221"]
    found = explain([*log, f"provision: chat: {said}"])
    assert found is not None
    assert found.code == code
    assert named in str(found.hint)


def test_its_own_failure_is_its_own() -> None:
    log = [
        "torch.OutOfMemoryError: CUDA out of memory.",
        "provision: chat: the program of g1 (rank 0) has ended",
    ]
    found = explain(log)
    assert found is not None
    assert found.code == "gpu-memory"
