"""Each wrong input: the position and the message of its error."""

# ruff: noqa: E501 (a message is easier to compare on one line)

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.conftest import Project

VLLM = "- hosts: gpu\n  services:\n    r1:\n      kind: vllm\n      environment: e\n      model: m\n"
"""A play whose line 7 is the field under test."""

FORMS = "write {env: NAME}, {file: PATH}, {vault: PATH, key: NAME} or {command: [PROGRAM, ARGUMENT]}"
ONE_KEY = "`api_key`: a reference to a secret has one key: `env`, `file`, `vault` or `command`"


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("port: abc", "13: `port`: expected a whole number, found text 'abc'"),
        ("port: 70000", "13: `port`: expected a whole number from 1 to 65535, found the number 70000"),
        ("port: 0", "13: `port`: expected a whole number from 1 to 65535, found the number 0"),
        ("port: '8002'", "13: `port`: expected a whole number, found text '8002'; write 8002 without quotes"),
        ("port: 8002.5", "13: `port`: expected a whole number, found the number 8002.5"),
        ("port: true", "13: `port`: expected a whole number, found true"),
        ("port:", "7: `port`: expected a whole number, found nothing; give a value, or leave the key out"),
        ("port: [1]", "13: `port`: expected a whole number, found a list"),
        (
            "gpu_memory_utilization: 1.5",
            "31: `gpu_memory_utilization`: expected a number above 0 and at most 1, found the number 1.5",
        ),
        (
            "gpu_memory_utilization: 0",
            "31: `gpu_memory_utilization`: expected a number above 0 and at most 1, found the number 0",
        ),
        (
            "gpu_memory_utilization: '0.9'",
            "31: `gpu_memory_utilization`: expected a number, found text '0.9'; write 0.9 without quotes",
        ),
        ("max-num-seqs: 4", "7: unknown key `max-num-seqs`; did you mean `max_num_seqs`?"),
        ("max_num_seq: 4", "7: unknown key `max_num_seq`; did you mean `max_num_seqs`?"),
        ("zzz: 4", "7: unknown key `zzz`"),
        ("enforce_eager: yes", "22: `enforce_eager`: expected true or false, found text 'yes'; write true"),
        ("enforce_eager: off", "22: `enforce_eager`: expected true or false, found text 'off'; write false"),
        ("enforce_eager: 1", "22: `enforce_eager`: expected true or false, found the number 1"),
        ("dtype: 16", "14: `dtype`: expected text, found the number 16; put it in quotes"),
        ("dtype: ' '", "14: `dtype`: the text is empty"),
        (
            'dtype: "a\\nb"',
            "14: `dtype`: the text holds a line break or another control character; it must be one line",
        ),
        ("gpus: 0", "13: `gpus`: expected a list of GPUs, found the number 0; write [0]"),
        ("gpus: all", "13: `gpus`: expected a list of GPUs, found text 'all'; leave `gpus` out: then it uses all"),
        (
            "gpus: GPU-52a3a85d-3c55-ca3a-a955-82c69ed360fc",
            "13: `gpus`: expected a list of GPUs, found text 'GPU-52a3a85d-3c55-ca3a-a955-82c69ed360fc'; "
            "write [GPU-52a3a85d-3c55-ca3a-a955-82c69ed360fc]",
        ),
        (
            "gpus: [0, a]",
            "17: `gpus[1]`: expected the index or UUID of a GPU, found text 'a'; "
            "write its index, such as 0, or its UUID, GPU-… or MIG-… (`nvidia-smi -L` prints it)",
        ),
        ("gpus: ['1']", "14: `gpus[0]`: expected the index or UUID of a GPU, found text '1'; write 1 without quotes"),
        ("gpus: [-1]", "14: `gpus[0]`: expected the index of a GPU, 0 or more, found the number -1"),
        (
            "gpus: [0, GPU-52a3a85d]",
            "13: `gpus`: CUDA takes either indices or UUIDs, not both; write all as UUIDs, or all as indices",
        ),
        ("gpus: [0, 0]", "13: `gpus`: the number 0 is listed twice"),
        (
            "gpus: [0]\n      tensor_parallel_size: 2",
            "7: the parallel sizes need 2 GPUs, but `gpus` lists 1",
        ),
        ("enable_auto_tool_choice: true", "7: `enable_auto_tool_choice` needs `tool_call_parser`"),
        ("api_key: sk-abc123", f"16: `api_key`: expected a reference to a secret, found text; {FORMS}"),
        ("api_key: 12345", f"16: `api_key`: expected a reference to a secret, found a number; {FORMS}"),
        ("api_key: {envv: X}", f"16: {ONE_KEY}; did you mean `env`?"),
        ("api_key: {sk-verysecretvalue: X}", f"16: {ONE_KEY}; {FORMS}"),
        ("api_key: {env: X, file: y}", f"16: {ONE_KEY}; {FORMS}"),
        (
            "api_key: {env: a b}",
            "16: `api_key`: `env` expects the name of an environment variable; write {env: MY_API_KEY}",
        ),
        (
            "api_key: {command: pass show x}",
            "16: `api_key`: `command` expects a list: a program and its arguments, each a text; "
            "write {command: [pass, show, api-key]}",
        ),
        (
            "api_key: {file: 5}",
            "16: `api_key`: `file` expects the path of a file that holds the secret; "
            "write {file: secrets/api-key}",
        ),
        (
            "uvicorn_log_level: warn",
            "26: `uvicorn_log_level`: expected `critical`, `error`, `warning`, `info`, `debug` or `trace`, "
            "found text 'warn'; did you mean `warning`?",
        ),
        ("supervisor: upstart", "19: `supervisor`: expected `systemd` or `script`, found text 'upstart'"),
        (
            "env: {A: 1.5}",
            "16: `A`: expected text or a reference to a secret, found the number 1.5; put it in quotes",
        ),
        (
            "env: {A B: x}",
            "13: 'A B' cannot be the name of an environment variable; "
            "use letters, digits and _, beginning with a letter",
        ),
        (
            'env: {A: "x\\ny"}',
            "16: `A`: the text holds a line break or another control character; it must be one line",
        ),
        (
            "checks: [{chat: hi, http: /}]",
            "16: `checks[0]`: a check has one of `chat`, `completion`, `embed`, `rerank`, `score`, `classify`, `http` or `transcribe`, "
            "found `chat` and `http`",
        ),
        (
            "checks: [{}]",
            "16: `checks[0]`: a check has one of `chat`, `completion`, `embed`, `rerank`, `score`, `classify`, `http` or `transcribe`, "
            "found none of them",
        ),
        ("checks: [{chat: hi, status: 200}]", "27: `status` has no meaning for a `chat` check"),
        (
            "checks: [{chat: 5}]",
            "23: `chat`: expected text or a mapping with `user` and `system`, found the number 5",
        ),
        ("checks: {chat: hi}", "15: `checks`: expected a list, found a mapping"),
        ("checks: [{http: health}]", "23: `http`: expected a path, found text 'health'; write /health"),
        ("checks: [{transcribe: {file: a.wav}}]", "17: missing key `expect`"),
        (
            "start_timeout: 5 min",
            "22: `start_timeout`: expected a duration, found text '5 min'; write 90 (seconds), 90s, 5m or 1h30m",
        ),
        (
            "max_model_len: 8kk",
            "22: `max_model_len`: '8kk' is not a number of tokens; write 8192, 8k (8000) or 8K (8192)",
        ),
        (
            "max_model_len: 0",
            "22: `max_model_len`: expected a number of tokens, found the number 0; "
            "write 8192, 8k (8000) or 8K (8192)",
        ),
        ("extra_args: --swap-space", "19: `extra_args`: expected a list, found text '--swap-space'; write [--swap-space]"),
        ("extra_args: [--x, true]", "25: `extra_args[1]`: expected an argument, found true; "
                                    "leave the item out if its flag takes no value; else put it in quotes"),
        ("extra_args: [{--x: 1}]", "20: `extra_args[0]`: the flag --x and its value are two items; "
                                   'write ["--x", VALUE]'),
        ("extra_args: [--x, {env: X}]", "25: `extra_args[1]`: a secret on a command line would be seen by every "
                                        "user of the host; give it to the program by a variable of `env`"),
        (
            "extra_args: [--api-key=x]",
            "7: a key in `extra_args` would be seen by every user of the host; use `api_key`",
        ),
        ("user: Root", "13: `user`: 'Root' cannot be the name of a user or group; "
                       "use lower-case letters, digits, _ and -, beginning with a letter"),
        ("port: '{{ prot }}'", "13: undefined variable `prot`; did you mean `port`?"),
        ("port: '{{ port'", "13: the template has a syntax error: "
                            "unexpected end of template, expected 'end of print statement'"),
        ("port: '{{ host.name }}'", "13: `port`: expected a whole number, found text 'gpu-box'"),
        ("dtype: 'a{{ [1] }}'", "14: a list cannot be part of a text; use `{{ name }}` alone to keep the "
                                "value itself, or a filter such as `| join(' ')`"),
        ("dtype: '{{ 1 / 0 }}'", "14: the template cannot be rendered: division by zero"),
        ("dtype: '{{ host.nam }}'", "14: the template cannot be rendered: 'dict object' has no attribute 'nam'"),
    ],
)  # fmt: skip
def test_a_field_of_a_service(project: Project, field: str, message: str) -> None:
    assert project.errors(f"{VLLM}      {field}\n") == [f"p.yml:7:{message}"]


