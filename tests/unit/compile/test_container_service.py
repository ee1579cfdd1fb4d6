"""What a container service compiles to, and what its declaration may not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provision.compile.catalog import Catalog, Resource
from provision.compile.text import SecretText
from provision.config.problems import ConfigError
from tests.unit.compile.conftest import Project

ROOT = "{gpu-box: {connection: ssh, address: 10.0.0.1, become: true}}"
USER = "{gpu-box: {connection: ssh, address: 10.0.0.1, prefix: /home/ops/provision}}"


def compiled(tmp_path: Path, service: str, hosts: str = ROOT, more: str = "") -> Catalog:
    playbook = f"- hosts: all\n{more}  services:\n    web: {{kind: container, image: 'web:1', {service}}}\n"
    return Project(tmp_path).compile(playbook, hosts=hosts)


def resource(catalog: Catalog, id: str) -> Resource:
    (found,) = [each for each in catalog.resources if each.id == id]
    return found


def test_under_systemd_the_unit_brings_it_back_and_the_engine_does_not(tmp_path: Path) -> None:
    catalog = compiled(tmp_path, "restart: unless-stopped, stop_timeout: 7s")
    container = resource(catalog, "container:web")
    assert (container.spec["restart"], container.spec["unit"]) == ("no", "provision-web.service")
    unit = resource(catalog, "file:/etc/systemd/system/provision-web.service")
    assert unit.id in container.needs
    assert unit.triggers == ["web"]
    text = unit.spec["content"]
    assert "Restart=always" in text
    assert "stop -t 7" in text
    assert "e=$$(command -v podman); " in text
    assert "After=network-online.target docker.service" in text


def test_a_named_engine_is_the_one_in_the_unit(tmp_path: Path) -> None:
    catalog = compiled(tmp_path, "engine: podman, name: other")
    text = resource(catalog, "file:/etc/systemd/system/provision-web.service").spec["content"]
    assert "docker" not in text
    assert "e=podman" in text
    assert '"other"' in text


def test_without_systemd_the_engine_brings_it_back(tmp_path: Path) -> None:
    catalog = compiled(tmp_path, "restart: on-failure", USER)
    container = resource(catalog, "container:web")
    assert (container.spec["restart"], container.spec["unit"]) == ("on-failure", None)
    assert not [each for each in catalog.resources if each.type == "file"]
    assert catalog.services[0].supervisor == "engine"


def test_a_secret_is_a_reference_until_the_request_is_built(tmp_path: Path) -> None:
    spec = resource(compiled(tmp_path, "env: {A: b, KEY: {env: X}}"), "container:web").spec
    assert spec["env"]["A"] == "b"
    assert isinstance(spec["env"]["KEY"], SecretText)
    assert spec["secrets"] == ["KEY"]


def test_a_mounted_file_restarts_it_and_a_directory_does_not(tmp_path: Path) -> None:
    more = (
        "  directories: {/srv/data: null}\n"
        "  files: {/srv/data/a.conf: {content: a}, /srv/database: {content: b}}\n"
    )
    catalog = compiled(tmp_path, "volumes: ['/srv/data:/data:ro,z']", more=more)
    assert resource(catalog, "file:/srv/data/a.conf").triggers == ["web"]
    assert resource(catalog, "file:/srv/database").triggers == []
    assert resource(catalog, "directory:/srv/data").triggers == []
    container = resource(catalog, "container:web")
    assert {"file:/srv/data/a.conf", "directory:/srv/data"} <= set(container.needs)
    volume = {"source": "/srv/data", "target": "/data", "read_only": True, "label": "z"}
    assert container.spec["volumes"] == [volume]


@pytest.mark.parametrize(
    ("service", "url", "checks"),
    [
        ("ports: ['8000:80']", "http://127.0.0.1:8000", [{"type": "port"}]),
        ("ports: ['53:53/udp', '10.0.0.9:81:80']", "http://10.0.0.9:81", [{"type": "port"}]),
        ("ports: ['[::1]:81:80']", "http://[::1]:81", [{"type": "port"}]),
        ("ports: ['53:53/udp']", "", [{"type": "running", "seconds": 3}]),
        ("restart: 'no'", "", [{"type": "running", "seconds": 3}]),
    ],
)
def test_what_proves_it_when_no_check_is_declared(
    tmp_path: Path, service: str, url: str, checks: list[dict[str, Any]]
) -> None:
    spec = resource(compiled(tmp_path, service), "probe:web").spec
    assert (spec["url"], spec["checks"], spec["container"]) == (url, checks, "web")


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("network: host, ports: ['8000:80']", "with `network: host` nothing maps port 8000 to 80"),
        ("network: host, ports: ['127.0.0.1:80:80']", "with `network: host` nothing maps"),
        ("network: none, ports: ['80:80']", "with `network: none` nothing can be published"),
        ("network: 'a b'", "expected the name of a network"),
        ("ipc: host, shm_size: 1GB", "with `ipc: host` it has no /dev/shm of its own"),
        ("volumes: ['/a:/x', '/b:/x']", "two volumes are mounted at '/x'"),
        ("volumes: ['/a:/x:rx']", "'rx' is no option of a volume known here"),
        ("checks: [{http: /}]", "a check needs a published tcp port"),
        ("ports: ['53:53/udp'], checks: [{http: /}]", "a check needs a published tcp port"),
        ("ports: ['80:80'], api_key_env: KEY", "there is no variable `KEY` in `env`"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, service: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        compiled(tmp_path, service)
    assert said in str(error.value.problems[0])


@pytest.mark.parametrize(
    ("service", "url", "model"),
    [
        ("command: [--served-model-name, m]", "http://127.0.0.1:80", "m"),
        ("command: serve --served-model-name=m --ssl-certfile /c", "https://127.0.0.1:80", "m"),
        ("served_model_name: other, command: [--served-model-name, m]", "http://127.0.0.1:80", "other"),
        ("tls: {ca: /etc/ca.pem}", "https://127.0.0.1:80", None),
    ],
)
def test_it_is_asked_as_any_server(tmp_path: Path, service: str, url: str, model: str | None) -> None:
    key = "env: {KEY: {env: CHAT_KEY}}, api_key_env: KEY"
    catalog = compiled(tmp_path, f"ports: ['80:80'], checks: [{{chat: hi}}], {key}, {service}")
    spec = resource(catalog, "probe:web").spec
    assert (spec["url"], spec["model"], spec["key_name"]) == (url, model, "KEY")
    assert spec["checks"][0]["type"] == "chat"
    assert catalog.services[0].url == url.replace("127.0.0.1", "10.0.0.1")


def test_the_key_of_a_known_server_needs_no_name(tmp_path: Path) -> None:
    key = "env: {VLLM_API_KEY: {env: CHAT_KEY}}"
    catalog = compiled(tmp_path, f"ports: ['80:80'], checks: [{{chat: hi}}], {key}")
    assert resource(catalog, "probe:web").spec["key_name"] == "VLLM_API_KEY"
