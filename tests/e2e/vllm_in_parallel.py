"""``python -m tests.e2e.vllm_in_parallel``: the real vLLM, divided over hosts in several ways, answers chats.

Too long for a test: each way is a start of vLLM. vllm_in_parallel.txt has the output of a run. It boots three
hosts with the environment of nodes.yml, and ends them. ``--only`` takes the names of some ways, with commas.

That a chat is answered is asserted; times are only told.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.command import REPOSITORY, Provision
from tests.lab import Base, Lab
from tests.lab.environments import installed
from tests.lab.models import TINY_CHAT

HOSTS = ("way1", "way2", "way3")
EXPERTS = REPOSITORY / "tests/lab/models/tiny_experts.py"
EAGER = {"enforce_eager": True}
SPREAD = {"enable_expert_parallel": True, **EAGER}

WAYS: dict[str, tuple[int, str, dict[str, Any]]] = {
    "experts-on-one-host": (1, "experts", EAGER),
    "experts-divided": (2, "experts", {"tensor_parallel_size": 2, **EAGER}),
    "experts-tensor-2": (2, "experts", {"tensor_parallel_size": 2, **SPREAD}),
    "experts-data-2": (2, "experts", {"data_parallel_size": 2, **SPREAD}),
    "pipeline-3": (3, "chat", {"pipeline_parallel_size": 3}),
    "data-3": (3, "chat", {"data_parallel_size": 3, **EAGER}),
}
"""By name the number of hosts, the model, and the fields of the service."""

TOLD = re.compile(
    r"^provision: |EP rank|ll2All|all2all|xpert|Application startup complete|Error|Traceback", re.MULTILINE
)
"""What is shown of the logs."""


class Trial:
    """Hosts with both models, and playbooks for some of them."""

    def __init__(self, lab: Lab, folder: Path, environments: dict[str, Any], logs: Path | None) -> None:
        self.lab, self.folder, self.environments, self.logs = lab, folder, environments, logs
        self.provision = Provision(["-i", str(lab.inventory)])
        subprocess.run([sys.executable, str(EXPERTS), str(folder / "experts")], check=True)
        for name in HOSTS:
            for model, source in (("chat", TINY_CHAT), ("experts", folder / "experts")):
                place = lab[name].root / "srv" / model
                place.mkdir(parents=True)
                for file in source.iterdir():
                    (place / file.name).write_bytes(file.read_bytes())

    def play(self, hosts: list[str], model: str, fields: dict[str, Any]) -> Path:
        service: dict[str, Any] = {
            "kind": "vllm",
            "environment": "vllm",
            "model": model,
            "served_model_name": "chat",
            "host": "0.0.0.0",
            "port": 8003,
            "dtype": "bfloat16",
            "max_model_len": 512,
            "max_num_seqs": 4,
            "env": {"VLLM_CPU_KVCACHE_SPACE": "1"},
            "start_timeout": "10m",
            "checks": [{"chat": "hello", "timeout": "120s"}],
            **({"nodes": {"hosts": hosts}} if len(hosts) > 1 else {}),
            **fields,
        }
        play = {"hosts": hosts, "environments": self.environments, "services": {"chat": service}}
        path = self.folder / "play.yml"
        path.write_text(json.dumps([{**play, "models": {model: {"path": f"/srv/{model}"}}}]))
        return path

    def run(self, name: str) -> bool:
        """Serve in one way, until a chat is answered; return whether it was."""
        count, model, fields = WAYS[name]
        hosts = list(HOSTS[:count])
        print(f"== {name}: {count} host(s), {fields}, load {os.getloadavg()[0]:.0f}", flush=True)
        playbook, began = self.play(hosts, model, fields), time.monotonic()
        answer = self.provision.run("apply", playbook, "--yes", json=True, timeout=1500)
        for event in answer.event("proof"):
            said = event["received"] if event["ok"] else event["finding"]["message"]
            print(f"  {event['host']}  {event['check']}: {said!r}", flush=True)
        for event in answer.event("result", status="failed"):
            print(f"  {event['host']}  {event['id']} failed: {event['error']}", flush=True)
        print(f"  exit {answer.code} after {time.monotonic() - began:.0f} s", flush=True)
        for host in hosts:
            log = self.lab[host].exec(["journalctl", "-o", "cat", "-u", "provision-chat"]).stdout
            if self.logs is not None:
                (self.logs / f"{name}-{host}.log").write_text(log)
            lines = [line[:220] for line in log.splitlines() if TOLD.search(line)]
            print("\n".join(f"  {host}  {line}" for line in lines[-14:]), flush=True)
        removed = self.provision.run("remove", playbook, "--service", "chat", "--yes", timeout=300)
        for host in hosts:
            self.lab[host].exec(["journalctl", "--rotate", "--vacuum-time=1s", "-q"])
        print(f"  removed: exit {removed.code}\n", flush=True)
        return answer.code == 0


def main() -> int:
    """Try the ways."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.vllm_in_parallel", description=__doc__)
    parser.add_argument("--only", help="the names of some ways, with commas")
    parser.add_argument("--logs", type=Path, help="a directory for the whole logs")
    asked = parser.parse_args()
    names = (asked.only or ",".join(WAYS)).split(",")
    failed = []
    with tempfile.TemporaryDirectory() as folder, Lab("ways", owned=True) as lab:
        lab.up(0)
        (play,) = yaml.safe_load((REPOSITORY / "tests/e2e/nodes.yml").read_text())
        base = Base(more=" ".join(play["packages"]))
        lab.add(*HOSTS, base=base, layers=(installed(lab, play["environments"], base),))
        trial = Trial(lab, Path(folder), play["environments"], asked.logs)
        for name in names:
            try:
                if not trial.run(name):
                    failed.append(name)
            except Exception:  # the other ways are worth a try all the same
                traceback.print_exc(file=sys.stdout)
                failed.append(name)
    print(f"failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
