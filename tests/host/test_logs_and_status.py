"""What a script-supervised service prints and how it is."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provision.host.logs import logs
from provision.host.services import processes
from provision.host.state import owed
from provision.host.status import status
from provision.wire.requests import Logs
from tests.host.services import Service


def eventually(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.05)


def known(service: Service) -> dict[str, Any]:
    service.events.clear()
    assert status(service.machine, [service.facts]).ok
    return service.events[0]


def test_status_of_a_running_and_a_stopped_service(service: Service) -> None:
    service.converge(service.process())
    service.converge(service.probe())
    now = known(service)
    assert (now["state"], now["pid"], now["listening"], now["proven"]) == ("running", service.pid, True, True)
    assert now["owed"] is None
    owed.restart(service.machine.state, "tiny").need("file:/x")
    assert known(service)["owed"] == ["file:/x"]
    service.process()._stop(service.machine)
    now = known(service)
    assert (now["state"], now["pid"], now["uptime"], now["listening"]) == ("stopped", None, None, False)


def test_status_names_who_else_has_the_port(service: Service) -> None:
    with socket.create_server(("127.0.0.1", service.port)):
        now = known(service)
    assert not now["listening"]
    assert f"(pid {os.getpid()}, " in now["listener"]


def test_gpu_memory_of_the_whole_tree(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.script("--worker")
    service.converge(service.process())
    eventually(lambda: len(service.process()._members()) == 2)
    rows = "".join(f"{pid}, GPU-a, 100, x\\n" for pid in service.process()._members())
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\nprintf '{rows}1, GPU-a, 7, other\\n'\n")
    tool.chmod(0o755)
    assert known(service)["gpu_memory"] is None
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    service.machine.forget("gpus")
    assert known(service)["gpu_memory"] == 200 * 1024 * 1024


def test_listeners_on_other_addresses_do_not_matter() -> None:
    with socket.create_server(("127.0.0.2", 0)) as server:
        port = server.getsockname()[1]
        assert processes.listeners(port, "127.0.0.1") == []
        for host in ("127.0.0.2", "0.0.0.0", "::", None):
            assert [each.pid for each in processes.listeners(port, host)] == [os.getpid()]
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "localhost", "::1"):
            assert [each.pid for each in processes.listeners(port, host)] == [os.getpid()]


def test_the_last_lines(service: Service) -> None:
    service.converge(service.process())
    eventually(lambda: "startup complete" in service.log)
    for lines, texts in (
        (1, ["Application startup complete."]),
        (2, ["Loading weights", "Application startup complete."]),
        (0, []),
    ):
        service.events.clear()
        logs(service.machine, [service.facts], Logs(lines=lines))
        assert [each["text"] for each in service.said("line")] == texts


def test_a_service_that_has_printed_nothing_says_so(service: Service) -> None:
    facts = service.facts.replace(log="/nowhere")
    logs(service.machine, [facts], Logs(lines=100))
    (note,) = service.events
    assert note["text"] == "tiny has printed nothing"


def test_following_a_log_through_its_rotation(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    facts = service.facts.replace(log=str(path))

    def said() -> list[str]:
        return [each["text"] for each in service.said("line")]

    thread = threading.Thread(target=logs, args=(service.machine, [facts], Logs(lines=2, follow=True)))
    path.write_text("old\nlast\nhal")
    thread.start()
    try:
        eventually(lambda: said() == ["last"])
        with path.open("a") as file:
            file.write("f\n")
        eventually(lambda: said()[1:] == ["half"])
        path.rename(tmp_path / "x.log.1")
        path.write_text("new life\n")
        eventually(lambda: said()[2:] == ["new life"])
        path.write_text("cut\n")
        eventually(lambda: said()[3:] == ["cut"])
    finally:
        service.machine.cancel()
        thread.join()
