"""A service started, proven, shown and stopped by each Python that a host may have."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from pathlib import Path

import pytest

from provision.host.services import processes
from provision.wire.checks import Chat
from tests.host import archived
from tests.host.archived import PYTHONS
from tests.host.services import Service

PROGRAM = textwrap.dedent(
    """
    import json, sys
    from provision.host.machine import Machine
    from provision.host.resources.probe import Probe
    from provision.host.resources.process import Process
    from provision.host.status import status
    from provision.wire.requests import Service
    from provision.wire.specs.probe import ProbeSpec
    from provision.wire.specs.process import ProcessSpec

    order = json.load(sys.stdin)
    events = []
    machine = Machine(lambda event: events.append(event.plain()), order["state"])
    process = Process("process:tiny", ProcessSpec.parse(order["process"]))
    probe = Probe("probe:tiny", ProbeSpec.parse(order["probe"]))
    process.fix(machine, {"running": (False, True)})
    probe.fix(machine, {"proven": (False, True)})
    assert process.actual(machine) == process.expected(machine)
    assert probe.actual(machine) == probe.expected(machine)
    assert probe.prove(machine)
    status(machine, [Service.parse(order["service"])])
    assert process.remove(machine)
    print(json.dumps(events))
    """
)


@pytest.mark.skipif(not PYTHONS, reason="no other Pythons here")
@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: path.parent.parent.name)
def test_from_start_to_removal(tmp_path: Path, python: Path) -> None:
    service = Service(tmp_path)
    service.script("--load 0.5 --reply '{user}!'", python=str(python))
    order = {
        "state": service.machine.state,
        "process": service.spec.plain(),
        "probe": service.probe(Chat(user="你好", expect="你好!")).spec.plain(),
        "service": service.facts.plain(),
    }
    try:
        done = subprocess.run(
            [str(python), *archived.arguments(python, tmp_path, PROGRAM)],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
            timeout=300,
        )
    finally:
        left = service.process()._members()
        service.process().remove(service.machine)
    assert done.returncode == 0, done.stderr
    events = json.loads(done.stdout)
    assert [each["ok"] for each in events if each["event"] == "proof"] == [True, True]
    (now,) = [each for each in events if each["event"] == "service"]
    assert (now["state"], now["listening"], now["proven"]) == ("running", True, True)
    assert left == {}
    assert processes.process(now["pid"]) is None
