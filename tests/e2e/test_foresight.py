"""Before services start: the host tells, the controller judges, and the host goes on or changes nothing.

Hosts, ssh, systemd and processes are real. Only what nvidia-smi says is made up, as there is no GPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import standin
from tests.e2e.command import REPOSITORY, Provision
from tests.host.smi import cards, install, tool, uuid
from tests.lab import Lab, LabHost

pytestmark = pytest.mark.lab

BROKEN = "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 570.124"

PLAYBOOK = """\
- hosts: {host}
  files: {{/srv/a: {{content: "{content}"}}}}
  services:
    s:
      kind: program
      command: [python3, -m, http.server, "8400"]
      port: 8400
      gpus: [0]
      checks: [{{http: /}}]
"""

CONTROLLER = """\
import sys, time
from pathlib import Path
from provision.project.load import load
from provision.project.project import Selection
from provision.rollout.rollout import Reach, Rollout
from provision.wire.rollout import Outlook
from provision.wire.requests import Apply

playbook, inventory, host, seconds = sys.argv[1:]

def slowly(host, surveyed, differing):
    print("surveyed", flush=True)
    time.sleep(float(seconds))
    return Outlook(host=host, loads=[], forecasts=[])

class Nobody:
    def take(self, event): pass
    def close(self): pass

