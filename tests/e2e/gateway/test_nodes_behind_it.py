"""Two services of two nodes each behind a gateway change one after the other, and no request is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import standin
from tests.e2e.gateway.drained import UPSTREAM, Site, rotated, when
from tests.e2e.test_group import MADE
from tests.lab import Lab

pytestmark = pytest.mark.lab

NAMES = ["gn1", "gn2", "gn3", "gn4"]
HEADS = {"gn1", "gn3"}

PLAYBOOK = f"""\
- hosts: [gn1, gn2, gn3, gn4]
  rollout: {{canary: 0, serial: 4}}
  vars: {{word: w0}}
  files: {{/srv/upstream.py: {{source: {UPSTREAM}}}}}
  environments:
    fast: {{packages: ["vllm==0.33.0"], path: /srv/env}}
  models: {{m: {{path: /srv/model}}}}
  services:
    chat:
      kind: vllm
      environment: fast
      model: m
      nodes: {{hosts: 2}}
      tensor_parallel_size: 2
      host: 0.0.0.0
      port: 8101
      max_num_seqs: "{{{{ word | length }}}}"
      start_timeout: 60s
      env: {{WORD: "{{{{ word }}}}", START_SECONDS: "2", STOP_SECONDS: "1"}}
      checks: [{{completion: ping}}]
- hosts: gnfront
  services:
    gateway:
      kind: gateway
      upstreams: [chat]
      keys: {{alice: {{env: ALICE}}}}
"""


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("nodes"), lab, "gnfront", NAMES, PLAYBOOK)
    for name in NAMES:
        standin.install(lab[name].root, standin.STREAMING)
        lab[name].exec(["sh", "-ec", MADE])
    made.provision.apply(made.playbook)
    yield made
    made.close()


def test_a_change_under_load_loses_no_request(site: Site) -> None:
    site.await_all_in()
    before = [site.pid(name) for name in site.names]
    with site.load() as load:
        answer = site.provision.apply(site.playbook, *site.change())
    assert load.failures == []
    assert set(load.servers) - {""} == HEADS
    first, second = dict.fromkeys(name for name, _ in rotated(answer))
    assert {first, second} == HEADS
    assert rotated(answer) == [(first, True), (first, False), (second, True), (second, False)]
    assert not set(before) & {site.pid(name) for name in site.names}
    site.await_all_in(10)


def test_what_a_gateway_does_not_take_back_has_failed_on_all_its_nodes(site: Site) -> None:
    address = site.lab["gn1"].address

    def cut_off() -> None:
        site.sh(f"ip route add blackhole {address}")

    watch = when(lambda: site.states()["chat/gn1"] not in ("UP", "DOWN"), cut_off)
    answer = site.provision.run("apply", site.playbook, *site.change(), "--yes", json=True)
    watch.join()
    site.sh(f"ip route del blackhole {address}")
    assert answer.code == 1
    failed = {
        each["host"]: each["error"] for each in answer.event("result", id="probe:chat", status="failed")
    }
    assert failed["gn1"].startswith("chat answers on its own host, and gateway does not reach it")
    assert failed["gn2"] == f"gn1: {failed['gn1']}"
    # The other service may not leave then: it is not stopped, and takes back its files.
    assert not {"gn1", "gn2"} & {each["host"] for each in answer.event("restored")}
    site.await_all_in()
