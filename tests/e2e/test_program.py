"""Programs as services of a real host, under systemd and by a script: made, proven, restarted, removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import REPOSITORY, Answer, Provision
from tests.e2e.editable import Editable
from tests.host.services import SERVER
from tests.lab import Lab, LabHost

pytestmark = pytest.mark.lab

KEY = 'sk "one" $HOME'

PLAYBOOK = f"""\
- hosts: box
  packages: [python3-venv]
  environments: {{app: {{}}}}
  models: {{tiny: {{path: /srv/model}}}}
  directories: {{/srv/web: null}}
  files: {{/srv/web/server.py: {{source: {SERVER}}}}}
  services:
    web: &web
      kind: program
      environment: app
      command: [python, server.py, 8131, --model, tiny, --reply, "It's 5 > 4, {{user}}", --fail, ""]
      models: [tiny]
      working_directory: /srv/web
      port: 8131
      served_model_name: tiny
      env: {{VLLM_API_KEY: {{env: SITE_KEY}}}}
      api_key_env: VLLM_API_KEY
      checks: [{{http: /health}}, {{chat: hello, expect: "It's 5 > 4, hello"}}]
    second:
      <<: *web
      supervisor: script
      command: [python, server.py, 8132, --model, tiny, --reply, "It's 5 > 4, {{user}}"]
      port: 8132
    listener:
      kind: program
      command: "/usr/bin/python3 -m http.server --bind 127.0.0.1 8133"
      host: 127.0.0.1
      port: 8133
    waiter: {{kind: program, command: [tail, -f, {{model: tiny, file: config.json}}]}}
"""


class Site(Editable):
    """A project, its host, and the command line in the project's directory."""

    def __init__(self, folder: Path, lab: Lab, host: LabHost) -> None:
        self.host = host
        env = {"SITE_KEY": KEY, "PYTHONPATH": str(REPOSITORY)}
        self.provision = Provision(["-i", str(lab.inventory), "--limit", host.name], env, folder)
        (folder / "playbooks").mkdir()
        self.playbook = folder / "playbooks/main.yml"
        self.playbook.write_text(PLAYBOOK.replace("hosts: box", f"hosts: {host.name}"))
        self.sh("mkdir -p /srv/model && echo '{}' > /srv/model/config.json")

    def pid(self, service: str) -> str:
        if service == "second":
            return self.sh("head -n 1 /opt/provision/run/second.pid")
        return self.sh(f"systemctl show -p MainPID --value provision-{service}")

    def run(self, verb: str, *args: str | Path, **how: Any) -> Answer:
        return self.provision.run(verb, *args, **how)


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    host = lab.add("box")[0]
    yield Site(tmp_path_factory.mktemp("site"), lab, host)
    lab.remove("box")


def test_from_nothing_to_answers(site: Site) -> None:
    answer = site.provision.apply(site.playbook)
    proofs = [(proof["service"], proof["check"]) for proof in answer.event("proof") if proof["ok"]]
    assert sorted(proofs) == [
        ("listener", "port"),
        ("second", "chat"),
        ("second", "http /health"),
        ("waiter", "running"),
        ("web", "chat"),
        ("web", "http /health"),
    ]
    assert KEY not in answer.out
    for service in ("web", "second"):
        pid = site.pid(service)
        program = site.sh(f"tr '\\0' ' ' < /proc/{pid}/cmdline")
        assert program.startswith("python server.py 813")
        path = site.sh(f"tr '\\0' '\\n' < /proc/{pid}/environ | grep ^PATH=")
        assert path.startswith("PATH=/opt/provision/environments/app-")
        assert site.sh(f"readlink /proc/{pid}/cwd") == "/srv/web"


def test_again_nothing_changes(site: Site) -> None:
    site.provision.plan(site.playbook, code=0)
    answer = site.provision.apply(site.playbook)
    assert answer.done(site.host.name)["counts"]["changed"] == 0
    assert answer.event("proof") == []


def test_a_file_below_its_working_directory_restarts_it_and_no_other(site: Site) -> None:
    before = {service: site.pid(service) for service in ("web", "second", "listener", "waiter")}
    site.sh("echo '# changed by hand' >> /srv/web/server.py")
    site.provision.apply(site.playbook)
    after = {service: site.pid(service) for service in before}
    assert [service for service in before if before[service] != after[service]] == ["web", "second"]
    site.provision.plan(site.playbook, code=0)


