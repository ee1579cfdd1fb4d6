"""Whatever an error tells to write is accepted: each advice is followed, and leads into no other error."""

# ruff: noqa: E501 (a case is easier to read on one line)

from __future__ import annotations

import pytest
from packaging.version import Version

from provision.engines.vllm import releases
from provision.engines.vllm.successors import SUCCESSORS
from provision.kinds.vllm import extra_args
from provision.kinds.vllm.arguments import FIELD_OF
from tests.unit.fleet.conftest import Project

VLLM = "services: {s: {kind: vllm, environment: e, model: m, %s}}"
ASR = "services: {s: {kind: asr, environment: e, model: m, vad_model: m, %s}}"
PROGRAM = "services: {s: {kind: program, command: app, port: 8000, %s}}"
CONTAINER = "services: {s: {kind: container, image: 'x:1', %s}}"
ARGS = VLLM % "extra_args: [%s]"

CASES: list[tuple[str, str, str, str]] = [
    # where, what is wrong, the advice, what follows from it
    (VLLM, "port: '8002'", "write 8002 without quotes", "port: 8002"),
    (VLLM, "port: yes", "expected a whole number", "port: 8000"),
    (VLLM, "gpu_memory_utilization: '0.9'", "write 0.9 without quotes", "gpu_memory_utilization: 0.9"),
    (VLLM, "enforce_eager: 'yes'", "write true", "enforce_eager: true"),
    (VLLM, "enforce_eager: off", "write false", "enforce_eager: false"),
    (VLLM, "quantization: 16", "put it in quotes", "quantization: '16'"),
    (VLLM, "dtype: flaot16", "did you mean float16?", "dtype: float16"),
    (VLLM, "seed: '7'", "write 7 without quotes", "seed: 7"),
    (VLLM, "max_model_len: 8kk", "write 8192, 8k (8000) or 8K (8192)", "max_model_len: 8k"),
    (VLLM, "max_model_len: 8.5", "write 8192", "max_model_len: 8192"),
    (VLLM, "gpus: all", "leave `gpus` out", "port: 8000"),
    (VLLM, "gpus: 0", "write [0]", "gpus: [0]"),
    (VLLM, "gpus: '0,1'", "write [0, 1]", "gpus: [0, 1]"),
    (VLLM, "gpus: none", "write [] for none", "gpus: []"),
    (VLLM, "gpus: [a]", "write its index, such as 0", "gpus: [0]"),
    (VLLM, "gpus: ['0']", "write 0 without quotes", "gpus: [0]"),
    (VLLM, "gpus: GPU-52a3a85d-3c55-ca3a-a955-82c69ed360fc", "write [GPU-52a3a85d-3c55-ca3a-a955-82c69ed360fc]", "gpus: [GPU-52a3a85d-3c55-ca3a-a955-82c69ed360fc]"),
    (VLLM, "gpus: [0, GPU-52a3a85d]", "write all as UUIDs, or all as indices", "gpus: [GPU-52a3a85d]"),
    (VLLM, "start_timeout: 5 minutes", "write 90 (seconds), 90s, 5m or 1h30m", "start_timeout: 1h30m"),
    (VLLM, "tags: 5", "expected a list", "tags: ['5']"),
    (VLLM, "max_num_seq: 4", "did you mean `max_num_seqs`?", "max_num_seqs: 4"),
    (VLLM, "uvicorn_log_level: warn", "did you mean `warning`?", "uvicorn_log_level: warning"),
    (VLLM, "api_key: sk-x", "write {env: NAME}", "api_key: {env: NAME}"),
    (VLLM, "api_key: {command: pass x}", "write {command: [pass, show, api-key]}", "api_key: {command: [pass, show, api-key]}"),
    (VLLM, "api_key: {file: 5}", "write {file: secrets/api-key}", "api_key: {file: secrets/api-key}"),
    (VLLM, "api_key: {env: a b}", "write {env: MY_API_KEY}", "api_key: {env: MY_API_KEY}"),
    (VLLM, "user: 1000", "use lower-case letters", "user: ops"),
    (VLLM, "user: Root", "use lower-case letters", "user: root"),
    (VLLM, "env: {A: true}", "put it in quotes", "env: {A: 'true'}"),
    (VLLM, "env: {A: 0.5}", "put it in quotes", "env: {A: '0.5'}"),
    (VLLM, "env: {CUDA_VISIBLE_DEVICES: '0'}, gpus: [0]", "leave out one of the two", "gpus: [0]"),
    (VLLM, "writable: /data", "write [/data]", "writable: [/data]"),
    (VLLM, "writable: [/data/]", "write `/data`", "writable: [/data]"),
    (VLLM, "sandbox: {PrivateTmp: yes}", "leave it out, or write no", "sandbox: {PrivateTmp: no}"),
    (VLLM, "sandbox: {ProtectHome: tmpfs}", "write no or read-only", "sandbox: {ProtectHome: read-only}"),
    (VLLM, "sandbox: {privatetmp: no}", "did you mean `PrivateTmp`?", "sandbox: {PrivateTmp: no}"),
    (VLLM, "sandbox: {AmbientCapabilities: [SYS_NICE]}", "write it such as CAP_SYS_NICE", "sandbox: {AmbientCapabilities: [CAP_SYS_NICE]}"),
    (VLLM, "sandbox: {RestrictAddressFamilies: AF_PACKET}", "write no, or [AF_PACKET]", "sandbox: {RestrictAddressFamilies: [AF_PACKET]}"),
    (VLLM, "sandbox: {UMask: 22}", "put it in quotes", "sandbox: {UMask: '022'}"),
    (VLLM, "chat_template: /tmp/x", "set `sandbox: {PrivateTmp: no}`", "chat_template: /tmp/x, sandbox: {PrivateTmp: no}"),
    (VLLM, "chat_template: /root/x", "set `user: root`", "chat_template: /root/x, user: root"),
    (VLLM, "checks: [{http: health}]", "write /health", "checks: [{http: /health}]"),
    (VLLM, "checks: {http: /health}", "expected a list", "checks: [{http: /health}]"),
    (ARGS, "--max-log-len, true", "leave the item out if its flag takes no value; else put it in quotes", "--max-log-len, '1'"),
    (ARGS, "{--max-log-len: 5}", 'write ["--max-log-len", VALUE]', "--max-log-len, 5"),
    (ARGS, "--max-log-len, {a: 1}", "write each of its values as an item of its own", "--max-log-len, 1"),
    (ARGS, "--kv-transfer-config, x", "write its value as a mapping of YAML, {key: value}", "--kv-transfer-config, {key: value}"),
    (ARGS, "--config=x.yml", "write its flags as fields and in `extra_args`", "--max-log-len, 5"),
    (ARGS, "--config, x.yml", "write its flags as fields and in `extra_args`", "--max-log-len, 5"),
    (ARGS, "--max-log-len, 5, 6", "write one flag, then its value", "--max-log-len, 5"),
    (ARGS, "--enable-lora=true", "write --enable-lora alone", "--enable-lora"),
    (ARGS, "--max-num-queued-tokens, 1.5K", "write 1.5k, or a smaller unit", "--max-num-queued-tokens, 1.5k"),
    (ARGS, "--max-log-le, 5", "write --max-log-len in full", "--max-log-len, 5"),
    (ARGS, "100", "write one flag, then its value", "--max-log-len, 100"),
    (ARGS, "'--max-log-len 100'", "write them as items of their own: --max-log-len, 100", "--max-log-len, 100"),
    (ASR, "device: gpu", "write cpu, cuda, or cuda:1", "device: cuda:1"),
    (ASR, "device: GPU-52a3a85d, env: {CUDA_VISIBLE_DEVICES: '0'}", "leave the variable out", "device: GPU-52a3a85d"),
    (ASR, "language: cn", "expected", "language: zh"),
    (PROGRAM, "working_directory: app", "expected an absolute path", "working_directory: /app"),
    (PROGRAM, "working_directory: /srv//app", "write `/srv/app`", "working_directory: /srv/app"),
    (PROGRAM, "working_directory: 5", "expected text", "working_directory: /5"),
    (PROGRAM, "gpus: all", "leave `gpus` out", "host: 127.0.0.1"),
    (PROGRAM, "api_key_env: KEY", "add KEY: {env: NAME} to it", "api_key_env: KEY, env: {KEY: {env: NAME}}"),
    (CONTAINER, "user: 1000:x y", 'write 1000, "1000:1000"', 'user: "1000:1000"'),
    (CONTAINER, "shm_size: 16 gigs", "16g as docker does", "shm_size: 16g"),
    (CONTAINER, "shm_size: 16 gigs", "20GB", "shm_size: 20GB"),
    (CONTAINER, "shm_size: 16 gigs", "512MiB", "shm_size: 512MiB"),
    (CONTAINER, "gpus: some", "write all, or [0, 1]", "gpus: all"),
    (CONTAINER, "ports: [8000]", 'write "8000:8000"', 'ports: ["8000:8000"]'),
    (CONTAINER, "ports: 8000:8000", "write [8000:8000]", "ports: ['8000:8000']"),
    (CONTAINER, "volumes: [/data]", "write /on/the/host:/in/the/container", "volumes: [/on/the/host:/in/the/container]"),
    (CONTAINER, "volumes: ['/a:/b:shared']", "write ro, rw, z or Z", "volumes: ['/a:/b:rw']"),
    (CONTAINER, "network: 'a b'", "write host, bridge or none", "network: host"),
    (CONTAINER, "network: none, ports: ['1:1']", "leave out one of the two", "network: none"),
    (CONTAINER, "network: host, ports: ['8001:8000']", 'write "8000:8000"', "network: host, ports: ['8000:8000']"),
    (CONTAINER, "ipc: host, shm_size: 1g", "leave out one of the two", "ipc: host"),
    (CONTAINER, "devices: [davinci0]", "write /dev/name", "devices: [/dev/name]"),
    (CONTAINER, "devices: [davinci0]", "/dev/name:/dev/inside:rwm", "devices: [/dev/name:/dev/inside:rwm]"),
    (CONTAINER, "devices: [davinci0]", "amd.com/gpu=0", "devices: [amd.com/gpu=0]"),
    (CONTAINER, "devices: /dev/dri", "write [/dev/dri]", "devices: [/dev/dri]"),
    (CONTAINER, "cap_add: [sys-ptrace]", "write it such as SYS_PTRACE", "cap_add: [SYS_PTRACE]"),
    (CONTAINER, "group_add: [-1]", "write its number or its name", "group_add: [44, video]"),
    (CONTAINER, "ulimits: [memlock]", "write {memlock: -1, nofile: 65535}", "ulimits: {memlock: -1, nofile: 65535}"),
    (CONTAINER, "ulimits: {nofile: lots}", "nofile: {soft: 1024, hard: 65535}", "ulimits: {nofile: {soft: 1024, hard: 65535}}"),
    (CONTAINER, "labels: a", "write {com.example.owner: ops}", "labels: {com.example.owner: ops}"),
    (CONTAINER, "sysctls: a", "write {net.core.somaxconn: 1024}", "sysctls: {net.core.somaxconn: 1024}"),
    (CONTAINER, "extra_hosts: a", "write {hub.internal: 10.0.0.5}", "extra_hosts: {hub.internal: 10.0.0.5}"),
    (CONTAINER, "cpus: many", "write 1.5 or 8", "cpus: 1.5"),
    (CONTAINER, "cpuset: all", "write 0-3 or 0,1", "cpuset: 0-3"),
    (CONTAINER, "tmpfs: run", "write /run or /run:size=64m", "tmpfs: '/run:size=64m'"),
    (CONTAINER, "dns: hub.internal", "write it such as 10.0.0.2", "dns: 10.0.0.2"),
    (CONTAINER, "stop_signal: 2", "write it such as SIGINT", "stop_signal: SIGINT"),
    (CONTAINER, "pid: all", "write host", "pid: host"),
    (CONTAINER, "pid: private", "leave `pid` out", "init: true"),
    (CONTAINER, "hostname: a_b", "write it such as node-1", "hostname: node-1"),
    (CONTAINER, "env_file: web.env", "expected an absolute path", "env_file: /etc/web.env"),
    (CONTAINER, "healthcheck: {test: [curl]}", '["CMD", program, argument]', 'healthcheck: {test: ["CMD", program, argument]}'),
    (CONTAINER, "healthcheck: {test: [curl]}", '["CMD-SHELL", text]', 'healthcheck: {test: ["CMD-SHELL", text]}'),
    (CONTAINER, "writable: [/data]", "mount it: `volumes: [/data:/data]`", "volumes: ['/data:/data']"),
    (CONTAINER, "checks: [{http: /health}]", "add it to `ports`", "ports: ['80:80'], checks: [{http: /health}]"),
    (CONTAINER, "environment: {A: b}", "write `env`", "env: {A: b}"),
    (CONTAINER, "network_mode: host", "write `network`", "network: host"),
    (CONTAINER, "stop_grace_period: 1m", "write `stop_timeout`", "stop_timeout: 1m"),
    ("directories: {%s}", "/data/: {}", "write `/data`", "/data: {}"),
    ("directories: {%s}", "/data: {mode: 755}", 'put it in quotes: "0755"', '/data: {mode: "0755"}'),
    ("directories: {%s}", "/data: {mode: rwx}", 'write it as "0644"', '/data: {mode: "0644"}'),
    ("directories: {%s}", "/data: {owner: 1000}", "use lower-case letters", "/data: {owner: ops}"),
    ("files: {/a: {%s}}", "content: 5", "put it in quotes", "content: '5'"),
    ("files: {/a: {content: x, %s}}", "validate: [check]", "write {path} for its path", "validate: [check, '{path}']"),
    ("models: {m: {path: /data/m}, x: %s}", "org/name", "write {modelscope: org/name}", "{modelscope: org/name}"),
    ("models: {m: {path: /data/m}, x: %s}", "/data/x", "write {path: /data/x}", "{path: /data/x}"),
    ("models: {m: {path: /data/m}, x: %s}", "{modelscope: x}", "write owner/name", "{modelscope: owner/name}"),
    ("environments: {x: {%s}}", "python: 3.12", "write python3.12", "python: python3.12"),
    ("environments: {x: {%s}}", "python: '3.12'", "did you mean `python3.12`?", "python: python3.12"),
    ("packages: %s", "git", "write [git]", "[git]"),
    ("packages: %s", "[git >= 2]", "did you mean `git=2`?", "[git=2]"),
    ("packages: %s", "[Foo]", 'write "name" or "name=version"', '["name", "name=version"]'),
    ("commands: {c: {run: a, %s}}", "creates: x", "expected an absolute path", "creates: /x"),
    ("name: %s", "3.5", "put it in quotes", "'3.5'"),
]  # fmt: skip

