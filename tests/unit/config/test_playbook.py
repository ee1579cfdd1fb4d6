# ruff: noqa: E501 (inputs and messages are easier to compare on one line)

from __future__ import annotations

import time
from pathlib import Path

import pytest

from provision.config.inventory import load_inventories
from provision.config.playbook import load_playbook
from provision.config.problems import Position
from provision.kinds.asr.fields import AsrService
from provision.kinds.container.fields import ContainerService
from provision.kinds.vllm.fields import VllmService
from tests.unit.config.conftest import Project


def test_a_whole_play(project: Project) -> None:
    play = project.play(
        """\
        - name: everything
          hosts: [gpu, "!none*", localhost, "!localhost"]
          tags: models
          vars: {root: /data, gpus: [0, 1], big: true}
          packages: [git, "python3-venv", "foo=1:1.2-3~deb"]
          groups: {video: {gid: 44, system: true}, render: }
          users: {ops: {uid: 1000, groups: [video], home: /home/ops, shell: /bin/bash}}
          directories: {"{{ root }}/model": {mode: 0755, owner: ops}, /var/x: }
          files:
            /etc/a.conf: {content: "root={{ root }}\\n", validate: [check, "{path}"]}
            /etc/b.conf: {template: b.j2, mode: "640"}
            /etc/key: {content: {env: KEY}}
          commands:
            nvidia: {run: "modprobe nvidia", unless: [test, -e, /dev/nvidia0], timeout: 2m, env: {A: "1"}}
          environments: {vllm: {python: python3.12, packages: ["vllm==0.33.0"], find_links: [/data/wheels]}, empty: }
          models:
            r1: {modelscope: deepseek-ai/R1}
            hf: {huggingface: gpt2, token: {file: token}}
            local: {path: "{{ root }}/x"}
          services:
            r1:
              kind: vllm
              environment: vllm
              model: r1
              gpus: "{{ gpus }}"
              enforce_eager: "{{ big }}"
              port: "{{ port }}"
              served_model_name: one
              max_model_len: 8k
              env: {A: 1, B: {env: TOKEN}, C: on}
              checks: [{chat: 你好}, {chat: {system: s, user: u}, expect: x}, {http: /health, status: 204}]
            asr: {kind: asr, environment: vllm, model: r1, vad_model: hf, port: 8100}
            box: {kind: container, image: "x:1", gpus: all, command: "serve --port 80"}
        """
    )
    assert play.fields.name == "everything"
    assert play.playbook == "p"
    assert play.fields.tags == ["models"]
    assert play.fields.groups["render"].gid is None
    assert play.fields.directories["/data/model"].mode == "0755"
    assert play.fields.files["/etc/a.conf"].content == "root=/data\n"
    assert play.fields.files["/etc/a.conf"].validator == ["check", "{path}"]
    assert play.fields.files["/etc/b.conf"].mode == "0640"
    assert play.fields.files["/etc/key"].secret
    assert play.fields.commands["nvidia"].timeout == 120.0
    assert play.fields.environments["empty"].packages == []
    assert play.fields.models["r1"].revision == "master"
    assert play.fields.models["hf"].revision == "main"
    assert play.fields.models["local"].path == "/data/x"
    r1, asr, box = (play.fields.services[name] for name in ("r1", "asr", "box"))
    assert isinstance(r1, VllmService)
    assert (r1.gpus, r1.enforce_eager, r1.port) == ([0, 1], True, 8002)
    assert r1.served_model_name == ["one"]
    assert {key: str(value) for key, value in r1.env.items()} == {"A": "1", "B": "***", "C": "on"}
    assert [check.type for check in r1.checks] == ["chat", "chat", "http"]
    assert r1.checks[0].chat is not None
    assert r1.checks[0].chat.user == "你好"
    assert isinstance(asr, AsrService)
    assert (asr.port, asr.use_itn, asr.batch_size_s) == (8100, True, 60)
    assert isinstance(box, ContainerService)
    assert box.command == ["serve", "--port", "80"]


def test_own_keys_are_free_everywhere(project: Project) -> None:
    play = project.play(
        """\
        - hosts: gpu
          x-common: &common {environment: v, model: m, x-note: "{{ not rendered"}
          vars: {headers: {x-api: 1}, seen: "{{ headers['x-api'] }}"}
          services:
            x-unused: 5
            a: {<<: *common, kind: vllm, x-owner: me}
        """
    )
    assert list(play.fields.services) == ["a"]
    assert play.variables["seen"] == 1


