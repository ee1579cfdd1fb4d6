"""Replicas behind a real gateway are changed one after another, and no request is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.gateway.drained import UPSTREAM, Site, rotated
from tests.lab import Lab

pytestmark = pytest.mark.lab

PLAYBOOK = f"""\
- hosts: [dr1, dr2]
  vars: {{word: w0, args: ""}}
  files: {{/srv/upstream.py: {{source: {UPSTREAM}}}}}
  services:
    chat:
      kind: program
      command: [/usr/bin/python3, /srv/upstream.py, 8101, "{{{{ host.name }}}}"]
      port: 8101
      served_model_name: chat
      env: {{VLLM_API_KEY: {{env: UP}}, WORD: "{{{{ word }}}}"}}
      checks: [{{completion: ping}}]
- hosts: dfront
  services:
    gateway:
      kind: gateway
      upstreams: [chat]
      keys: {{alice: {{env: ALICE}}}}
"""


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("drained"), lab, "dfront", ["dr1", "dr2"], PLAYBOOK)
    first = made.provision.apply(made.playbook)
    assert not first.event("rotated")  # there was no gateway yet
    yield made
    made.close()


def test_a_change_under_load_loses_no_request(site: Site) -> None:
    before = [site.pid(name) for name in site.names]
    with site.load() as load:
        answer = site.provision.apply(site.playbook, *site.change())
    assert load.failures == []
    assert set(load.servers) == set(site.names)
    assert rotated(answer) == [("dr1", True), ("dr1", False), ("dr2", True), ("dr2", False)]
    assert not set(before) & {site.pid(name) for name in site.names}
    site.await_all_in(1)
    again = site.provision.apply(site.playbook, "-e", f"word=w{site.word}")
    assert not again.event("rotated")
    assert all(again.done(name)["executions"] == 1 for name in (*site.names, "dfront"))