project = load(Selection((Path(playbook),), (Path(inventory),), host))
no = dict.fromkeys(["partial", "deep", "prune", "verify", "rollback"], False)
asked = Apply(playbooks=project.playbook_names, **no)
sys.exit(Rollout(project, Reach(), slowly).run(asked, Nobody()).exit_code)
"""
"""A controller that takes its time to judge."""


class Site:
    """A host, and a playbook for it with a file and a service that uses GPU 0."""

    def __init__(self, lab: Lab, host: LabHost, folder: Path) -> None:
        self.lab = lab
        self.host = host
        self.provision = Provision(["-i", str(lab.inventory), "--limit", host.name], cwd=folder)
        self.provision.env["PYTHONPATH"] = str(REPOSITORY)
        self.playbook = folder / "p.yml"
        self.declare("1")

    def declare(self, content: str) -> None:
        """Declare the file with this content."""
        self.playbook.write_text(PLAYBOOK.format(host=self.host.name, content=content))

    def driver(self, text: str) -> None:
        """Put a stand-in for nvidia-smi on the host, which also notes that it was called."""
        noted = text.replace("#!/bin/sh\n", '#!/bin/sh\necho "$*" >> /var/tmp/asked\n')
        install(self.host.root / "usr/local/bin", noted)
        self.sh("rm -f /var/tmp/asked")

    def sh(self, script: str) -> str:
        return self.host.exec(["sh", "-c", script]).stdout.strip()

    def untouched(self) -> bool:
        """Whether nothing of the playbook is on the host, and nothing of our own."""
        return (
            self.sh("ls -d /srv/a /opt/provision /etc/systemd/system/provision-s.service 2>/dev/null | wc -l")
            == "0"
        )

    def controller(self, seconds: float) -> subprocess.Popen[str]:
        """Start a controller that judges so slowly, and return it once the host waits."""
        arguments = [str(self.playbook), str(self.lab.inventory), self.host.name, str(seconds)]
        started = subprocess.Popen(
            [sys.executable, "-c", CONTROLLER, *arguments],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert started.stdout
        assert started.stdout.readline() == "surveyed\n"
        return started


@pytest.fixture
def site(lab: Lab, boot_host: Callable[..., LabHost], tmp_path: Path) -> Site:
    return Site(lab, boot_host(), tmp_path)


def until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_what_is_foreseen_stops_a_plan_and_an_apply_unless_it_is_ignored(site: Site, tmp_path: Path) -> None:
    name = site.host.name
    site.driver(tool(BROKEN, BROKEN, BROKEN, code=18))
    plan = site.provision.run("plan", site.playbook, "--out", str(tmp_path / "saved"), json=True)
    assert plan.code == 1
    (surveyed,) = plan.event("surveyed")
    assert (surveyed["starting"], surveyed["gpus"], surveyed["waits"]) == (["s"], [], False)
    (outlook,) = plan.event("outlook")
    assert [(each["code"], each["severity"]) for each in outlook["findings"]] == [("driver-failing", "error")]
    assert "saved is not written: an error is foreseen" in plan.err
    assert not (tmp_path / "saved").exists()

    apply = site.provision.run("apply", site.playbook, "--yes", json=True)
    assert apply.code == 1
    assert apply.event("surveyed")[0]["waits"]
    assert [error["code"] for error in apply.event("error")] == ["foreseen-failure"]
    assert not apply.done(name)["ok"]
    assert apply.done(name)["executions"] == 1
    assert not apply.event("started")
    assert site.untouched()

    saved = ["--ignore", "driver-failing", "--out", str(tmp_path / "saved")]
    plan = site.provision.run("plan", site.playbook, *saved, json=True)
    assert plan.code == 0
    assert plan.event("outlook")[0]["findings"][0]["severity"] == "warning"
    # A saved plan names itself what is ignored, and what to work on.
    options, site.provision.options = site.provision.options, []
    done = site.provision.apply(tmp_path / "saved")
    site.provision.options = options
    assert done.done(name)["ok"]
    (line,) = site.sh("cat /opt/provision/state/overrides.jsonl").splitlines()
    noted = json.loads(line)
    assert [each["code"] for each in noted["ignored"]] == ["driver-failing"]
    assert noted["who"].partition("@")[2]
    assert site.sh("stat -c %a /opt/provision/state/overrides.jsonl") == "600"


def test_nothing_is_asked_where_nothing_starts(site: Site) -> None:
    site.driver(tool(cards(1)))
    first = site.provision.apply(site.playbook)
    assert first.event("surveyed")[0]["gpus"][0]["uuid"] == uuid(0)
    assert first.done(site.host.name)["executions"] == 1
    assert "query-gpu" in site.sh("cat /var/tmp/asked")
    site.sh("rm -f /var/tmp/asked")
    assert not site.provision.apply(site.playbook).event("surveyed")
    assert not site.provision.plan(site.playbook, code=0).event("surveyed")
    site.declare("2")  # nothing that the service reads
    assert not site.provision.apply(site.playbook).event("surveyed")
    assert site.sh("cat /var/tmp/asked 2>/dev/null || true") == ""


def test_a_slow_answer_is_waited_for(site: Site) -> None:
    site.driver(tool(cards(1)))
    with site.controller(8) as controller:
        assert site.untouched()
        assert controller.wait(timeout=300) == 0
    assert site.sh("cat /srv/a") == "1"


def test_a_controller_that_is_killed_leaves_the_host_as_it_was(site: Site) -> None:
    site.driver(tool(cards(1)))
    with site.controller(600) as controller:
        assert site.untouched()
        running = "pgrep -f '[s]ys.stdin.buffer' >/dev/null && echo yes || echo no"
        assert site.sh(running) == "yes"
        controller.kill()
    until(lambda: site.sh(running) == "no")
    assert site.untouched()
    assert site.provision.apply(site.playbook).done(site.host.name)["ok"]  # nobody holds the lock


WORKER = "setsid bash -c 'exec -a VLLM::Worker_TP0 sleep 3600' >/dev/null 2>&1 & echo $!"

FAMILY = """\
setsid python3 -c '
import subprocess, time
child = subprocess.Popen(["VLLM::EngineCore", "3600"], executable="/usr/bin/sleep")
print(child.pid, flush=True)
time.sleep(3600)
' > /var/tmp/family 2>&1 &
until [ -s /var/tmp/family ]; do sleep 0.1; done; cat /var/tmp/family
"""
"""A worker whose server lives."""


def test_a_worker_of_an_ended_server_is_told_and_ended_when_asked(site: Site) -> None:
    left, living = site.sh(WORKER), site.sh(FAMILY)
    foreign = site.sh("setsid python3 -c 'import time; time.sleep(3600)' --token x >/dev/null 2>&1 & echo $!")
    apps = "\n".join(
        [
            f"{left}, {uuid(0)}, 129884, VLLM::Worker_TP0",
            f"{living}, {uuid(0)}, 500, VLLM::EngineCore",
            f"{foreign}, {uuid(0)}, [N/A], python3",
            f"999999, {uuid(0)}, 10, VLLM::Worker_TP1",
        ]
    )
    site.driver(tool(cards(1), apps))
    plan = site.provision.run("plan", site.playbook, json=True)
    holders = {each["pid"]: each for each in plan.event("surveyed")[0]["holders"]}
    assert [pid for pid, each in holders.items() if each["left_over"]] == [int(left)]
    assert holders[int(foreign)]["command"] == "python3"
    assert holders[int(foreign)]["bytes"] is None
    assert not any(each["ends"] for each in holders.values())

    apply = site.provision.run("apply", site.playbook, "--yes", "--end-left-over", json=True)
    assert [each["pid"] for each in apply.event("surveyed")[0]["holders"] if each["ends"]] == [int(left)]
    (note,) = apply.event("note", code="left-over-ended")
    assert f"VLLM::Worker_TP0 (pid {left})" in note["text"]
    assert site.sh(f"kill -0 {living} && kill -0 {foreign} && echo both") == "both"
    assert site.sh(f"kill -0 {left} 2>/dev/null || echo gone") == "gone"
    site.sh(f"kill {foreign} {living}")


SERVED = """\
- hosts: {host}
  packages: [python3-venv]
  environments:
    vllm: {{packages: ["vllm==0.33.0"], index_url: file:///srv/index, installer: pip}}
  models: {{m: {{path: /srv/model}}}}
  services:
    served: {{kind: vllm, environment: vllm, model: m, gpus: [0], port: 8401, max_model_len: {length}}}
"""

SMALL = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 896,
    "intermediate_size": 4864,
    "max_position_embeddings": 32768,
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "vocab_size": 151936,
}


def test_a_running_server_is_left_alone_when_its_new_length_cannot_work(site: Site) -> None:
    """The whole way: what the host reads of the model, of the environment and of the GPU is judged."""
    standin.install(site.host.root)
    (site.host.root / "srv/model/config.json").write_text(json.dumps(SMALL))
    site.driver(tool(cards(1)))
    site.playbook.write_text(SERVED.format(host=site.host.name, length=4096))
    first = site.provision.apply(site.playbook)
    (surveyed,) = first.event("surveyed")
    assert surveyed["engines"] == [{"service": "served", "package": "vllm", "version": "0.33.0"}]
    assert [(each["path"], each["config"]) for each in surveyed["models"]] == [("/srv/model", SMALL)]
    (foreseen,) = first.event("outlook")[0]["forecasts"]
    assert (foreseen["service"], foreseen["verdict"]) == ("served", "fits")
    pid = site.sh("systemctl show -p MainPID --value provision-served")

    site.playbook.write_text(SERVED.format(host=site.host.name, length=999_999))
    apply = site.provision.run("apply", site.playbook, "--yes", json=True)
    assert apply.code == 1
    assert apply.event("surveyed")[0]["serving"] == ["served"]
    errors = [each for each in apply.event("outlook")[0]["findings"] if each["severity"] == "error"]
    assert [each["code"] for each in errors] == ["context-length"]
    assert errors[0]["where"].startswith(str(site.playbook))
    assert not apply.event("started")
    assert site.sh("systemctl show -p MainPID --value provision-served") == pid

    site.playbook.write_text(SERVED.format(host=site.host.name, length=8192))
    assert site.provision.apply(site.playbook).done(site.host.name)["ok"]
    assert site.sh("systemctl show -p MainPID --value provision-served") != pid


ERRORS = cards(2).replace("143771, 0, 143156", "ERR!, ERR!, ERR!")

DIVIDED = cards(1).replace("Disabled", "Enabled")

PART = f"""\
GPU 0: NVIDIA H200 (UUID: {uuid(0)})
  MIG 1g.18gb     Device  0: (UUID: MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d)"""

DENIED = "Failed to initialize NVML: Insufficient Permissions"

STATES = (
    (
        "no GPU",
        tool("No devices were found", "No devices were found", code=6),
        "driver-failing",
        "finds no GPU",
    ),
    (
        "permission denied",
        tool(DENIED, DENIED, DENIED, code=4),
        "driver-failing",
        "does not answer this user",
    ),
    ("MIG without a part", tool(DIVIDED), "gpu-divided", "has no instance"),
    ("MIG", tool(DIVIDED, listing=PART), "gpu-divided", "it is divided (MIG) into 1"),
    ("ERR!", tool(ERRORS), "gpu-trouble", "the driver says ERR!"),
    ("8 cards", tool(cards(8)), None, ""),
)


def test_every_state_of_a_driver_is_told_by_a_plan(site: Site) -> None:
    for name, text, code, said in STATES:
        site.driver(text)
        plan = site.provision.run("plan", site.playbook, json=True)
        found = [each for each in plan.event("outlook")[0]["findings"] if each["code"] == code]
        assert (name, len(found)) == (name, 1 if code else 0)
        assert all(said in each["message"] for each in found), name
    assert len(plan.event("surveyed")[0]["gpus"]) == 8
    # All findings come with the host and the place, in each format.
    site.declare("1")
    site.playbook.write_text(site.playbook.read_text().replace("gpus: [0]", "gpus: [0, 9]"))
    site.driver(tool(ERRORS))
    shown = site.provision.run(
        "apply", "--yes", site.playbook, "--junit", str(site.playbook.parent / "report.xml")
    )
    lines = [line for line in shown.out.splitlines() if "[gpu-" in line]
    assert len(lines) == 2
    for line in lines:
        assert line.startswith(f"{site.host.name}  ")
        assert f" {site.playbook}:8:" in line
    (outlook,) = site.provision.run("apply", "--yes", site.playbook, json=True).event("outlook")
    assert outlook["host"] == site.host.name
    assert len([each for each in outlook["findings"] if each["where"].startswith(f"{site.playbook}:8:")]) == 2
    report = (site.playbook.parent / "report.xml").read_text()
    assert report.count(f"{site.playbook}:8:") >= 1