def test_positions_through_templated_keys(project: Project) -> None:
    play = project.play("- hosts: gpu\n  vars: {d: /data}\n  directories:\n    '{{ d }}/a': {mode: 0755}\n")
    assert play.where("directories", "/data/a") == Position("p.yml", 4, 18)
    assert play.where("directories", "/data/a", "mode") == Position("p.yml", 4, 25)
    assert play.where("directories", "/data/a", key=True) == Position("p.yml", 4, 5)


def test_levels_of_variables(project: Project) -> None:
    project.write(
        "inventories/a.yml",
        """\
        vars: {a: inventory, b: inventory, c: inventory, d: inventory, e: inventory, f: inventory}
        hosts: {h: {vars: {d: host, e: host, f: host}}}
        groups:
          child: {hosts: [h], vars: {c: child}}
          parent: {groups: [child], vars: {b: parent, c: parent, d: parent}}
        """,
    )
    text = (
        "- hosts: h\n  vars: {e: play, f: play}\n  name: '{{ a }} {{ b }} {{ c }} {{ d }} {{ e }} {{ f }}'\n"
    )
    assert project.play(text, extra={"f": "-e"}).fields.name == "inventory parent child host play -e"


def test_variables_may_use_others(project: Project) -> None:
    text = "- hosts: gpu\n  vars: {a: '{{ b }}/x', b: '/{{ port }}', c: ['{{ a }}', {k: '{{ b }}'}]}\n  name: '{{ c[1].k }}'\n"
    play = project.play(text)
    assert play.fields.name == "/8002"
    assert play.variables["c"] == ["/8002/x", {"k": "/8002"}]


def test_the_place_of_the_playbook_is_known(project: Project, tmp_path: Path) -> None:
    inventory = load_inventories([], Path())
    path = project.write(
        "playbooks/x.yml", "- hosts: localhost\n  name: '{{ playbook_dir }} {{ project_dir }}'\n"
    )
    play = load_playbook(path).plays[0].for_host(inventory.host("localhost"))
    assert play.fields.name == f"{tmp_path}/playbooks {tmp_path}"


def test_facts_of_the_inventory(project: Project) -> None:
    project.write("inventories/a.yml", "hosts: {a: {address: 10.0.0.1}, b: }\ngroups: {g: {hosts: [a, b]}}")
    text = "- hosts: b\n  name: '{{ host.name }} {{ hosts.a.address }} {{ hosts[groups.g[1]].address }} {{ host.groups[0] }}'\n"
    assert project.play(text).fields.name == "b 10.0.0.1 b g"


def test_hosts_with_the_same_data_share_it(project: Project) -> None:
    project.write("inventories/a.yml", "hosts: {a: {vars: {n: 1}}, b: {vars: {n: 1}}, c: {vars: {n: 2}}}")
    a, b, c = project.plays("- hosts: all\n  name: 'n{{ n }}'\n")
    assert a.fields is b.fields
    assert a.fields is not c.fields
    assert a.host.name == "a"


def test_true_is_not_one(project: Project) -> None:
    project.write("inventories/a.yml", "hosts: {a: {vars: {n: 1}}, b: {vars: {n: true}}}")
    assert project.errors(
        "- hosts: all\n  services: {s: {kind: vllm, environment: e, model: m, port: '{{ n }}'}}\n"
    ) == ["p.yml:2:62: `port`: expected a whole number, found true"]


def test_two_hundred_hosts_do_not_cost_two_hundred_validations(project: Project) -> None:
    hosts = "".join(f"  h{n}: {{address: 10.0.0.{n}, become: true, vars: {{n: {n}}}}}\n" for n in range(200))
    project.write("inventories/a.yml", f"hosts:\n{hosts}")
    services = "".join(
        f"    s{n}: {{kind: vllm, environment: e, model: m, port: {9000 + n}}}\n" for n in range(50)
    )
    text = f"- hosts: all\n  name: '{{{{ port | default(1) }}}}x'\n  services:\n{services}"
    project.play(text.replace("all", "h0"))
    started = time.process_time()
    one = load_playbook("p.yml").plays[0]
    one.for_host(load_inventories(None, Path()).host("h0"))
    single = time.process_time() - started
    inventory = load_inventories(None, Path())
    raw = load_playbook(project.write("p.yml", text)).plays[0]
    started = time.process_time()
    plays = [raw.for_host(host) for host in inventory.select("all")]
    assert len(plays) == 200
    assert len({id(play.fields) for play in plays}) == 1
    assert time.process_time() - started < 200 * single


def test_nothing_of_a_model_can_be_changed(project: Project) -> None:
    play = project.play("- hosts: gpu\n  services: {a: {kind: vllm, environment: e, model: m}}\n")
    with pytest.raises(Exception, match="frozen"):
        play.fields.services["a"].port = 5  # type: ignore[attr-defined]
