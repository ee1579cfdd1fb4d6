"""The main job: a host with nothing but sshd and python3, the real vLLM, the real modelscope, a real chat."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from provision.engines.vllm import releases
from provision.kinds.vllm.extra_args import check
from tests.e2e.command import REPOSITORY, Provision
from tests.lab import Lab, LabHost
from tests.lab.hub import Hub

pytestmark = [pytest.mark.lab, pytest.mark.slow]

KEY = 'sk-"xq7walk" $HOME `id` \\ end'
PLAYBOOK = REPOSITORY / "tests/lab/playbooks/vllm.yml"
PREFIX = "/opt/provision"
MODEL = f"{PREFIX}/models/deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
UNIT = "/etc/systemd/system/provision-r1-1.5b.service"
SCRIPT = f"{PREFIX}/services/r1-1.5b/start.sh"
PARSER = f"{PREFIX}/environments/vllm/lib/python3.11/site-packages/vllm/entrypoints/launchers/cli_args.py"
ENV_FILE = f"{PREFIX}/services/r1-1.5b/env"


class Box:
    """The host, the command line that provisions it, and the playbook that may be edited."""

    def __init__(self, host: LabHost, provision: Provision, playbook: Path) -> None:
        self.host = host
        self.provision = provision
        self.playbook = playbook
        self.first = provision.apply(playbook)

    def plan(self, code: int | None = None) -> Any:
        return self.provision.plan(self.playbook, code=code)

    def apply(self) -> Any:
        return self.provision.apply(self.playbook)

    def sh(self, script: str) -> str:
        return self.host.exec(["sh", "-c", script]).stdout

    @property
    def pid(self) -> str:
        return self.sh("systemctl show -p MainPID --value provision-r1-1.5b").strip()

    def chat(self, key: str | None = KEY) -> dict[str, Any]:
        """Ask the model from here, over the network, as a client would."""
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        messages = [{"role": "system", "content": "You are helpful."}, {"role": "user", "content": "hello"}]
        body = {"model": "r1-1.5b", "messages": messages, "max_tokens": 32}
        url = f"http://{self.host.address}:8002/v1/chat/completions"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=180) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@pytest.fixture(scope="module")
def box(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    from tests.lab.models import hub_root

    host = lab.add("vllm")[0]
    playbook = tmp_path_factory.mktemp("walk") / "vllm.yml"
    playbook.write_text(PLAYBOOK.read_text())
    with Hub(hub_root(), address=lab.network.gateway) as hub:
        options = ["-i", str(lab.inventory), "-e", f"hub={hub.url}", "--limit", "vllm"]
        yield Box(host, Provision(options, {"R1_API_KEY": KEY}), playbook)
    lab.remove("vllm")


def test_the_first_apply_ends_with_an_answer(box: Box) -> None:
    (proof,) = box.first.event("proof")
    assert proof["ok"]
    assert proof["sent"] == "你好"
    assert "provision" in proof["received"]
    assert box.first.done("vllm")["counts"]["failed"] == 0
    assert "provision" in box.chat()["choices"][0]["message"]["content"]


def test_a_second_apply_changes_nothing_in_one_round_trip(box: Box) -> None:
    pid = box.pid
    done = box.apply().done("vllm")
    assert done["counts"]["changed"] == 0
    assert done["executions"] == 1
    assert box.pid == pid
    assert box.plan(code=0).done("vllm")["executions"] == 1


def test_the_key_is_asked_for_and_is_nowhere_but_in_its_file(box: Box) -> None:
    for key in (None, "sk-wrong"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            box.chat(key)
    assert box.sh(f"stat -c '%a %U' {ENV_FILE}").split() == ["600", "root"]
    places = f"{PREFIX}/services {PREFIX}/state /etc/systemd /var/log"
    assert box.sh(f"grep -rl xq7walk {places} || true").split() == [ENV_FILE]
    assert "xq7walk" not in "".join(box.provision.log)


def test_the_journal_is_read_by_logs(box: Box) -> None:
    answer = box.provision.run("logs", "r1-1.5b", box.playbook, "-n", "400")
    assert answer.code == 0
    assert "Application startup complete" in answer.out


def test_status_tells_what_runs(box: Box) -> None:
    (service,) = box.provision.run("status", box.playbook, json=True).event("service")
    assert service["state"] == "running"
    assert str(service["pid"]) == box.pid
    assert service["listening"] is True
    learned = service["figures"]
    assert learned["tokens"] == learned["length"] * learned["sequences"] > 0
    assert f"{learned['tokens']:,} tokens" in box.provision.run("status", box.playbook).out


def test_one_changed_field_is_one_flag_and_one_restart(box: Box) -> None:
    pid = box.pid
    text = box.playbook.read_text()
    box.playbook.write_text(text.replace("max_num_seqs: 4", "max_num_seqs: 8"))

    text_plan = box.provision.run("plan", box.playbook)
    assert "--max-num-seqs 4 → 8" in text_plan.out
    assert "last time" in text_plan.out  # how long its start took
    plan = box.plan(code=2)
    assert set(plan.changes()) == {f"file:{SCRIPT}", "unit:r1-1.5b", "probe:r1-1.5b"}
    assert [event["service"] for event in plan.event("restart")] == ["r1-1.5b"]

    applied = box.apply()
    assert applied.done("vllm")["counts"]["changed"] == 3
    assert "asking whether r1-1.5b would start" in applied.out
    assert "not tried out" not in applied.out
    assert box.pid != pid
    assert "--max-num-seqs 8" in box.sh(f"tr '\\0' ' ' < /proc/{box.pid}/cmdline")
    assert box.plan(code=0).changes() == {}


def test_a_changed_comment_is_no_change(box: Box) -> None:
    box.playbook.write_text(
        "# another comment\n" + box.playbook.read_text().replace("port: 8002", "port: 8002 # !")
    )
    assert box.plan(code=0).changes() == {}


def test_what_need_not_restart_is_mended_while_serving(box: Box) -> None:
    pid = box.pid
    box.sh(f"chmod 644 {ENV_FILE}; apt-get remove -qq -y gcc >/dev/null 2>&1")
    assert set(box.plan(code=2).changes()) == {f"file:{ENV_FILE}", "apt"}
    box.apply()
    assert box.pid == pid
    assert box.plan(code=0).changes() == {}
    assert box.sh(f"stat -c %a {ENV_FILE}").strip() == "600"


VALUES = ["", "1", "1.5", "1k", "2M", "1.5K", "auto", "None", "many", "a=1", "{}", "[]", '{"a": 1}', "{a: 1}"]


def test_the_catalogue_of_flags_is_that_of_the_real_parser(box: Box) -> None:
    version = Version("0.32.0")
    script = REPOSITORY / "tests/flags/real.py"
    argv = ["env", "HF_HUB_OFFLINE=1", f"{PREFIX}/environments/vllm/bin/python", "-c", script.read_text()]
    told = box.host.exec(argv, input=json.dumps(VALUES)).stdout
    real = json.loads(told.splitlines()[-1])
    assert set(real) == releases.known(version) - {"--config"}
    for flag, found in real.items():
        form = releases.form(flag, version)
        assert form is not None
        if form.choices is not None:
            assert list(form.choices) == found["choices"], flag
        if isinstance(form.default, (bool, int, float)) or form.default is None:
            assert form.default == found["default"], flag
        for value in found["takes"]:
            words = [flag] if value is None else [flag, value]
            refused = [each for each in check(words, version) if "is what the field" not in each.message]
            assert not refused, f"vLLM takes {words}"
    taken = {flag: found["takes"] for flag, found in real.items()}
    assert not check(["--block-size", "16"], version)
    assert check(["--block-size", "many"], version)
    assert "many" not in taken["--block-size"]


DAMAGE = {
    "the unit edited": (f"sed -i s/RestartSec=10/RestartSec=11/ {UNIT}", f"file:{UNIT}"),
    "a model file truncated": (f"truncate -s 100 {MODEL}/vocab.json", "model:r1-1.5b"),
    "one byte of the weights flipped": (
        f"printf '\\377' | dd of={MODEL}/model.safetensors bs=1 seek=200000 conv=notrunc status=none",
        "model:r1-1.5b",
    ),
    "the environment's python deleted": (f"rm {PREFIX}/environments/vllm-*/bin/python", "environment:vllm"),
    "the process killed": (
        "p=$(systemctl show -p MainPID --value provision-r1-1.5b); systemctl kill -s KILL provision-r1-1.5b; "
        "while [ $(systemctl show -p MainPID --value provision-r1-1.5b) = $p ]; do sleep 0.1; done",
        "probe:r1-1.5b",
    ),
}


def test_damage_by_hand_is_seen_one_by_one_and_mended_together(box: Box) -> None:
    before = box.sh(f"sha256sum {MODEL}/model.safetensors {MODEL}/vocab.json")
    seen: set[str] = set()
    for what, (command, id) in DAMAGE.items():
        box.sh(command)
        changes = box.plan(code=2).changes()
        assert id in changes, what
        seen.add(id)
        assert seen <= set(changes), what

    box.apply()

    assert box.plan(code=0).changes() == {}
    assert box.sh(f"sha256sum {MODEL}/model.safetensors {MODEL}/vocab.json") == before
    assert "provision" in box.chat()["choices"][0]["message"]["content"]


def test_a_change_that_vllm_refuses_leaves_the_server_alone(box: Box) -> None:
    text, script, pid = box.playbook.read_text(), box.sh(f"cat {SCRIPT}"), box.pid
    box.playbook.write_text(text.replace("max_model_len: 512", "max_model_len: 100000"))
    try:
        answer = box.provision.run("apply", box.playbook, "--yes", json=True)
        assert answer.code == 1
        assert "left running as it is" in answer.out
        assert "max_model_len" in answer.out
        assert "asking whether r1-1.5b would start" in answer.out
        # Without its parser, vLLM could not refuse anything: the answer is the one that was kept.
        box.sh(f"mv {PARSER} {PARSER}.away")
        again = box.provision.run("apply", box.playbook, "--yes", json=True)
        assert again.code == 1
        assert "left running as it is" in again.out
        assert "asking whether" not in again.out
        assert "not asked again whether r1-1.5b would start" in again.out
    finally:
        box.sh(f"! test -e {PARSER}.away || mv {PARSER}.away {PARSER}")
        box.playbook.write_text(text)
    assert (box.sh(f"cat {SCRIPT}"), box.pid) == (script, pid)
    assert "provision" in box.chat()["choices"][0]["message"]["content"]
    assert box.plan(code=0).changes() == {}


def test_remove_takes_everything_away(box: Box) -> None:
    answer = box.provision.run("remove", box.playbook, "--yes")
    assert answer.code == 0, answer.out
    assert box.sh(f"ls -d {PREFIX} {UNIT} 2>/dev/null || true") == ""
    assert box.sh("pgrep -f '[v]llm' || true") == ""
    assert box.sh("dpkg-query -W -f '${Status}' gcc") == "install ok installed"
