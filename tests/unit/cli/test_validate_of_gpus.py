"""What `validate` says of GPUs: by shares alone, and by the cards that the inventory states."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.command import REPOSITORY, Provision

# ruff: noqa: E501 (positions in lines are what is tested)

PLAYBOOK = """\
- hosts: all
  environments:
    vllm: {packages: ["vllm==0.25.1"]}
  models:
    m: {path: /models/m}
  services:
    a: {kind: vllm, environment: vllm, model: m, port: 8001, gpus: [0], gpu_memory_utilization: 0.5, host: 127.0.0.1}
    b: {kind: vllm, environment: vllm, model: m, port: 8002, gpus: [%s], gpu_memory_utilization: %s, host: "::1"}
"""


@pytest.fixture
def here(tmp_path: Path) -> Provision:
    return Provision(cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)})


def write(here: Provision, gpu: int, share: float, gpus: str) -> None:
    hosts = f"hosts:\n  gpu-[1:3]: {{address: 192.0.2.12, user: ops, become: true, gpus: {gpus}}}\n"
    (here.cwd / "i.yml").write_text(hosts, encoding="utf-8")
    (here.cwd / "p.yml").write_text(PLAYBOOK % (gpu, share), encoding="utf-8")


def test_shares_above_one_are_an_error(here: Provision) -> None:
    write(here, 0, 0.6, "[]")
    answer = here.run("validate", "-i", "i.yml", "p.yml")
    assert answer.code == 1
    assert answer.err == (
        "p.yml:8:97: gpu-1, gpu-2, gpu-3: service b: gpu_memory_utilization 0.6 is more than what is left of "
        "GPU 0: a takes 0.5; lower it below 0.5, or use another GPU [gpu-taken]\n"
    )


def test_a_doubt_is_a_note_that_stops_nothing(here: Provision) -> None:
    write(here, 0, 0.5, "2xH100")
    answer = here.run("validate", "-i", "i.yml", "p.yml")
    assert answer.code == 0
    assert answer.err.startswith("note: p.yml:8:97: gpu-1, gpu-2, gpu-3: service b on GPU 0: gpu_memory_util")
    assert answer.err.endswith("; use GPU 1, or set gpu_memory_utilization: 0.4 [gpu-taken]\n")
    said = here.run("validate", "-i", "i.yml", "p.yml", "--output", "json").out.splitlines()
    assert [json.loads(line).get("code") for line in said] == ["gpu-taken", None]
    github = here.run("validate", "-i", "i.yml", "p.yml", "--output", "github").out
    assert github.startswith("::warning file=p.yml,line=8,col=97,title=gpu-taken::")


def test_a_gpu_that_the_inventory_does_not_state(here: Provision) -> None:
    write(here, 2, 0.5, "2xH100")
    answer = here.run("validate", "-i", "i.yml", "p.yml")
    assert answer.code == 1
    assert (
        "p.yml:8:68: gpu-1, gpu-2, gpu-3: service b: there is no GPU 2; the host has GPUs 0 and 1"
        in answer.err
    )


@pytest.mark.parametrize(
    ("gpus", "message"),
    [
        ("8xH2000", "i.yml:2:67: no GPU 'H2000' is known; did you mean `H200`?"),
        ("[2xL4, 0xH100]", "i.yml:2:74: `gpus[1]`: expected GPUs of a host, found text '0xH100'"),
        ("8", "`gpus`: expected a list, found the number 8"),
    ],
)
def test_wrong_cards_in_the_inventory(here: Provision, gpus: str, message: str) -> None:
    write(here, 0, 0.5, gpus)
    answer = here.run("validate", "-i", "i.yml", "p.yml")
    assert answer.code == 1
    assert message in answer.err


def test_the_inventory_shows_them(here: Provision) -> None:
    write(here, 0, 0.5, "[4xH100, 2xL40S]")
    shown = here.run("inventory", "-i", "i.yml", "--host", "gpu-1").out
    assert 'gpus: ["4xH100", "2xL40S"]  from host gpu-1 (i.yml:2:67)' in shown


def test_a_note_that_hosts_share_is_told_once(here: Provision) -> None:
    write(here, 1, 0.5, "2xH100")
    playbook = here.cwd / "p.yml"
    playbook.write_text(
        playbook.read_text(encoding="utf-8").replace(", host: 127.0.0.1", ""), encoding="utf-8"
    )
    answer = here.run("validate", "-i", "i.yml", "p.yml")
    assert answer.code == 0
    assert answer.err == (
        "note: gpu-1, gpu-2, gpu-3: p.yml:7:8: service a: it has no `api_key`, so everybody who reaches its "
        "port 8001 may use it; give it `api_key: {env: NAME}`, or `host: 127.0.0.1` where only programs of "
        "this host need it [open-service]\n"
    )
