"""``python -m tests.e2e.vllm_on_ray``: the real vLLM on a Ray cluster of two hosts, damaged again and again.

Too long for a test: each step is a start of vLLM. vllm_on_ray.txt has the output of a run. It boots two
hosts, and ends them, unless `--keep` leaves them for another run. `--installed` gives them what is to be
installed, which takes minutes otherwise.

What each step has to leave behind is asserted; times are only told.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.command import REPOSITORY, Provision
from tests.lab import Base, Lab
from tests.lab.environments import installed
from tests.lab.hub import Hub
from tests.lab.models import hub_root

NAMES = ("node1", "node2")
MP, RAY = "nodes: {hosts: [node1, node2]}", "nodes: {engine: ray, cluster: cluster}"
BACK = 900.0
"""Seconds for which the service is waited for."""


class Trial:
    """Two hosts, and the playbook that makes one service of them."""

    def __init__(self, lab: Lab, hub: str, folder: Path) -> None:
        self.hosts = {name: lab[name] for name in NAMES}
        self.playbook = folder / "nodes.yml"
        self.playbook.write_text((REPOSITORY / "tests/e2e/nodes.yml").read_text().replace(MP, RAY))
        self.provision = Provision(
            ["-i", str(lab.inventory), "-e", f"hub={hub}"], {"RAY_TOKEN": "xq7ray-token-0123456789"}
        )

    def sh(self, host: str, script: str) -> str:
        return self.hosts[host].exec(["sh", "-c", script]).stdout.strip()

    def told(self, verb: str, *args: str) -> str:
        """Run a verb, and show what it prints."""
        began = time.monotonic()
        answer = self.provision.run(verb, *args, self.playbook, timeout=3000)
        print(f"$ provision {verb} {' '.join(args)}\n{answer.out}{answer.err}", flush=True)
        print(f"({time.monotonic() - began:.0f} s, exit {answer.code})\n", flush=True)
        assert answer.code == 0
        return answer.out

    def applied(self) -> dict[str, dict[str, Any]]:
        """Apply, and return the last event of each host."""
        began = time.monotonic()
        answer = self.provision.apply(self.playbook, timeout=3000)
        done = {name: answer.done(name) for name in NAMES}
        for name, each in done.items():
            print(f"{name}: {each['counts']}, {each['executions']} round trip(s)", flush=True)
        print(f"({time.monotonic() - began:.0f} s)\n", flush=True)
        return done

    def edit(self, old: str, new: str) -> None:
        text = self.playbook.read_text()
        assert old in text, old
        self.playbook.write_text(text.replace(old, new))

    def lives(self, service: str = "chat") -> list[str]:
        words = f"systemctl show -p InvocationID --value provision-{service}"
        return [self.sh(name, words) for name in NAMES]

    def phases(self) -> list[str]:
        """Return what the processes that run now say."""
        words = "systemctl show -p MainPID --value provision-chat; cat /var/lib/provision/chat/rank.json"
        found = []
        for name in NAMES:
            pid, _, said = self.hosts[name].exec(["sh", "-c", words], check=False).stdout.partition("\n")
            state = json.loads(said or "{}")
            found.append(state.get("phase", "") if str(state.get("pid")) == pid else "")
        return found

    def chat(self) -> str:
        body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 32}
        url = f"http://{self.hosts['node1'].address}:8003/v1/chat/completions"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=180) as answer:
            return str(json.load(answer)["choices"][0]["message"]["content"])

    def damage(self, what: str, act: Callable[[], object]) -> None:
        """Do something bad, wait until the service answers anew, and tell how long it took."""
        before = self.lives()
        since = self.sh("node1", "date '+%Y-%m-%d %H:%M:%S'")
        act()
        began = time.monotonic()
        ended = 0.0
        while True:
            now, seconds = self.hosts_lives(), time.monotonic() - began
            if not ended and all(life not in before for life in now):
                ended = seconds
            if ended and self.phases() == ["serving", "serving"]:
                break
            if seconds > BACK:
                print(self.sh("node1", "journalctl -o cat -u provision-chat -n 60"))
                raise AssertionError(f"{what}: not back after {seconds:.0f} s")
            time.sleep(1)
        answer = self.chat()
        took = time.monotonic() - began
        print(f"{what}: new on both nodes after {ended:.0f} s, answers after {took:.0f} s: {answer}")
        for name in NAMES:
            words = f"journalctl -o cat --since '{since}' -u provision-chat | grep ^provision: | head -12"
            log = self.sh(name, words)
            print("\n".join(f"  {name}  {line}" for line in log.splitlines()), flush=True)
        print(flush=True)

    def hosts_lives(self) -> list[str]:
        try:
            return self.lives()
        except Exception:  # a host that boots
            return [""]


def main() -> int:
    """Run the trial."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.vllm_on_ray", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the lab `ray` for another run")
    parser.add_argument("--installed", action="store_true", help="boot hosts that come with the environment")
    parser.add_argument("--only", help="the names of some steps, with commas")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab("ray", owned=not asked.keep)
        if not lab.hosts:
            lab.up(0)
            (play,) = yaml.safe_load((REPOSITORY / "tests/e2e/nodes.yml").read_text())
            base = Base(more=" ".join(play["packages"])) if asked.installed else Base()
            layers = (installed(lab, play["environments"], base),) if asked.installed else ()
            lab.add(*NAMES, base=base, layers=layers)
        try:
            with Hub(hub_root(), address=lab.network.gateway) as hub:
                trial = Trial(lab, hub.url, Path(folder))
                for name in asked.only.split(",") if asked.only else STEPS:
                    print(f"== {name}, load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores", flush=True)
                    STEPS[name](trial)
        finally:
            if not asked.keep:
                lab.down()
    return 0


