"""What a container service compiles to, and what its declaration may not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.catalog.catalog import Catalog, Resource
from provision.catalog.text import SecretText
from provision.config.problems import ConfigError
from provision.host.services.containers import settings
from provision.wire import checks
from provision.wire.specs.container import ContainerSpec, Volume
from provision.wire.specs.probe import ProbeSpec
from tests.unit.fleet.conftest import Project, record

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
    assert (container.spec.restart, container.spec.unit) == ("no", "provision-web.service")
    unit = resource(catalog, "file:/etc/systemd/system/provision-web.service")
    assert unit.id in container.needs
    assert unit.triggers == ["web"]
    text = unit.spec.content
    assert "Restart=always" in text
    assert "stop -t 7" in text
    assert "e=$$(command -v podman); " in text
    assert "After=network-online.target docker.service" in text


def test_a_named_engine_is_the_one_in_the_unit(tmp_path: Path) -> None:
    catalog = compiled(tmp_path, "engine: podman, name: other")
    text = resource(catalog, "file:/etc/systemd/system/provision-web.service").spec.content
    assert "docker" not in text
    assert "e=podman" in text
    assert '"other"' in text


def test_without_systemd_the_engine_brings_it_back(tmp_path: Path) -> None:
    catalog = compiled(tmp_path, "restart: on-failure", USER)
    container = resource(catalog, "container:web")
    assert (container.spec.restart, container.spec.unit) == ("on-failure", None)
    assert not [each for each in catalog.resources if each.type == "file"]
    assert catalog.services[0].facts.supervisor == "engine"


def test_a_secret_is_a_reference_until_the_request_is_built(tmp_path: Path) -> None:
    spec = resource(compiled(tmp_path, "env: {A: b, KEY: {env: X}}"), "container:web").spec
    assert spec.env["A"] == "b"
    assert isinstance(spec.env["KEY"], SecretText)
    assert spec.secrets == ["KEY"]


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
    volume = Volume(source="/srv/data", target="/data", read_only=True, label="z")
    assert container.spec.volumes == [volume]


@pytest.mark.parametrize(
    ("service", "url", "proofs"),
    [
        ("ports: ['8000:80']", "http://127.0.0.1:8000", [checks.Port()]),
        ("ports: ['53:53/udp', '10.0.0.9:81:80']", "http://10.0.0.9:81", [checks.Port()]),
        ("ports: ['[::1]:81:80']", "http://[::1]:81", [checks.Port()]),
        ("ports: ['53:53/udp']", "", [checks.Running()]),
        ("restart: 'no'", "", [checks.Running()]),
    ],
)
def test_what_proves_it_when_no_check_is_declared(
    tmp_path: Path, service: str, url: str, proofs: list[checks.Check]
) -> None:
    probe = record(compiled(tmp_path, service), "probe:web", ProbeSpec)
    assert (probe.url, probe.checks, probe.container) == (url, proofs, "web")


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("network: host, ports: ['8000:80']", "with `network: host` nothing maps port 8000 to 80"),
        ("network: host, ports: ['127.0.0.1:80:80']", "with `network: host` nothing maps"),
        ("network: none, ports: ['80:80']", "with `network: none` nothing can be published"),
        ("network: 'a b'", "expected the name of a network"),
        ("ipc: host, shm_size: 1GB", "with `ipc: host` it has no /dev/shm of its own"),
        ("volumes: ['/a:/x', '/b:/x']", "two volumes are mounted at '/x'"),
        ("volumes: ['/a:/x:rx']", "'rx' is not a known option of a volume"),
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
    probe = record(catalog, "probe:web", ProbeSpec)
    assert (probe.url, probe.model, probe.key_name) == (url, model, "KEY")
    assert probe.checks == [checks.Chat(user="hi")]
    assert catalog.services[0].facts.url == url.replace("127.0.0.1", "10.0.0.1")


def test_the_key_of_a_known_server_needs_no_name(tmp_path: Path) -> None:
    key = "env: {VLLM_API_KEY: {env: CHAT_KEY}}"
    catalog = compiled(tmp_path, f"ports: ['80:80'], checks: [{{chat: hi}}], {key}")
    assert resource(catalog, "probe:web").spec.key_name == "VLLM_API_KEY"


FULL = """
- hosts: all
  services:
    ascend:
      kind: container
      image: quay.io/ascend/vllm-ascend:v0.11.0
      devices: [/dev/davinci0, /dev/davinci_manager, /dev/devmm_svm, /dev/hisi_hdc]
      volumes: [/usr/local/dcmi:/usr/local/dcmi]
      shm_size: 16g
      ports: ["8000:8000"]
      entrypoint: [vllm, serve]
      command: [/models/m, --port, "8000"]
      ulimits: {memlock: -1, nofile: {soft: 1024, hard: 65535}}
      user: 1000
      runtime: ascend
      healthcheck: {test: [CMD, curl, -f, "http://localhost:8000/health"], interval: 30s, retries: 3}
    rocm:
      kind: container
      image: rocm/vllm:latest
      devices: [/dev/kfd, /dev/dri]
      group_add: [video, 110]
      cap_add: [SYS_PTRACE, CAP_IPC_LOCK]
      security_opt: ["seccomp:unconfined"]
      network: host
      ipc: host
      ports: ["8001:8001"]
      labels: {team: ops, gpu: true}
      extra_hosts: ["hub.internal:10.0.0.5"]
      mem_limit: 64g
      cpus: 8
