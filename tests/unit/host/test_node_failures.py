"""A node that ended because of another says so, whatever its own program has said of its connections."""

from __future__ import annotations

import pytest

from provision.host.services.failures.patterns import explain
from provision.host.services.failures.root_cause import first_failure


@pytest.mark.parametrize(
    ("said", "code", "named"),
    [
        ("ends: the program of g2 (rank 1) has ended (exit 0)", "node-missing", "g2 (rank 1)"),
        ("ends: the line to g1 (rank 0) has ended: nothing heard for 10 s", "node-missing", "g1 (rank 0)"),
        ("ends: there is no interface eth9 with an address here", "unreachable-node", "eth9"),
        ("ends: g1 does not answer: Connection refused", "unreachable-node", "g1 does not answer"),
        ("ends: g1 does not count this node as alive any more", "unreachable-node", "g1 does not count"),
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


@pytest.mark.parametrize(
    ("line", "code", "named"),
    [
        (
            "raylet.out: [2026-11-27 22:28:28,571 C 8091 8091] (raylet) grpc_server.cc:134:  Check "
            "failed: server_ Failed to start the grpc server. The specified port is 16501. If "
            "the server startup error message is `Address already in use`, it is used by others",
            "port-taken",
            "port 16501",
        ),
        (
            "RuntimeError: Could not read 'temp_dir' from GCS. Did GCS start successfully?",
            "nodes-differ",
            "another Ray or Python",
        ),
        (
            "AssertionError: Session name session_1 does not match persisted value b'session_2'.",
            "unreachable-node",
            "another Ray answers",
        ),
        (
            "ValueError: Cannot provide a placement group requiring 16 GPUs within 1800 seconds.",
            "gpu-count",
            "16 free GPUs",
        ),
    ],
)
def test_what_ray_prints_is_explained(line: str, code: str, named: str) -> None:
    found = explain(["provision: cluster: is the head at 10.0.0.1", line])
    assert found is not None
    assert found.code == code
    assert named in str(found.hint)


def test_the_lines_of_two_workers_of_ray_are_told_apart() -> None:
    one, other = "(RayWorkerProc pid=2770) ", "(RayWorkerProc pid=2608, ip=10.0.0.2) "
    log = [
        one + "INFO 11-27 22:46:17 [worker.py:1] loading",
        other + "Traceback (most recent call last):",
        one + "INFO 11-27 22:46:18 [worker.py:2] loaded",
        other + "OSError: [Errno 28] No space left on device",
        "provision: chat: the program of g1 (rank 0) has ended (exit 0)",
    ]
    assert first_failure(log) == ["OSError: [Errno 28] No space left on device"]


def test_the_error_of_a_worker_is_found_in_what_ray_repeats_of_it() -> None:
    engine = "(EngineCore pid=2706) ERROR 11-27 22:48:34 [core.py:1510] "
    log = [
        engine + "Traceback (most recent call last):",
        engine + '  File "/e/lib/python3.11/site-packages/ray/_private/worker.py", line 1053, in get_objects',
        engine + "    raise value.as_instanceof_cause()",
        engine
        + "ray.exceptions.RayTaskError(RuntimeError): ray::RayWorkerProc.initialize_worker() (pid=2608)",
        engine + "           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
        engine + '  File "/e/lib/python3.11/site-packages/torch/_ops.py", line 1279, in __call__',
        engine + "    return self._op(*args, **kwargs)",
        engine + "RuntimeError: open shm in SHMManager failed. errno: 2",
    ]
    assert first_failure(log) == ["RuntimeError: open shm in SHMManager failed. errno: 2"]
