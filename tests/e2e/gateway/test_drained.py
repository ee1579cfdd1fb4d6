"""Replicas behind a real gateway are changed one after another, and no request is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.gateway.drained import KEEPERS, UPSTREAM, Site, Step, rotated, steps, when
from tests.lab import Lab

pytestmark = pytest.mark.lab

PLAYBOOK = f"""\
- hosts: [dr1, dr2]
  vars: {{word: w0, port: 8101}}
  files: {{/srv/upstream.py: {{source: {UPSTREAM}}}}}
  services:
    chat:
      kind: program
      command: [/usr/bin/python3, /srv/upstream.py, "{{{{ port }}}}", "{{{{ host.name }}}}"]
      port: 8101
      served_model_name: chat
      start_timeout: 20s
      env: {{VLLM_API_KEY: {{env: UP}}, WORD: "{{{{ word }}}}", START_SECONDS: "2", STOP_SECONDS: "1.5"}}
      checks: [{{completion: ping}}]
- hosts: dfront
  services:
    gateway:
      kind: gateway
      upstreams: [chat]
      keys: {{alice: {{env: ALICE}}}}
"""

ONE_AFTER_THE_OTHER = [("dr1", True), ("dr1", False), ("dr2", True), ("dr2", False)]


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("drained"), lab, "dfront", ["dr1", "dr2"], PLAYBOOK)
    first = made.provision.apply(made.playbook)
    assert not first.event("rotated")  # there was no gateway yet
    yield made
    made.close()


def test_a_change_under_load_loses_no_request(site: Site) -> None:
    plan = site.provision.run("plan", site.playbook, *site.change(), "--no-diff")
    assert "first out of rotation at gateway on dfront" in plan.out
    before = [site.pid(name) for name in site.names]
    with site.load() as load:
        answer = site.provision.apply(site.playbook, *site.changed())
    assert load.failures == []
    assert set(load.servers) >= set(site.names)
    assert rotated(answer) == ONE_AFTER_THE_OTHER
    assert not set(before) & {site.pid(name) for name in site.names}
    site.await_all_in(1)
    again = site.provision.apply(site.playbook, *site.changed())
    assert not again.event("rotated")
    assert all(again.done(name)["executions"] == 1 for name in (*site.names, "dfront"))


@pytest.mark.parametrize("step", steps("chat"), ids=lambda step: step.title)
def test_the_controller_dies_and_all_come_back(site: Site, step: Step) -> None:
    with site.load(n=6) as load:
        site.apply_until(site.change(), step)
        site.await_all_in()
        answer = site.provision.apply(site.playbook, *site.changed())
        site.await_all_in(10)
    assert load.failures == []
    assert [name for name, out in rotated(answer) if out][-1:] == ["dr2"]
    site.provision.plan(site.playbook, *site.changed(), code=0)


def test_a_killed_keeper_takes_it_out_again(site: Site) -> None:
    def kill() -> None:
        site.sh(f"systemctl kill -s KILL $({KEEPERS})")

    with site.load() as load:
        killing = when(lambda: bool(site.sh(KEEPERS)), kill)
        answer = site.provision.apply(site.playbook, *site.change())
        killing.join()
    assert load.failures == []
    assert rotated(answer) == ONE_AFTER_THE_OTHER
    site.await_all_in(1)


def test_a_reload_meanwhile_loses_nothing(site: Site) -> None:
    with site.load(gap=0.5) as load:
        reloading = when(
            lambda: bool(site.sh(KEEPERS)), lambda: site.sh("systemctl reload provision-gateway")
        )
        answer = site.provision.apply(site.playbook, *site.change())
        reloading.join()
    assert load.failures == []
    assert rotated(answer) == ONE_AFTER_THE_OTHER
    site.await_all_in(1)


def test_a_change_that_fails_is_undone_and_back_in_rotation(site: Site) -> None:
    before = site.pid("dr2")
    with site.load() as load:
        answer = site.provision.run(
            "apply", site.playbook, "--yes", *site.changed(), "-e", "port=8109", json=True
        )
    assert answer.code == 1
    assert [event["ok"] for event in answer.event("restored")] == [True]
    assert rotated(answer) == ONE_AFTER_THE_OTHER[:2]
    assert load.failures == []
    assert site.pid("dr2") == before
    site.await_all_in(1)
    site.provision.plan(site.playbook, *site.changed(), code=0)


def test_what_fails_and_is_not_undone_stays_out_until_it_answers(site: Site) -> None:
    with site.load() as load:
        answer = site.provision.run(
            "apply", site.playbook, "--yes", "--no-rollback", *site.change(), "-e", "port=8109", json=True
        )
        assert answer.code == 1
        assert [event["finding"]["code"] for event in answer.event("rotated") if event["finding"]] == [
            "left-out"
        ]
        assert site.states()["chat/dr1"] in ("DRAIN", "DOWN")
        assert site.sh(KEEPERS) == "provision-out-gateway:chat:dr1.service"
        fixed = site.provision.apply(site.playbook, *site.changed())
        site.await_all_in(10)
    assert load.failures == []
    assert ("dr2", True) in rotated(fixed)


def test_what_is_out_by_hand_stays_out(site: Site) -> None:
    admin = "python3 /opt/provision/haproxy_admin.py /run/provision-gateway/admin.sock"
    site.sh(f"{admin} drain chat/dr1")
    with site.load() as load:
        answer = site.provision.apply(site.playbook, *site.change())
    assert "out-by-hand" in [
        event["finding"]["code"] for event in answer.event("rotated") if event["finding"]
    ]
    assert load.failures != []  # the other one was alone, and without `queue` its clients see the restart
    assert site.states() == {"chat/dr1": "DRAIN", "chat/dr2": "UP"}
    site.sh(f"{admin} ready chat/dr1")
    site.await_all_in()


def test_a_gateway_that_cannot_be_reached_stops_the_change(site: Site) -> None:
    before = {name: site.pid(name) for name in site.names}
    limit = ["--limit", "dr1,dr2"]
    site.front.blackhole()
    try:
        with site.load() as load:
            options = [*limit, "--connect-timeout", "5", *site.change()]
            refused = site.provision.run("apply", site.playbook, "--yes", *options, json=True)
        assert refused.code == 1
        (failed,) = refused.event("result", id="unit:chat", status="failed")
        assert failed["finding"]["code"] == "gateway-unreachable"
        assert "--ignore gateway-unreachable" in failed["finding"]["hint"]
        assert {name: site.pid(name) for name in site.names} == before
        assert load.failures == []
        assert [event["ok"] for event in refused.event("restored")] == [True]
        # Nothing is left of it: what was declared before is what is there.
        site.provision.plan(site.playbook, *limit, "-e", f"word=w{site.word - 1}", code=0)
        ignoring = ["--ignore", "gateway-unreachable", *options]
        went_on = site.provision.run("apply", site.playbook, "--yes", *ignoring, json=True)
        assert went_on.code == 0, went_on.out[-3000:]
        assert {event["finding"]["code"] for event in went_on.event("rotated")} == {"gateway-unreachable"}
    finally:
        site.front.revive()
    noted = json.loads(site.sh("tail -n 1 /opt/provision/state/overrides.jsonl", "dr1"))
    assert [each["code"] for each in noted["ignored"]] == ["gateway-unreachable"]
    site.await_all_in()


def test_going_back_by_hand_drains_too(site: Site) -> None:
    with site.load() as load:
        answer = site.provision.run("rollback", "chat", site.playbook, "--yes", json=True)
    assert answer.code == 0, answer.out[-3000:]
    assert load.failures == []
    assert sorted(rotated(answer)) == sorted(ONE_AFTER_THE_OTHER)
    first, second = (name for name, out in rotated(answer) if out)
    assert rotated(answer) == [(first, True), (first, False), (second, True), (second, False)]
    site.await_all_in(1)


def test_a_removed_replica_leaves_first(site: Site) -> None:
    with site.load() as load:
        answer = site.provision.run(
            "remove", site.playbook, "--service", "chat", "--limit", "dr2", "--yes", json=True
        )
    assert answer.code == 0, answer.out[-3000:]
    assert ("dr2", True) in rotated(answer)
    assert load.failures == []
    assert site.states() == {"chat/dr1": "UP", "chat/dr2": "DOWN"}
    assert site.sh(KEEPERS) == ""
