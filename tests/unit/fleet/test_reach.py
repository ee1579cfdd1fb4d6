"""What a service is told to read and write is there inside its unit, or an error says why not."""

from __future__ import annotations

import pytest

from provision.catalog.catalog import Catalog
from provision.catalog.render import render_tree
from provision.kinds.common.paths import paths_in
from provision.wire.server import Access, Written
from provision.wire.specs.unit import UnitSpec
from tests.unit.fleet.conftest import LOCAL, Project, record

PLAY = """
- hosts: all
  environments:
    e: {{packages: ["vllm==0.33.0", funasr, fastapi, uvicorn, python-multipart]}}
  models:
    m: {{path: /data/m}}
  directories: {directories}
  services:
    s: {{{service}}}
"""

VLLM = "kind: vllm, environment: e, model: m"
ASR = "kind: asr, environment: e, model: m, vad_model: m"
PROGRAM = "kind: program, command: [/usr/bin/app]"


def play(service: str, directories: str = "{}") -> str:
    return PLAY.format(service=service, directories=directories)


def unit(catalog: Catalog) -> list[str]:
    text: str = render_tree(catalog)["/etc/systemd/system/provision-s.service"][0]
    return text.splitlines()


def opened(catalog: Catalog) -> list[str]:
    """Return the directories that the unit may write to."""
    lines = [line for line in unit(catalog) if line.startswith("ReadWritePaths=")]
    return [line.partition("=-")[2].strip('"') for line in lines]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("/home/ops/a.jinja", ["/home/ops/a.jinja"]),
        ("--config=/home/ops/app.yml", ["/home/ops/app.yml"]),
        ("sql=/home/ops/lora/sql", ["/home/ops/lora/sql"]),
        ("/a/x:/b:relative", ["/a/x", "/b"]),
        ("/a/x,/b", ["/a/x", "/b"]),
        ('{"model": "/data/d", "k": ["/tmp/y"]}', ["/data/d", "/tmp/y"]),
        ("file:///home/x/y", ["/home/x/y"]),
        ("unix:///run/x.sock", ["/run/x.sock"]),
        ("unix:/run/x.sock", ["/run/x.sock"]),
        ("sqlite:////data/x.db", ["/data/x.db"]),
        ("-c/etc/x", ["/etc/x"]),
        ("cat /home/a >/var/b", ["/home/a", "/var/b"]),
        ("/home/ops/../../root/./x/", ["/root/x"]),
        ("https://host:80/home/x", []),
        ("iic/SenseVoiceSmall", []),
        ("/", []),
    ],
)
def test_the_paths_in_a_text(text: str, paths: list[str]) -> None:
    assert paths_in(text) == paths


@pytest.mark.parametrize(
    "service",
    [
        f"{VLLM}, chat_template: /home/ops/q.jinja",
        f"{VLLM}, extra_args: [--tool-parser-plugin, /home/ops/p.py]",
        f"{VLLM}, extra_args: [--enable-lora, --lora-modules, sql=/home/ops/lora/sql]",
        f"{VLLM}, extra_args: [--speculative-config, {{model: /home/ops/draft, n: 3}}]",
        f"{VLLM}, env: {{PYTHONPATH: '/opt/x:/home/ops/plugins'}}",
        f"{ASR}, env: {{HOTWORDS: /home/ops/hot.txt}}",
        "kind: program, command: [/usr/bin/app, --config=/home/ops/app.yml]",
        "kind: program, command: app --socket unix:/run/user/1000/app.sock",
        f"{PROGRAM}, working_directory: /home/ops/app",
        f"{PROGRAM}, writable: [/home/ops/app]",
    ],
)
def test_a_path_in_a_home_is_seen(project: Project, service: str) -> None:
    assert "ProtectHome=read-only" in unit(project.compile(play(service)))


def test_homes_are_hidden_when_nothing_is_in_one(project: Project) -> None:
    catalog = project.compile(play(f"{VLLM}, served_model_name: /home/x, checks: [{{http: /home/x}}]"))
    assert "ProtectHome=yes" in unit(catalog)
    assert record(catalog, "unit:s", UnitSpec).access is None


@pytest.mark.parametrize(
    ("service", "key"),
    [
        (f"{VLLM}, chat_template: /tmp/q.jinja", "chat_template"),
        (f"{VLLM}, extra_args: [--uds, /tmp/v.sock]", "uds"),
        (f"{VLLM}, env: {{HF_HOME: /var/tmp/hf}}", "HF_HOME"),
        (f"{PROGRAM}, working_directory: /tmp/x", "working_directory"),
        ("kind: program, command: [app, --log=/tmp/x.log]", "command"),
    ],
)
def test_a_path_below_a_private_tmp_is_an_error_with_a_way_out(
    project: Project, service: str, key: str
) -> None:
    (problem,) = project.problems(play(service))
    assert "does not see" in problem
    line, column = problem.split(":")[1:3]
    declared = (project.root / "playbooks/one.yml").read_text().splitlines()[int(line) - 1]
    assert key in declared[: int(column) + len(key)]
    catalog = project.compile(play(f"{service}, sandbox: {{PrivateTmp: no}}"))
    assert "PrivateTmp=no" in unit(catalog)
    assert {"/tmp", "/var/tmp"} <= set(opened(catalog))
    project.compile(play(f"{service}, supervisor: script"))