def test_what_runs_and_what_it_says(site: Site) -> None:
    answer = site.run("status", site.playbook, json=True)
    found = {event["service"]: event for event in answer.event("service")}
    told = {
        name: (event["state"], event["listening"], event["port"], event["model"])
        for name, event in found.items()
    }
    assert told == {
        "web": ("running", True, 8131, "tiny"),
        "second": ("running", True, 8132, "tiny"),
        "listener": ("running", True, 8133, None),
        "waiter": ("running", False, None, None),
    }
    assert "waiter" in site.run("status", site.playbook).out
    assert "Loading weights" in site.run("logs", "web", site.playbook).out
    assert site.run("verify", site.playbook).code == 0


def test_a_death_is_seen_and_mended(site: Site) -> None:
    pid = site.pid("second")
    site.sh(f"kill -KILL {pid}; while kill -0 {pid} 2>/dev/null; do sleep 0.1; done")
    assert "process:second" in site.provision.plan(site.playbook, code=2).changes()
    site.provision.apply(site.playbook)
    site.provision.plan(site.playbook, code=0)


def test_a_program_that_is_not_there(site: Site) -> None:
    site.edit("command: [tail,", "command: [taill,")
    answer = site.run("apply", site.playbook, "--yes")
    assert answer.code == 1
    assert "taill is missing on the host" in answer.out
    site.edit("command: [taill,", "command: [tail,")
    site.provision.apply(site.playbook)


FOLLOWING = """\
- hosts: box
  files:
    /etc/systemd/system/agent.service: {content: "[Service]\\nExecStart=/bin/sleep 1001\\n"}
    /etc/agent.conf: {content: one}
    /etc/old.conf: {absent: true}
  commands:
    agent:
      run: test -e /srv/ready && echo "with $TOKEN" && systemctl restart agent
      when_changed: [/etc/systemd/system/agent.service, /etc/agent.conf]
      env: {TOKEN: {env: SITE_KEY}}
"""


def test_what_follows_a_change(site: Site) -> None:
    playbook = site.playbook.parent / "following.yml"
    playbook.write_text(FOLLOWING.replace("hosts: box", f"hosts: {site.host.name}"))
    site.sh("echo old > /etc/old.conf")
    plan = site.run("plan", playbook).out
    assert "- /etc/old.conf" in plan
    assert "command agent: runs because of /etc/systemd/system/agent.service, /etc/agent.conf" in plan
    assert site.run("apply", playbook, "--yes").code == 1  # it is owed from here on
    site.sh("touch /srv/ready")
    plan = site.provision.plan(playbook, code=2)
    assert set(plan.changes()) == {"command:agent"}
    answer = site.run("apply", playbook, "--yes")
    assert "with ***" in answer.out or "with" not in answer.out
    assert KEY not in answer.out
    assert (
        site.sh(
            "systemctl show -p ExecStart agent | grep -c 'sleep 1001'; test -e /etc/old.conf || echo gone"
        )
        == "1\ngone"
    )
    site.provision.plan(playbook, code=0)
    pid = site.sh("systemctl show -p MainPID --value agent")
    playbook.write_text(playbook.read_text().replace("1001", "1002"))
    site.provision.apply(playbook)  # systemd reads the unit before the command uses it
    assert "1002" in site.sh("tr '\\0' ' ' < /proc/$(systemctl show -p MainPID --value agent)/cmdline")
    assert site.sh("systemctl show -p MainPID --value agent") != pid
    assert site.sh("grep -rlF 'sk \"one' /opt/provision/state || echo nowhere") == "nowhere"
    site.sh("systemctl stop agent")
    assert site.run("remove", playbook, "--yes").code == 0


def test_nothing_is_left_after_removal(site: Site) -> None:
    assert site.run("remove", site.playbook, "--yes").code == 0
    assert site.sh("systemctl list-units --all --plain --no-legend 'provision-*'") == ""
    assert site.sh("ss -Hltn 'sport >= 8131 and sport <= 8133'") == ""
    assert site.sh("pgrep -u provision || true") == ""
