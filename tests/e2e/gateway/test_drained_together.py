"""Two services on each of two hosts, changed at the same time; and one that has no other replica."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.gateway.drained import KEEPERS, UPSTREAM, Site, rotated
from tests.lab import Lab

pytestmark = pytest.mark.lab

SERVICE = """\
    {name}:
      kind: program
      command: [/usr/bin/python3, /srv/upstream.py, {port}, "{{{{ host.name }}}}", {name}]
      port: {port}
      served_model_name: {name}
      env: {{WORD: "{{{{ word }}}}", START_SECONDS: "1"}}
      checks: [{{completion: ping}}]
"""

TWO = "".join(SERVICE.format(name=name, port=port) for name, port in (("chat", 8101), ("other", 8102)))
ONE = SERVICE.format(name="single", port=8103)

SERVERS = f"""\
- hosts: [dt1, dt2]
  rollout: {{canary: 0, serial: 2}}
  vars: {{word: w0}}
  files: {{/srv/upstream.py: {{source: {UPSTREAM}}}}}
  services:
{TWO}
- hosts: dt1
  vars: {{word: w0}}
  services:
{ONE}
"""

FRONT = """\
- hosts: dtfront
  services:
    gateway:
      kind: gateway
      upstreams: [chat, other, single]
      keys: {alice: {env: ALICE}}
      queue: 60s
"""


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("together") / "playbooks"
    folder.mkdir()
    made = Site(folder, lab, "dtfront", ["dt1", "dt2"], SERVERS)
    # The gateway is in a playbook of its own, which later runs do not name.
    (folder / "front.yml").write_text(FRONT)
    made.provision.apply(made.playbook, folder / "front.yml")
    yield made
    made.close()


def test_both_services_leave_on_one_host_each_while_the_other_host_serves(site: Site) -> None:
    with site.load(clients=3, model="chat") as one, site.load(clients=3, model="other") as other:
        answer = site.provision.apply(site.playbook, *site.change(), timeout=300)
    assert one.failures == []
    assert other.failures == []
    assert len(rotated(answer)) == 10
    for service in ("chat", "other"):
        order = [(each["host"], each["out"]) for each in answer.event("rotated", service=service)]
        first = order[0][0]
        second = ({"dt1", "dt2"} - {first}).pop()
        assert order == [(first, True), (first, False), (second, True), (second, False)]
    site.await_all_in(1)


def test_the_only_replica_restarts_while_its_requests_wait(site: Site) -> None:
    plan = site.provision.run("plan", site.playbook, *site.change(), "--no-diff")
    assert "gateway on dtfront (the only one there: requests wait up to 60 s)" in plan.out
    with site.load(model="single") as load:
        answer = site.provision.apply(site.playbook, *site.changed())
    assert load.failures == []
    (told,) = [event for event in answer.event("rotated", service="single", out=True) if event["finding"]]
    assert (told["finding"]["code"], told["finding"]["severity"]) == ("no-other-replica", "info")
    assert site.sh(KEEPERS) == ""
