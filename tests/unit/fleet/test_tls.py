"""Servers that speak TLS: what is passed on, where checks go, what restarts, and who may read the key."""

from __future__ import annotations

import pytest

from tests.unit.fleet.conftest import Project, resource, spec
from tests.unit.fleet.test_vllm_service import flags, playbook

TLS = "tls: {cert: /etc/tls/a.crt, key: /etc/tls/a.key, ca: /etc/tls/ca.crt}"

FLAGS = "extra_args: [--ssl-keyfile, /etc/tls/a.key, --ssl_certfile=/etc/tls/a.crt]"


def with_files(service: str, owner: str = "provision") -> str:
    """Return the playbook with the certificate's files declared."""
    return playbook(service).replace(
        "      services:",
        f"""      files:
        /etc/tls/a.crt: {{content: certificate}}
        /etc/tls/a.key: {{content: {{file: key.pem}}, owner: {owner}}}
      services:""",
    )


def test_a_certificate_becomes_flags_and_an_address(project: Project) -> None:
    catalog = project.compile(playbook(f"port: 8443\n{TLS}"))
    assert flags(catalog)[-2:] == ["--ssl-certfile /etc/tls/a.crt", "--ssl-keyfile /etc/tls/a.key"]
    probe = spec(catalog, "probe:r1")
    assert (probe.url, probe.ca) == ("https://127.0.0.1:8443", "/etc/tls/ca.crt")
    assert catalog.services[0].facts.url == "https://10.0.0.12:8443"


def test_its_flags_in_extra_args_count_as_well(project: Project) -> None:
    probe = spec(project.compile(playbook(f"port: 8443\n{FLAGS}")), "probe:r1")
    assert (probe.url, probe.ca) == ("https://127.0.0.1:8443", None)


@pytest.mark.parametrize("said", [TLS, FLAGS])
def test_its_files_restart_the_service(project: Project, said: str) -> None:
    catalog = project.compile(with_files(said))
    for path in ("/etc/tls/a.crt", "/etc/tls/a.key"):
        assert resource(catalog, f"file:{path}").triggers == ["r1"]


@pytest.mark.parametrize("said", [TLS, FLAGS])
def test_who_cannot_read_the_key_is_said(project: Project, said: str) -> None:
    (problem,) = project.problems(with_files(said, owner="ops"))
    assert problem.endswith(
        "service r1 runs as provision, who cannot read /etc/tls/a.key (mode 0600); "
        "give the file `owner: provision`"
    )


@pytest.mark.parametrize(
    ("service", "said"),
    [
        (f"{TLS}\n{FLAGS}", "--ssl-keyfile and the field tls are about the same; leave one of the two out"),
        (f"{TLS}\nextra_args: [--uds, /run/a.sock]", "--uds and the field tls are about the same"),
        ("tls: {cert: /a}", "missing key `key`"),
        ("extra_args: [--ssl-certfile, /a, --ssl-cert-reqs, 2]", "checks have none; write 1, or let a proxy"),
        ("extra_args: [--ssl-certfile, /a, --uds, /b]", "checks speak no TLS on a unix socket"),
    ],
)
def test_what_cannot_be_proven_is_refused(project: Project, service: str, said: str) -> None:
    assert said in project.problems(playbook(service))[0]


def test_a_unix_socket_takes_no_port(project: Project) -> None:
    catalog = project.compile(playbook("extra_args: [--uds, /run/vllm/a.sock]"))
    assert spec(catalog, "probe:r1").url == catalog.services[0].facts.url == "unix:/run/vllm/a.sock"
    assert (catalog.services[0].facts.port, spec(catalog, "unit:r1").port) == (None, None)
