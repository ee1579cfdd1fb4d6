"""Any program becomes a script, an env file, a unit or a process, and a proof."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provision.catalog.catalog import Catalog
from provision.catalog.render import render_tree
from provision.catalog.templates import shipped
from provision.wire import checks
from provision.wire.specs.probe import ProbeSpec
from provision.wire.specs.process import ProcessSpec
from tests.unit.fleet.conftest import LOCAL, Project, record, resource, spec

SCRIPT = "/opt/provision/services/web/start.sh"
UNIT = "/etc/systemd/system/provision-web.service"

PLAY = """
- hosts: all
  environments: {app: {packages: [modelscope]}}
  models: {qwen: {modelscope: owner/qwen}, mine: {path: /data/mine}}
  files: {/etc/web.conf: {content: a}, /srv/web/main.py: {content: b}, /srv/website.py: {content: c}}
  services:
    web: {kind: program, %s}
"""


def compiled(project: Project, service: str, **options: str) -> Catalog:
    return project.compile(PLAY % service, **options)


def script(catalog: Catalog) -> str:
    return render_tree(catalog)[SCRIPT][0]


def started(text: str, tmp_path: Path, *programs: str) -> list[str]:
    """Run a start script for real, with programs in `tmp_path` that only tell their arguments."""
    for name in programs:
        (tmp_path / name).write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    done = subprocess.run(["sh", "-c", text], capture_output=True, check=True, env={"PATH": path})
    return done.stdout.decode().split("\0")[:-1]


def test_one_option_a_line(project: Project) -> None:
    catalog = compiled(project, "command: 'llama-server --port 8080 --alias \"a b\" -ngl 99 --jinja x y'")
    lines = "exec llama-server \\\n  --port 8080 \\\n  --alias 'a b' \\\n  -ngl 99 \\\n  --jinja x y\n"
    assert script(catalog).endswith(f"\n{lines}")
    assert "PATH" not in script(catalog)


def test_the_programs_of_its_environment_come_first(project: Project, tmp_path: Path) -> None:
    catalog = compiled(project, "environment: app, command: serve 1, working_directory: /srv/web")
    text = script(catalog)
    programs = spec(catalog, "environment:app").path + "/bin"
    assert f'export PATH={programs}:"$PATH"\n' in text
    assert "\ncd /srv/web || exit\n" in text
    assert "environment:app" in resource(catalog, "unit:web").needs
    assert '\nReadWritePaths=-"/srv/web"\n' in render_tree(catalog)[UNIT][0]
    assert started(
        text.replace(programs, str(tmp_path)).replace("/srv/web", "/"),
        tmp_path,
        "serve",
    ) == ["1"]


def test_a_model_in_the_command_is_its_path(project: Project) -> None:
    service = (
        "command: [serve, -m, {model: qwen, file: q4/qwen.gguf}, --draft, {model: mine}], environment: app"
    )
    catalog = compiled(project, service)
    qwen = spec(catalog, "model:qwen").path
    assert f"-m {qwen}/q4/qwen.gguf \\\n  --draft /data/mine\n" in script(catalog)
    assert {"model:qwen", "model:mine"} <= set(resource(catalog, "unit:web").needs)
    assert resource(catalog, "model:qwen").triggers == ["web"]
    assert spec(catalog, "model:qwen").required == ["q4/qwen.gguf"]
    assert spec(catalog, "model:mine").required == []


def test_a_model_that_the_command_does_not_name(project: Project) -> None:
    catalog = compiled(project, "command: serve, models: [mine]")
    assert resource(catalog, "model:mine").triggers == ["web"]
    assert "/data/mine" not in script(catalog)


def test_declared_files_that_it_reads_restart_it(project: Project) -> None:
    catalog = compiled(project, "command: serve --config=/etc/web.conf, working_directory: /srv/web")
    triggers = {
        name: resource(catalog, f"file:{name}").triggers
        for name in ("/etc/web.conf", "/srv/web/main.py", "/srv/website.py")
    }
    assert triggers == {"/etc/web.conf": ["web"], "/srv/web/main.py": ["web"], "/srv/website.py": []}
    by_variable = compiled(project, "command: serve, env: {CONFIG: /etc/web.conf}")
    assert resource(by_variable, "file:/etc/web.conf").triggers == ["web"]


def test_gpus_are_those_of_cuda_and_none_need_no_driver(project: Project) -> None:
    catalog = compiled(project, "command: serve, gpus: [1, 3]")
    assert "export CUDA_VISIBLE_DEVICES=1,3\n" in script(catalog)
    assert "nvidia-modprobe" in render_tree(catalog)[UNIT][0]
    catalog = compiled(project, "command: serve, gpus: []")
    assert "export CUDA_VISIBLE_DEVICES=''\n" in script(catalog)
    assert "nvidia-modprobe" not in render_tree(catalog)[UNIT][0]


@pytest.mark.parametrize(
    ("service", "url", "model", "proofs"),
    [
        ("", "", None, [checks.Running()]),
        ("port: 81", "http://127.0.0.1:81", None, [checks.Port()]),
        ("port: 81, host: '::1'", "http://[::1]:81", None, [checks.Port()]),
        ("port: 81, checks: [{http: /ok}]", "http://127.0.0.1:81", None, [checks.Http(path="/ok")]),
        ("port: 81, checks: [{chat: hi}]", "http://127.0.0.1:81", None, [checks.Chat(user="hi")]),
        ("port: 81, tls: {}", "https://127.0.0.1:81", None, [checks.Port()]),
        ("socket: /run/web.sock", "unix:/run/web.sock", None, [checks.Port()]),
        (
            "port: 81, checks: [{completion: hi}], served_model_name: q",
            "http://127.0.0.1:81",
            "q",
            [checks.Completion(prompt="hi")],
        ),
    ],
)
def test_what_proves_it(
    project: Project, service: str, url: str, model: str | None, proofs: list[checks.Check]
) -> None:
    catalog = compiled(project, f"command: serve, {service}")
    probe = record(catalog, "probe:web", ProbeSpec)
    assert (probe.url, probe.model, probe.checks) == (url, model, proofs)
    (told,) = catalog.services
    assert told.facts.url == (url.replace("127.0.0.1", "10.0.0.12") or None)


def test_its_key_is_in_the_env_file_and_checks_send_it(project: Project) -> None:
    service = "command: serve, port: 81, env: {API_KEY: {env: K}}, api_key_env: API_KEY"
    catalog = compiled(project, service)
    probe = spec(catalog, "probe:web")
    assert (probe.key_name, probe.key_file) == ("API_KEY", "/opt/provision/services/web/env")
    assert spec(catalog, "file:/opt/provision/services/web/env").secret


def test_without_systemd_it_is_a_process(project: Project) -> None:
    catalog = compiled(project, "command: serve, port: 81, host: 127.0.0.1", hosts=LOCAL)
    process = record(catalog, "process:web", ProcessSpec)
    assert (process.port, process.bind) == (81, "127.0.0.1")
    assert record(compiled(project, "command: serve", hosts=LOCAL), "process:web", ProcessSpec).port is None


def test_its_unit_is_what_systemd_accepts(project: Project, tmp_path: Path) -> None:
    service = "command: serve, port: 81, working_directory: '/srv/a \"b\" %h'"
    file = tmp_path / "provision-web.service"
    file.write_text(render_tree(compiled(project, service))[UNIT][0], encoding="utf-8")
    argv = ["systemd-analyze", "verify", "--man=no", str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_is_asked_about_what_a_user_has_put_into_its_unit(project: Project) -> None:
    def asked(service: str) -> object:
        return spec(compiled(project, service), f"file:{UNIT}").validate

    assert asked("command: serve, port: 81") is None
    assert asked("command: serve, port: 81, sandbox: {PrivateTmp: no}") == "systemd"
    name = "service.unit.j2"
    project.write(f"playbooks/templates/{name}", (shipped() / name).read_text(encoding="utf-8"))
    assert asked("command: serve, port: 81") == "systemd"


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("command: []", "one.yml:7:35: `command`: the command is empty; begin it with a program"),
        ("command: ''", "the command is empty"),
        ("command: -m x", "the command begins with text '-m'; begin it with a program"),
        ("command: 'a \"b'", "the command has no closing quotation; write a list of arguments"),
        ("command: [a, 1.5]", "`command[1]`: expected an argument, found the number 1.5; write text"),
        ("command: [a, {env: sk-secret}]", "a secret on a command line would be seen by every user"),
        (
            "command: [a, {modell: x}]",
            "an argument that is not text has to name a model; write text, {model: NAME}",
        ),
        ("command: [a, {model: 5}]", "an argument that is not text has to name a model"),
        ("command: [a, {model: qwen, file: ../x}]", "`file` expects a path inside the model"),
        ("command: [a, {model: qwenn}]", "there is no model `qwenn`; did you mean `qwen`?"),
        ("command: a, models: [qwenn]", "there is no model `qwenn`; did you mean `qwen`?"),
        ("command: a, environment: appp", "there is no environment `appp`; did you mean `app`?"),
        ('command: [a, "b\\nc"]', "the text contains a line end"),
        ("command: a, checks: [{http: /}]", "a check needs a `port`"),
        ("command: a, api_key_env: KEY", "there is no variable `KEY` in `env`; add KEY: {env: NAME} to it"),
        ("command: a, gpus: [0], env: {CUDA_VISIBLE_DEVICES: 1}", "is what the field gpus sets"),
    ],
)
def test_what_cannot_be_meant(project: Project, service: str, said: str) -> None:
    (problem,) = project.problems(PLAY % service)
    assert said in problem
    assert "sk-secret" not in problem


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=12)


@settings(max_examples=40)
@given(words=st.lists(WORDS, min_size=1, max_size=6), variable=WORDS)
def test_no_argument_breaks_out(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], variable: str
) -> None:
    root = tmp_path_factory.mktemp("p")
    # What looks like a template to the playbook is none of this test's business.
    words = [word.replace("{", "(") for word in words]
    program = f"{root}/tell"
    command = json.dumps([program, *words], ensure_ascii=False)
    env = json.dumps({"A": variable.replace("{", "(")}, ensure_ascii=False)
    catalog = compiled(Project(root), f"command: {command}, env: {env}, sandbox: {{PrivateTmp: no}}")
    assert started(script(catalog), root, "tell") == words