BESIDE = {
    "environments": '{e: {packages: ["vllm==0.33.0", funasr, fastapi, uvicorn, python-multipart, modelscope]}}',
    "models": "{m: {path: /data/m}}",
}


def play(text: str) -> str:
    lines = [f"  {name}: {value}" for name, value in BESIDE.items() if not text.startswith(name)]
    return "\n".join(["- hosts: all", *lines, f"  {text}", ""])


@pytest.mark.parametrize(("where", "wrong", "advice", "right"), CASES)
def test_advice_that_is_followed_leads_into_no_other_error(
    project: Project, where: str, wrong: str, advice: str, right: str
) -> None:
    problems = project.problems(play(where % wrong))
    assert any(advice in problem for problem in problems), problems
    project.compile(play(where % right))


@pytest.mark.parametrize(
    ("service", "not_said"),
    [
        ("user: 1000", "put it in quotes"),
        ("gpus: all", "write [all]"),
        ("environment: 5", "put it in quotes; put"),
        ("port: '70000'", "write 70000 without quotes"),
    ],
)
def test_advice_that_would_lead_into_the_next_error_is_not_given(
    project: Project, service: str, not_said: str
) -> None:
    base = "kind: vllm, model: m" if "environment" in service else "kind: vllm, environment: e, model: m"
    assert not_said not in "".join(project.problems(play(f"services: {{s: {{{base}, {service}}}}}")))


@pytest.mark.parametrize("flag", sorted(SUCCESSORS))
def test_what_follows_a_flag_that_is_gone_is_there(flag: str) -> None:
    """Each flag that an advice tells to use is one of the newest release, and not one that a field is for."""
    newest: Version = releases.newest()
    words = SUCCESSORS[flag].replace(",", " ").replace(";", " ").replace("(", " ").replace(")", " ").split()
    use = SUCCESSORS[flag].startswith("use")
    for word in words if use else []:
        if word.startswith("--"):
            (*refusals,) = extra_args.check([word, "{}"], newest)
            about_flag = [each for each in refusals if "no flag" in each.message or "field" in each.message]
            assert not about_flag or FIELD_OF.get(word.partition(".")[0]) in SUCCESSORS[flag], refusals