def first(trial: Trial) -> None:
    trial.told("apply", "--yes")
    print(trial.chat())


def second(trial: Trial) -> None:
    before = trial.lives(), trial.lives("cluster")
    done = trial.applied()
    assert {each["counts"]["changed"] for each in done.values()} == {0}
    assert {each["executions"] for each in done.values()} == {1}
    assert (trial.lives(), trial.lives("cluster")) == before


def one_service(trial: Trial) -> None:
    trial.told("status")
    trial.told("logs", "chat", "-n", "4")


def flag(trial: Trial) -> None:
    before, cluster = trial.lives(), trial.lives("cluster")
    starts = _starts(trial)
    trial.edit("max_num_seqs: 4", "max_num_seqs: 5")
    trial.applied()
    assert set(before).isdisjoint(trial.lives())
    assert trial.lives("cluster") == cluster
    assert [after - each for after, each in zip(_starts(trial), starts, strict=True)] == [1, 1]
    print(trial.chat())


def cluster(trial: Trial) -> None:
    """A change of the cluster restarts the service with it."""
    before, starts = trial.lives(), _starts(trial)
    trial.edit("object_store_memory: 100MB", "object_store_memory: 110MB")
    trial.told("plan")
    trial.applied()
    assert set(before).isdisjoint(trial.lives())
    print("starts:", [after - each for after, each in zip(_starts(trial), starts, strict=True)])
    print(trial.chat())


def _starts(trial: Trial) -> list[int]:
    words = "journalctl -o cat -u provision-chat | grep -c 'nodes are there'"
    return [int(trial.sh(name, words)) for name in NAMES]


def engine(trial: Trial) -> None:
    trial.damage("SIGKILL to the engine", lambda: trial.sh("node1", "pkill -KILL -f '[V]LLM::EngineCore'"))


def worker(trial: Trial) -> None:
    trial.damage(
        "SIGKILL to the worker of node2", lambda: trial.sh("node2", "pkill -KILL -f '[r]ay::RayWorkerProc'")
    )


def raylet(trial: Trial) -> None:
    trial.damage("SIGKILL to the raylet of node2", lambda: trial.sh("node2", "pkill -KILL -x raylet"))


def gcs(trial: Trial) -> None:
    trial.damage("SIGKILL to the head's GCS", lambda: trial.sh("node1", "pkill -KILL -x gcs_server"))


def reboot(trial: Trial) -> None:
    trial.damage("reboot of node2", lambda: trial.hosts["node2"].reboot())


def removed(trial: Trial) -> None:
    trial.told("remove", "--yes")
    for name in NAMES:
        left = trial.sh(name, "pgrep -u provision -a || true; ls /dev/shm")
        assert not left, left


STEPS: dict[str, Callable[[Trial], None]] = {
    each.__name__: each
    for each in (first, second, one_service, flag, cluster, engine, worker, raylet, gcs, reboot, removed)
}

if __name__ == "__main__":
    sys.exit(main())
