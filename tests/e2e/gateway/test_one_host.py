"""A gateway on the host of its server, where HAProxy was in use before: TLS, rates, changes, refusals."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import REPOSITORY, Provision
from tests.e2e.editable import Editable
from tests.e2e.gateway.client import Client
from tests.e2e.gateway.load import Load
from tests.host.certificates import certificate
from tests.lab import Lab, LabHost

pytestmark = pytest.mark.lab

UPSTREAM = Path(__file__).with_name("upstream.py")

PLAYBOOK = f"""\
- hosts: solo
  files:
    /srv/upstream.py: {{source: {UPSTREAM}}}
  services:
    chat:
      kind: program
      command: [/usr/bin/python3, /srv/upstream.py, 8101, solo]
      host: 127.0.0.1
      port: 8101
    gateway:
      kind: gateway
      upstreams: [chat]
      port: 443
      tls: self-signed
      keys: {{alice: {{env: ALICE}}, bob: {{env: BOB}}}}
      metrics: null
"""

UNIT = "provision-gateway"


class Site(Editable):
    """One host with HAProxy in use, and the playbook."""

    def __init__(self, folder: Path, lab: Lab, host: LabHost) -> None:
        self.host = host
        env = {"ALICE": "sk-alice", "BOB": "sk-bob", "PYTHONPATH": str(REPOSITORY)}
        self.provision = Provision(["-i", str(lab.inventory)], env, folder)
        self.playbook = folder / "solo.yml"
        self.playbook.write_text(PLAYBOOK)
        self.client = Client(host.address, 443, "sk-alice", tls=True)
        self.folder = folder

    def pid(self, unit: str = UNIT) -> str:
        return self.sh(f"systemctl show -p MainPID --value {unit}")

    def certificate(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((self.host.address, 443)))


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    host = lab.add("solo")[0]
    yield Site(tmp_path_factory.mktemp("solo"), lab, host)
    lab.remove("solo")


def test_an_haproxy_that_was_there_goes_on(site: Site) -> None:
    site.sh("apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q haproxy")
    before = site.pid("haproxy")
    assert before != "0"
    answer = site.provision.apply(site.playbook)
    (proof,) = answer.event("proof", service="gateway")
    assert (proof["check"], proof["ok"]) == ("completion over https, certificate not verified", True)
    assert site.pid("haproxy") == before
    assert site.sh("systemctl is-enabled haproxy") == "enabled"
    site.provision.plan(site.playbook, code=0)


def test_it_needs_no_root(site: Site) -> None:
    assert site.sh(f"ps -o user= -p {site.pid()}").startswith("provisi")
    assert "/opt/provision/services/gateway/self-signed" not in site.sh("ps axww")


def test_its_own_certificate_names_the_host(site: Site) -> None:
    shown = site.sh(
        "openssl s_client -connect 127.0.0.1:443 </dev/null 2>/dev/null "
        "| openssl x509 -noout -ext subjectAltName"
    )
    assert "DNS:solo" in shown
    assert f"IP Address:{site.host.address}" in shown
    assert site.client.chat().status == 200


def test_a_renewed_certificate_is_taken_in_without_a_restart(site: Site) -> None:
    own = site.certificate()
    for name in ("one", "two"):
        certificate(site.folder, name)
    place = "/etc/ssl/gateway"
    files = f"    {place}.crt: {{source: one.crt}}\n    {place}.key: {{source: one.key, secret: true}}\n"
    site.edit("  services:\n    chat:", f"{files}  services:\n    chat:")
    site.edit("tls: self-signed", f"tls: {{cert: {place}.crt, key: {place}.key}}")
    before = site.pid()
    with Load(site.client, clients=4) as load:
        site.provision.apply(site.playbook)
        first = site.certificate()
        for ending in ("crt", "key"):
            site.edit(f"one.{ending}", f"two.{ending}")
        plan = site.provision.plan(site.playbook, code=2)
        assert [each["reload"] for each in plan.event("restart", service="gateway")] == [True]
        site.provision.apply(site.playbook)
    assert load.failures == []
    assert len({own, first, site.certificate()}) == 3
    assert site.pid() == before
    site.provision.plan(site.playbook, code=0)


def test_a_certificate_that_the_host_renews_is_taken_in_by_the_next_apply(site: Site) -> None:
    before = site.certificate()
    certificate(site.folder, "three")
    for ending in ("crt", "key"):
        site.edit(
            f"    /etc/ssl/gateway.{ending}: {{source: two.{ending}",
            f"    /etc/ssl/unused.{ending}: {{source: two.{ending}",
        )
        data = (site.folder / f"three.{ending}").read_text()
        (site.host.root / f"etc/ssl/gateway.{ending}").write_text(data)
    site.provision.apply(site.playbook)
    assert site.certificate() != before
    assert site.client.chat().status == 200


def test_each_key_has_its_rate(site: Site) -> None:
    site.edit("      metrics: null", "      metrics: null\n      limits: {requests_per_minute: 20}")
    site.provision.apply(site.playbook)
    codes = [site.client.chat().status for _ in range(30)]
    assert codes.count(429) >= 10
    assert site.client.chat(key="sk-bob").status == 200
    assert site.client.chat().headers["retry-after"] == "10"
    site.edit("\n      limits: {requests_per_minute: 20}", "")
    site.provision.apply(site.playbook)


def test_another_port_of_the_server_is_followed(site: Site) -> None:
    for _ in range(2):
        site.edit("8101", "8109", count=1)
    site.provision.apply(site.playbook)
    assert site.client.chat().status == 200


def test_a_port_of_somebody_else_is_noticed_before_anything_is_disturbed(site: Site) -> None:
    before = site.pid()
    site.sh("systemd-run --unit=squatter python3 -m http.server --bind 127.0.0.1 8405")
    with Load(site.client, clients=2) as load:
        site.edit("      metrics: null", "      metrics: {port: 8405}")
        answer = site.provision.run("apply", site.playbook, "--yes", json=True)
    assert answer.code == 1
    (told,) = answer.event("note", code="port-taken")
    assert "needs port 8405, which is held by python3" in told["text"]
    assert answer.event("started") == []
    assert load.failures == []
    assert site.pid() == before
    site.sh("systemctl stop squatter")
    site.provision.apply(site.playbook)
    metrics = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8405/metrics').read().decode())"
    assert "haproxy_process" in site.sh(f'python3 -c "{metrics}"')


def test_a_reload_that_fails_keeps_the_old_process_and_the_former_files_come_back(site: Site) -> None:
    before = site.pid()
    (site.folder / "templates/gateway").mkdir(parents=True)
    template = site.folder / "templates/gateway/haproxy.cfg.j2"
    shipped = (REPOSITORY / "templates/gateway/haproxy.cfg.j2").read_text()
    # An address that the host does not have: a validation does not bind.
    template.write_text(shipped.replace("bind {{ metrics }}", "bind 192.0.2.1:8405"))
    with Load(site.client, clients=2, asked={"n": 4, "gap": 1}):
        answer = site.provision.run("apply", site.playbook, "--yes", json=True)
    template.unlink()
    (failed,) = answer.event("result", id="unit:gateway", status="failed")
    assert (answer.code, failed["finding"]["code"]) == (1, "reload-refused")
    (restored,) = answer.event("restored")
    assert restored["ok"], restored
    assert site.pid() == before
    assert site.client.chat().status == 200
    assert site.provision.plan(site.playbook).changes() == {}


def test_a_stop_lets_streams_end(site: Site) -> None:
    with Load(site.client, clients=2, asked={"n": 6, "gap": 1}) as load:
        time.sleep(1)
        site.sh(f"systemctl stop --no-block {UNIT}")
        load.stop()
    assert load.failures == []
    assert sum(load.servers.values()) == 2