def test_tmp_itself_and_lists_of_places_are_no_error(project: Project) -> None:
    catalog = project.compile(play(f"{VLLM}, env: {{TMPDIR: /tmp, PATH: '/tmp/bin:/root/bin:/usr/bin'}}"))
    assert opened(catalog) == []


def test_a_file_in_roots_home_is_an_error_for_others(project: Project) -> None:
    service = f"{VLLM}, chat_template: /root/q.jinja"
    (problem,) = project.problems(play(service))
    assert "runs as provision, who cannot read /root/q.jinja" in problem
    assert "ProtectHome=read-only" in unit(project.compile(play(f"{service}, user: root")))


@pytest.mark.parametrize(
    ("service", "directories", "expected"),
    [
        (f"{VLLM}, writable: [/data/a, /data/b]", "{}", ["/data/a", "/data/b"]),
        (f"{ASR}, writable: [/data/a]", "{}", ["/data/a"]),
        (f"{VLLM}, env: {{HF_HOME: /data/hf, VLLM_CACHE_ROOT: /data/v}}", "{}", ["/data/hf", "/data/v"]),
        (f"{VLLM}, env: {{HF_HOME: /data/c/hf}}", "{/data/c: {owner: provision}}", ["/data/c"]),
        (f"{PROGRAM}, env: {{OLLAMA_MODELS: /data/ollama}}", "{}", ["/data/ollama"]),
        (f"{PROGRAM}, env: {{APP_CACHE_DIR: /data/x, CUDA_HOME: /usr/local/cuda}}", "{}", ["/data/x"]),
        (f"{VLLM}, extra_args: [--download-dir, /data/hf]", "{}", ["/data/hf"]),
        (f"{VLLM}, extra_args: [--uds, /run/vllm/v.sock]", "{}", ["/run/vllm"]),
        ("kind: program, command: [app, --log-dir=/data/log, --in, /data/in]", "{}", ["/data/log"]),
        ("kind: program, command: [app, --store, /data/s]", "{/data/s: {owner: provision}}", ["/data/s"]),
        ("kind: program, command: [app, --store, /data/s]", "{/data/s: }", []),
        (f"{PROGRAM}, env: {{HF_HOME: /var/cache/provision/s/hf}}", "{}", []),
    ],
)
def test_what_it_may_write_to(project: Project, service: str, directories: str, expected: list[str]) -> None:
    assert opened(project.compile(play(service, directories))) == expected


def test_what_the_host_looks_at(project: Project) -> None:
    service = (
        f"{VLLM}, chat_template: /home/ops/q, writable: [/data/w], "
        "env: {HF_HOME: /data/c/hf, XY_LOG_DIR: /l}"
    )
    catalog = project.compile(play(service, "{/data/c: {owner: provision}}"))
    assert record(catalog, "unit:s", UnitSpec).access == Access(
        user="provision",
        read=["/home/ops/q"],
        write=[
            Written(path="/data/c/hf", because="HF_HOME", said=False, made=True),
            Written(path="/data/w", because="writable", said=True, made=False),
        ],
    )


def test_a_directory_below_run_is_made_at_each_start(project: Project) -> None:
    catalog = project.compile(play(f"{VLLM}, extra_args: [--uds, /run/vllm/chat/v.sock]"))
    assert "RuntimeDirectory=vllm/chat" in [line.replace('"', "") for line in unit(catalog)]
    assert record(catalog, "unit:s", UnitSpec).access is None
    catalog = project.compile(play(f"{VLLM}, extra_args: [--uds, /run/v.sock]"))
    access = record(catalog, "unit:s", UnitSpec).access
    assert access is not None
    assert [(each.path, each.made) for each in access.write] == [("/run", False)]


def test_hardening_is_lifted_for_one_service_and_told(project: Project) -> None:
    service = (
        f"{PROGRAM}, sandbox: {{ProtectHome: no, RestrictNamespaces: no, "
        "RestrictAddressFamilies: [AF_PACKET], AmbientCapabilities: [CAP_NET_RAW], ProtectSystem: full, "
        "UMask: '0022'}"
    )
    catalog = project.compile(play(service) + f"    t: {{{PROGRAM}}}\n")
    lines = unit(catalog)
    for line in (
        "ProtectHome=no",
        "RestrictNamespaces=no",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET",
        "AmbientCapabilities=CAP_NET_RAW",
        "CapabilityBoundingSet=CAP_NET_RAW",
        "ProtectSystem=full",
        "UMask=0022",
        "NoNewPrivileges=yes",
    ):
        assert line in lines
    other = render_tree(catalog)["/etc/systemd/system/provision-t.service"][0]
    assert "ProtectHome=yes\n" in other
    assert "CapabilityBoundingSet=\n" in other
    (note,) = [each.message for each in catalog.notes]
    assert note.startswith("service s: its unit is opened by ProtectHome=no, ProtectSystem=full,")


def test_new_privileges_need_all_that_forbids_them_lifted(project: Project) -> None:
    lines = unit(project.compile(play(f"{PROGRAM}, sandbox: {{NoNewPrivileges: no}}")))
    for line in (
        "NoNewPrivileges=no",
        "RestrictSUIDSGID=no",
        "SystemCallArchitectures=",
        "CapabilityBoundingSet=~",
    ):
        assert line in lines


def test_under_a_script_nothing_is_confined_and_that_is_said(project: Project) -> None:
    service = f"{PROGRAM}, writable: [/data/x], sandbox: {{ProtectHome: no}}"
    (note,) = [each.message for each in project.compile(play(service), hosts=LOCAL).notes]
    assert "sandbox has no effect here" in note