@pytest.mark.parametrize(
    ("play", "messages"),
    [
        ("hosts: gpu", ["1:1: a playbook is a list of plays, found a mapping; begin each play with `- hosts: …`"]),
        ("just text", ["1:1: a playbook is a list of plays, found text 'just text'; begin each play with `- hosts: …`"]),
        ("[]", ["1:1: the playbook has no plays"]),
        ("- gpu", ["1:3: a play is a mapping, found text 'gpu'; it begins with `hosts: …`"]),
        ("- name: x", ["1:3: missing key `hosts`; name a host, a group, or all"]),
        ("- hosts: 5", ["1:10: `hosts`: expected a host pattern or a list of them, found the number 5"]),
        ("- hosts: gpuu", ["1:10: no host or group matches 'gpuu'; did you mean `gpu`?"]),
        ("- hosts: 'web*'", ["1:10: no host or group matches 'web*'; hosts and groups: all, gpu, gpu-box, localhost, none"]),
        ("- hosts: none", ["1:10: the group 'none' has no hosts"]),
        ("- hosts: [gpu, '!gpu-box']", ["1:10: the host pattern 'gpu, !gpu-box' matches no host"]),
        ("- hosts: gpu\n  packges: [git]", ["2:3: unknown key `packges`; did you mean `packages`?"]),
        (
            "- hosts: gpu\n  rules: [a]",
            [
                "2:3: unknown key `rules`; known: commands, directories, environments, files, groups, hosts, "
                "models, name, packages, rollout, services, sysctls, tags, users, vars"
            ],
        ),
        ("- hosts: gpu\n  name: 3.5", ["2:9: `name`: expected text, found the number 3.5; put it in quotes"]),
        ("- hosts: gpu\n  packages: git", ["2:13: `packages`: expected a list, found text 'git'; write [git]"]),
        (
            "- hosts: gpu\n  packages: [git >= 2, Foo]",
            [
                "2:14: `packages[0]`: 'git >= 2' is not an apt package; did you mean `git=2`?",
                "2:24: `packages[1]`: 'Foo' is not an apt package; write \"name\" or \"name=version\"",
            ],
        ),
        ("- hosts: gpu\n  services: [a]", ["2:13: `services`: expected a mapping of keys to values, found a list"]),
        (
            "- hosts: gpu\n  services:\n    r1:",
            ["3:5: `r1`: expected a mapping of keys to values, found nothing; give a value, or leave the key out"],
        ),
        ("- hosts: gpu\n  services:\n    r1: {}", ["3:5: missing key `kind`; kinds: asr, container, gateway, program, ray, vllm"]),
        (
            "- hosts: gpu\n  services:\n    r1: {kind: vlm}",
            ["3:16: unknown kind `vlm`; did you mean `vllm`? (kinds: asr, container, gateway, program, ray, vllm)"],
        ),
        (
            "- hosts: gpu\n  services:\n    r1: {kind: nginx}",
            ["3:16: unknown kind `nginx`; kinds: asr, container, gateway, program, ray, vllm"],
        ),
        (
            "- hosts: gpu\n  services:\n    r1: {kind: vllm}",
            ["3:5: missing key `environment`", "3:5: missing key `model`"],
        ),
        (
            "- hosts: gpu\n  services:\n    c: {kind: asr, model: m, environment: e, vad_model: v, language: de, device: gpu, workers: 0}",
            [
                "3:70: `language`: expected `auto`, `zh`, `en`, `yue`, `ja`, `ko` or `nospeech`, found text 'de'",
                "3:82: `device`: expected a device, found text 'gpu'; write cpu, cuda, or cuda:1",
                "3:96: `workers`: expected a whole number from 1 to 256, found the number 0",
            ],
        ),
        (
            "- hosts: gpu\n  services:\n    c: {kind: container, image: a b, ports: ['80', '0:1', 80], volumes: [x], gpus: some}",
            [
                "3:33: `image`: 'a b' is not the name of an image; write one such as docker.io/library/nginx:1.29",
                "3:46: `ports[0]`: expected a published port, found text '80'; "
                'write "8000:8000" or "127.0.0.1:8000:8000/tcp"',
                "3:52: `ports[1]`: expected ports from 1 to 65535, found 0",
                '3:59: `ports[2]`: expected text, found the number 80; write "8000:8000" or "127.0.0.1:8000:8000/tcp"',
                "3:74: `volumes[0]`: expected a volume, found text 'x'; "
                "write /on/the/host:/in/the/container, with :ro if read-only",
                "3:84: `gpus`: expected `all` or a list of GPUs, found text 'some'; write all, or [0, 1]",
            ],
        ),
        (
            "- hosts: gpu\n  files: {/a: {}, /b: {content: x, source: y}, c: {content: x}, /d/: {content: x}}",
            [
                "2:15: `/a`: a file has one of `content`, `source` or `template`, found none of them",
                "2:23: `/b`: a file has one of `content`, `source` or `template`, found `content` and `source`",
                "2:48: expected an absolute path, found text 'c'",
                "2:65: the path '/d/' is not in its plain form; write `/d`",
            ],
        ),
        (
            "- hosts: gpu\n  files: {/a: {content: x, mode: 644}, /b: {content: x, mode: rw}, /c: {content: {env: A}, secret: false}}",
            [
                '2:34: `mode`: expected a file mode, found the number 644; put it in quotes: "0644"',
                "2:63: `mode`: expected a file mode, found text 'rw'; write it as \"0644\"",
                "2:92: a file whose content is a secret cannot be `secret: false`",
            ],
        ),
        ("- hosts: gpu\n  files: {/a/../b: {content: x}}", ["2:11: the path '/a/../b' is not in its plain form; write it without `..`"]),
        ("- hosts: gpu\n  files: {/a: {content: x, validate: [check]}}", ["2:28: `validate` must name the file; write {path} for its path"]),
        (
            "- hosts: gpu\n  models: {a: {}, b: org/name, c: /data/x, d: {path: /x, revision: y}, e: {modelscope: x}}",
            [
                "2:15: `a`: a model has one of `modelscope`, `huggingface` or `path`, found none of them",
                "2:22: `b`: expected a mapping of keys to values, found text 'org/name'; write {modelscope: org/name}",
                "2:35: `c`: expected a mapping of keys to values, found text '/data/x'; write {path: /data/x}",
                "2:58: `revision` has no meaning for a model that is on the host already (`path`); leave one of the two out",
                "2:88: `modelscope`: 'x' is not the id of a model; write owner/name",
            ],
        ),
        (
            "- hosts: gpu\n  environments: {a: {python: 3.12}, b: {python: '3.12'}, c: {index_url: 'https://u:p@x/'}, d: {index_url: x}}",
            [
                "2:30: `python`: expected a Python interpreter, found the number 3.12; write python3.12, or an absolute path",
                "2:49: `python`: '3.12' is not a Python interpreter; did you mean `python3.12`?",
                "2:73: `index_url`: a password does not belong in the YAML; let pip's own configuration on the host hold it",
                "2:107: `index_url`: expected a URL, found text 'x'; it begins with https://, http:// or file://",
            ],
        ),
        (
            "- hosts: gpu\n  commands: {x: {}, y: {run: []}, z: {run: 5, timeout: -1}}",
            [
                "2:14: missing key `run`",
                "2:30: `run`: expected a shell text or a list of arguments, found nothing",
                "2:44: `run`: expected a shell text or a list of arguments, found the number 5",
                "2:56: `timeout`: expected a duration between 0 and one year, found the number -1",
            ],
        ),
        (
            "- hosts: gpu\n  vars: {a-b: 1, host: 2}",
            [
                "2:10: 'a-b' is not a variable name; use letters, digits and _, beginning with a letter",
                "2:18: the variable name `host` is taken: it holds facts of the inventory",
            ],
        ),
        ("- hosts: gpu\n  vars: [a]", ["2:9: `vars`: expected a mapping of keys to values, found a list"]),
        ("- hosts: gpu\n  vars: {a: '{{ b }}', b: '{{ a }}'}", ["2:13: the variables a → b → a form a circle"]),
        ("- hosts: gpu\n  vars: {unused: '{{ nothing }}'}", ["2:18: undefined variable `nothing`; known variables: "
            "groups, host, hosts, playbook_dir, port, project_dir, unused"]),
        ("- hosts: gpu\n  directories: {'/{{ a }}': , '/{{ port }}': , '/8002': }", ["2:17: undefined variable `a`; known variables: "
            "groups, host, hosts, playbook_dir, port, project_dir", "2:48: the key `/8002` is given twice"]),
    ],
)  # fmt: skip
def test_a_play(project: Project, play: str, messages: list[str]) -> None:
    assert project.errors(play) == [f"p.yml:{message}" for message in messages]