"""


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_the_start_scripts_of_ascend_and_amd(project: Project, engine: str) -> None:
    catalog = project.compile(FULL)
    ascend, rocm = (record(catalog, f"container:{name}", ContainerSpec) for name in ("ascend", "rocm"))
    argv = settings.create_argv(ascend, "ascend", None, engine)
    words = " ".join(argv)
    runtime = "--runtime=ascend" if engine == "docker" else "--runtime ascend create"
    for part in (
        "--device=/dev/davinci0 --device=/dev/davinci_manager --device=/dev/devmm_svm --device=/dev/hisi_hdc",
        "--ulimit=memlock=-1:-1 --ulimit=nofile=1024:65535",
        "--user 1000",
        f"--shm-size {16 << 30}",
        "--health-cmd=curl -f http://localhost:8000/health",
        "--health-interval=30s",
        runtime,
        "--entrypoint vllm quay.io/ascend/vllm-ascend:v0.11.0 serve /models/m --port 8000",
    ):
        assert part in words
    words = " ".join(settings.create_argv(rocm, "rocm", None, engine))
    for part in (
        "--device=/dev/kfd --device=/dev/dri",
        "--group-add=video --group-add=110",
        "--cap-add=SYS_PTRACE --cap-add=IPC_LOCK",
        "--security-opt=seccomp=unconfined",
        "--label=gpu=true --label=team=ops",
        "--add-host=hub.internal:10.0.0.5",
        f"--memory={64 << 30}",
        "--cpus=8.0",
    ):
        assert part in words


@pytest.mark.parametrize(
    ("service", "message"),
    [
        ("environment: [A=b]", "unknown key `environment`; write `env`, a mapping"),
        ("container_name: x", "unknown key `container_name`; write `name`"),
        ("network_mode: host", "unknown key `network_mode`; write `network`"),
        ("depends_on: [db]", "leave it out: its program has to wait for the other"),
        ("deploy: {resources: {}}", "write `gpus` (all, or a list) for reserved devices"),
        ("stop_grace_period: 1m", "write `stop_timeout`"),
        ("device: [/dev/x]", "write `devices`, a list"),
        ("devices: [davinci0]", "expected a device, found text 'davinci0'; write /dev/name"),
        ("ulimits: {memlock: x}", "'memlock' expects a limit, found text 'x'; write memlock: 65535"),
        ("user: Root User", "expected a user"),
        ("cap_add: [sys-ptrace]", "expected a capability"),
        ("healthcheck: {test: [curl]}", "expected a command"),
        ("tmpfs: /data, volumes: ['/a:/data']", "two volumes are mounted at '/data'"),
        ("writable: [/data]", "mount it: `volumes: [/data:/data]`"),
        ("sandbox: {PrivateTmp: no}", "confined by its engine"),
    ],
)
def test_a_key_of_compose_that_is_not_had_names_its_counterpart(
    project: Project, service: str, message: str
) -> None:
    play = f"- hosts: all\n  services:\n    web: {{kind: container, image: 'web:1', {service}}}\n"
    (problem,) = project.problems(play)
    assert message in problem


def test_an_env_file_that_is_declared_restarts_it(project: Project) -> None:
    play = "- hosts: all\n  files: {/etc/web.env: {content: {env: WEB_ENV}}}\n  services:\n"
    play += "    web: {kind: container, image: 'web:1', env_file: /etc/web.env}\n"
    catalog = project.compile(play)
    assert resource(catalog, "file:/etc/web.env").triggers == ["web"]
    assert "file:/etc/web.env" in resource(catalog, "container:web").needs