@pytest.mark.parametrize(
    "name",
    ["a'b", 'a"b', "a\nb", "$(reboot)", "`id`", "a b", "../a", "a/b", "-a", ".a", "a;b", "é", "a" * 64],
)
def test_a_name_that_is_not_safe(project: Project, name: str) -> None:
    import json

    (message,) = project.errors(
        f"- hosts: gpu\n  services:\n    {json.dumps(name)}: {{kind: vllm, environment: e, model: m}}\n"
    )
    assert message.startswith("p.yml:3:5: the name '")
    assert message.endswith("; use letters, digits and . _ - (at most 63), beginning with a letter or digit")


def test_two_services_on_one_port(project: Project) -> None:
    text = """\
    - hosts: gpu
      services:
        a: {kind: vllm, environment: e, model: m, port: 8000}
        b: {kind: asr, environment: e, model: m, vad_model: v}
    - hosts: gpu
      services:
        c: {kind: container, image: x, ports: ["9000:80", "8000:80"]}
        d: {kind: program, command: serve, port: 9000}
    """
    assert project.errors(text) == [
        "p.yml:4:8: port 8000 of service `b` is taken by service `a` (p.yml:3:53); give one of them another port",
        "p.yml:7:55: port 8000 of service `c` is taken by service `a` (p.yml:3:53); give one of them another port",
        "p.yml:8:46: port 9000 of service `d` is taken by service `c` (p.yml:7:44); give one of them another port",
    ]


def test_ports_that_do_not_clash(project: Project) -> None:
    text = """\
    - hosts: gpu
      services:
        a: {kind: vllm, environment: e, model: m, host: 127.0.0.1, port: 8000}
        b: {kind: vllm, environment: e, model: m, host: 127.0.0.2, port: 8000}
        c: {kind: container, image: x, ports: ["8000:80/udp"]}
    """
    assert set(project.play(text).fields.services) == {"a", "b", "c"}


def test_two_services_of_one_name(project: Project) -> None:
    text = "- hosts: gpu\n  services: {a: {kind: container, image: x}}\n" * 2
    assert project.errors(text) == [
        "p.yml:4:14: the service `a` is declared already at p.yml:2:14; give one of them another name"
    ]


def test_all_problems_come_at_once(project: Project) -> None:
    text = "- hosts: gpu\n  packages: git\n  name: '{{ x }}'\n  services: {a: {kind: vllm, model: 5, port: 0}}\n- hosts: gpuu\n"
    assert [message.split(" ")[0] for message in project.errors(text)] == [
        "p.yml:2:13:",
        "p.yml:3:9:",
        "p.yml:4:14:",
        "p.yml:4:37:",
        "p.yml:4:46:",
        "p.yml:5:10:",
    ]


def test_no_error_repeats_what_may_be_a_secret(project: Project) -> None:
    for key in (
        "sk-secret",
        "{sk-secret: 1}",
        "[sk-secret]",
        "{env: [sk-secret]}",
        "{env: sk-secret}",
        "{file: [sk-secret]}",
    ):
        assert "sk-secret" not in "".join(project.errors(f"{VLLM}      api_key: {key}\n"))


def test_a_problem_that_all_hosts_share_is_told_once(project: Project) -> None:
    project.write("inventories/a.yml", "hosts: {a: , b: , c: {become: true}}")
    assert project.errors("- hosts: all\n  packages: [Git]\n") == [
        'p.yml:2:14: `packages[0]`: \'Git\' is not an apt package; write "name" or "name=version"'
    ]


def test_the_problem_is_where_the_value_is_not_where_it_is_used(project: Project) -> None:
    project.write("inventories/a.yml", "vars: {root: '/{{ bas }}', base: x}\nhosts: {a: }")
    assert project.errors("- hosts: a\n  directories: {'{{ root }}/d': }\n") == [
        "inventories/a.yml:1:14: undefined variable `bas`; did you mean `base`?"
    ]


def test_paths_are_named_as_they_were_given(project: Project, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    assert project.errors("- hosts: gpuu")[0].startswith("p.yml:1:10: ")
