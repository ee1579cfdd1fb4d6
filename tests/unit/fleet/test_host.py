"""What a host gets from all its plays: one catalog, in an order that works."""

from __future__ import annotations

import re

import pytest

from provision.catalog.catalog import Resource
from provision.catalog.render import render_tree
from provision.fleet.graph import ordered
from provision.wire.specs.apt import Package
from provision.wire.specs.environment import Requirement
from provision.wire.specs.file import FileSpec
from tests.unit.fleet.conftest import LOCAL, Project, order, resource, spec

FULL = """
- hosts: all
  tags: [chat]
  packages: [git, "foo=1.2-3"]
  groups: {video: {gid: 44, system: true}}
  users: {ops: {group: video, shell: /bin/zsh}, app: {home: /srv/app}}
  directories:
    /data: {owner: ops}
    /data/conf: null
    /etc/apt/keyrings: null
    /srv/app: {owner: root}
  files:
    /srv/app/x/a.txt: {content: hello}
    /data/conf/a.txt: {content: hello, owner: ops}
    /etc/apt/sources.list.d/x.list: {content: "deb http://x"}
  commands:
    first: {run: "echo 1", creates: /tmp/1}
    second: {run: [echo, "2"], unless: "test -e /x", user: ops}
  environments:
    vllm: {packages: ["vllm==0.33.0", modelscope]}
  models:
    r1: {modelscope: deepseek-ai/R1, revision: master}
  services:
    r1: {kind: vllm, environment: vllm, model: r1, tags: [slow]}
"""


def environments(**packages: str) -> str:
    return "".join(f"    {name}: {{packages: [{given}]}}\n" for name, given in packages.items())


class TestOrder:
    @pytest.mark.parametrize(
        ("first", "then"),
        [
            ("file:/etc/apt/sources.list.d/x.list", "apt"),
            ("directory:/etc/apt/keyrings", "apt"),
            ("apt", "environment:vllm"),
            ("apt", "user:ops"),
            ("group:video", "user:ops"),
            ("user:ops", "directory:/data"),
            ("user:app", "directory:/srv/app"),
            ("directory:/srv/app", "file:/srv/app/x/a.txt"),
            ("directory:/data", "directory:/data/conf"),
            ("directory:/data/conf", "file:/data/conf/a.txt"),
            ("environment:vllm", "command:first"),
            ("file:/data/conf/a.txt", "command:first"),
            ("command:first", "command:second"),
            ("environment:vllm", "model:r1"),
            ("directory:/opt/provision/models/deepseek-ai", "model:r1"),
            ("command:second", "unit:r1"),
            ("model:r1", "unit:r1"),
            ("user:provision", "unit:r1"),
            ("directory:/opt/provision/services/r1", "file:/opt/provision/services/r1/env"),
            ("file:/opt/provision/services/r1/env", "unit:r1"),
            ("file:/etc/systemd/system/provision-r1.service", "unit:r1"),
            ("unit:r1", "probe:r1"),
        ],
    )
    def test_each_after_what_it_needs(self, project: Project, first: str, then: str) -> None:
        catalog = project.compile(FULL)
        place = order(catalog)
        assert place(first) < place(then)
        assert first in _closure(catalog.resources, then)

    def test_a_file_after_the_user_whose_group_it_gets(self, project: Project) -> None:
        text = "- hosts: gpu-box\n  users: {app: null}\n  files: {/etc/app: {content: x, group: app}}\n"
        assert resource(project.compile(text), "file:/etc/app").needs == ["user:app"]

    def test_a_cycle_is_named_once(self) -> None:
        a, b, c = (Resource(id, {}, id, [need]) for id, need in (("a", "b"), ("b", "c"), ("c", "b")))
        found, problems = ordered([a, b, c])
        assert [problem.message for problem in problems] == ["these need each other in a circle: b → c → b"]
        assert [resource.id for resource in found] == ["a"]

    def test_a_need_that_nothing_declares(self) -> None:
        _, problems = ordered(
            [
                Resource("unit:r1", {}, "service r1", ["model:r2"]),
                Resource("model:r1", {}, ""),
            ]
        )
        assert [str(problem) for problem in problems] == [
            "service r1 needs model:r2, which nothing declares; did you mean `model:r1`?"
        ]


class TestSpecs:
    def test_of_what_is_named_one_by_one(self, project: Project) -> None:
        catalog = project.compile(FULL)
        assert spec(catalog, "apt").packages == [Package(name="foo", version="1.2-3"), Package(name="git")]
        assert spec(catalog, "command:first").argv == ["/bin/sh", "-e", "-c", "echo 1"]
        assert spec(catalog, "command:second").argv == ["echo", "2"]
        assert spec(catalog, "command:second").unless == ["/bin/sh", "-e", "-c", "test -e /x"]
        file = FileSpec(path="/data/conf/a.txt", content="hello", owner="ops")
        assert spec(catalog, "file:/data/conf/a.txt") == file

    def test_of_an_environment(self, project: Project) -> None:
        assert spec(project.compile(FULL), "environment:vllm").requirements == [
            Requirement(raw="vllm==0.33.0", name="vllm", specifiers=[["==", "0.33.0"]]),
            Requirement(raw="modelscope", name="modelscope"),
        ]

    def test_models_go_below_model_root(self, project: Project) -> None:
        catalog = project.compile(FULL, vars="{model_root: /data/model}")
        model = spec(catalog, "model:r1")
        assert model.stem == "/data/model/deepseek-ai/R1"
        assert re.fullmatch(r"/data/model/deepseek-ai/\.[0-9a-f]{8}/R1", model.path)
        assert spec(catalog, "directory:/data/model/deepseek-ai").mode is None
        assert spec(catalog, "model:r1").python == spec(catalog, "environment:vllm").path + "/bin/python"

    def test_files_beside_the_playbook(self, project: Project) -> None:
        project.write("playbooks/a.txt", "as it is {{ x }}\n")
        project.write("playbooks/b.j2", "x is {{ x }}\n")
        catalog = project.compile(
            "- {hosts: all, vars: {x: 7}, files: {/a: {source: a.txt}, /b: {template: b.j2}}}"
        )
        assert spec(catalog, "file:/a").content == "as it is {{ x }}\n"
        assert spec(catalog, "file:/b").content == "x is 7\n"

    def test_what_is_wrong_with_them(self, project: Project) -> None:
        project.write("playbooks/b.j2", "\n{{ y }}\n")
        found = project.problems("- {hosts: all, files: {/a: {source: gone.txt}, /b: {template: b.j2}}}")
        assert "playbooks/b.j2:2:1: in the template: 'y' is undefined" in found
        assert any("gone.txt cannot be read: No such file" in problem for problem in found)


class TestMerging:
    def test_packages_are_united_and_equal_resources_shared(self, project: Project) -> None:
        catalog = project.compile(
            "- {hosts: all, packages: [git, foo], directories: {/data: {mode: '0755'}}}",
            "- {hosts: all, packages: [vim, foo=1], directories: {/data: {mode: '0755'}}}",
        )
        assert spec(catalog, "apt").packages == [
            Package(name="foo", version="1"),
            Package(name="git"),
            Package(name="vim"),
        ]
        assert resource(catalog, "directory:/data").playbooks == ["one", "two"]
        assert resource(catalog, "apt").playbooks == ["one", "two"]

    def test_unequal_ones_name_both_places(self, project: Project) -> None:
        found = project.problems(
            "- {hosts: all, directories: {/data: {mode: '0755'}}, packages: [foo=1]}",
            "- {hosts: all, directories: {/data: {mode: '0700'}}, packages: [foo=2]}",
        )
        assert len(found) == 2
        for problem in found:
            assert problem.startswith("playbooks/two.yml:1:")
            assert "playbooks/one.yml:1:" in problem

    def test_a_declared_directory_wins_over_an_implied_one(self, project: Project) -> None:
        text = FULL.replace(
            "    /data: {owner: ops}", "    /data: {owner: ops}\n    /opt/provision: {mode: '0750'}"
        )
        assert spec(project.compile(text), "directory:/opt/provision").mode == "0750"

    def test_shared_directories_belong_to_all(self, project: Project) -> None:
        second = (
            FULL.replace("r1:", "r2:")
            .replace("vllm:", "other:")
            .replace("environment: vllm", "environment: other")
        )
        second = second.replace("model: r1", "model: r2, port: 9000").replace(
            "deepseek-ai/R1", "deepseek-ai/R2"
        )
        catalog = project.compile(FULL, second)
        assert resource(catalog, "directory:/opt/provision/services").playbooks == ["one", "two"]
        assert resource(catalog, "user:provision").playbooks == ["one", "two"]
        assert resource(catalog, "unit:r2").playbooks == ["two"]

    def test_one_port_for_two_services(self, project: Project) -> None:
        second = FULL.replace("    r1: {kind", "    r9: {kind")
        (problem,) = project.problems(FULL, second)
        assert "port 8000" in problem


class TestWhoDownloads:
    PLAY = """
- hosts: all
  environments:
{environments}
  models:
    r1: {{modelscope: a/b{model}}}
{services}
"""

    def play(self, environments: str, services: str = "", model: str = "") -> str:
        return self.PLAY.format(environments=environments, services=services, model=model)

    def test_the_environment_of_the_service_that_uses_the_model(self, project: Project) -> None:
        service = "  services: {r1: {kind: vllm, environment: second, model: r1}}"
        both = environments(first="modelscope", second='"vllm==0.33.0", modelscope')
        assert (
            resource(project.compile(self.play(both, service)), "model:r1").needs[0] == "environment:second"
        )

    def test_else_the_only_one_that_can(self, project: Project) -> None:
        given = environments(first="modelscope", second='"vllm==0.33.0"')
        assert resource(project.compile(self.play(given)), "model:r1").needs[0] == "environment:first"

    def test_the_named_one(self, project: Project) -> None:
        given = environments(first="modelscope", second="modelscope")
        catalog = project.compile(self.play(given, model=", environment: second"))
        assert resource(catalog, "model:r1").needs[0] == "environment:second"

    def test_nobody(self, project: Project) -> None:
        (problem,) = project.problems(self.play(environments(first='"vllm==0.33.0"')))
        assert "no environment installs modelscope" in problem

    def test_one_of_several(self, project: Project) -> None:
        (problem,) = project.problems(self.play(environments(first="modelscope", second="modelscope")))
        assert "first, second" in problem

    def test_vllm_brings_what_downloads_from_hugging_face(self, project: Project) -> None:
        text = self.play(environments(first='"vllm==0.33.0"')).replace("modelscope: a/b", "huggingface: a/b")
        assert resource(project.compile(text), "model:r1").needs[0] == "environment:first"


class TestWithoutRoot:
    def test_packages_and_users_need_it(self, project: Project) -> None:
        found = project.problems("- {hosts: all, packages: [git], users: {ops: null}}", hosts=LOCAL)
        assert len(found) == 2
        assert all("become: true" in problem for problem in found)

    def test_a_remote_host_needs_a_prefix(self, project: Project) -> None:
        host = "{gpu-box: {connection: ssh, address: 10.0.0.12, user: ops}}"
        (problem,) = project.problems("- {hosts: all, files: {/tmp/x: {content: x}}}", hosts=host)
        assert "give the host a prefix" in problem


class TestRequirements:
    def test_a_wheel_by_url_is_pinned(self, project: Project) -> None:
        url = "https://mirror.example/vllm-0.10.0%2Bcu128-cp38-abi3-manylinux1_x86_64.whl"
        text = FULL.replace('"vllm==0.33.0"', f'"vllm @ {url}"').replace(
            "model: r1,", "model: r1, log_requests: false,"
        )
        catalog = project.compile(text)
        assert "--disable-log-requests" in spec(catalog, "file:/opt/provision/services/r1/start.sh").content
        assert spec(catalog, "environment:vllm").requirements[0].url == url

    def test_excluded_and_asked_for(self, project: Project) -> None:
        text = "- {hosts: all, environments: {v: {packages: [Torch_Vision], exclude: [torch-vision]}}}"
        (problem,) = project.problems(text)
        assert "excluded here and asked for" in problem


class TestTags:
    def test_a_selection_brings_what_it_needs_and_nothing_else(self, project: Project) -> None:
        other = "- {hosts: all, directories: {/other: null}}"
        catalog = project.compile(FULL, other)
        slow = {resource.id for resource in catalog.tagged(frozenset({"slow"})).resources}
        assert {"unit:r1", "probe:r1", "model:r1", "environment:vllm", "apt"} <= slow
        assert "directory:/other" not in slow
        assert catalog.tagged(frozenset({"nothing"})).services == []


def _closure(resources: list[Resource], id: str) -> set[str]:
    by_id = {resource.id: resource for resource in resources}
    found: set[str] = set()
    queue = [id]
    while queue:
        for need in by_id[queue.pop()].needs:
            if need not in found:
                found.add(need)
                queue.append(need)
    return found


def test_what_may_bring_a_model_that_is_named_by_its_path(project: Project) -> None:
    playbook = """
    - hosts: all
      environments:
        e: {path: /data/env}
      models:
        alone: {path: /data/alone}
        filled: {path: /data/filled}
        inside: {path: /data/env/share/model}
      files:
        /data/filled/config.json: {content: "{}"}
      directories: {/data/filled/shards: {}, /data/other: {}}
    """
    catalog = project.compile(playbook)
    assert spec(catalog, "model:alone").made_by == []
    assert sorted(spec(catalog, "model:filled").made_by) == [
        "directory /data/filled/shards",
        "file /data/filled/config.json",
    ]
    assert spec(catalog, "model:inside").made_by == ["environment e"]
    assert "environment:e" in resource(catalog, "model:inside").needs
    first = """
    - hosts: all
      commands: {convert: {run: "true"}}
    - hosts: all
      models: {m: {path: /data/m}}
    """
    assert spec(project.compile(first), "model:m").made_by == ["command convert"]


class TestFollowing:
    def test_commands_follow_what_is_declared(self, project: Project) -> None:
        catalog = project.compile(
            """
            - hosts: all
              packages: [docker.io]
              directories: {/srv/x: }
              files: {/etc/docker/daemon.json: {content: x}}
              environments: {e: {packages: [modelscope]}}
              models: {m: {modelscope: o/n, environment: e}}
              commands:
                first: {run: x, when_changed: [/etc/docker/daemon.json, /srv/x, {package: docker.io}]}
                second: {run: y, when_changed: [{environment: e}, {model: m}], env: {T: {env: TOKEN}}}
            """
        )
        followers = {each.id: each.followers for each in catalog.resources if each.followers}
        assert followers == {
            "apt": {"command:first": ["docker.io"]},
            "directory:/srv/x": {"command:first": []},
            "file:/etc/docker/daemon.json": {"command:first": []},
            "environment:e": {"command:second": []},
            "model:m": {"command:second": []},
        }
        assert "model:m" in resource(catalog, "command:second").needs
        assert spec(catalog, "command:second").secrets == ["T"]
        assert "TOKEN" not in repr(spec(catalog, "command:second").env)

    def test_what_is_declared_nowhere_is_an_error_at_its_place(self, project: Project) -> None:
        found = project.problems(
            "- {hosts: all, files: {/etc/a: {content: x}}, commands: {c: {run: x, "
            "when_changed: [/etc/b, {package: git}, {environment: e}, {model: m}]}}}"
        )
        assert len(found) == 4
        assert "no file or directory /etc/b is declared for this host; did you mean `/etc/a`?" in found[0]

    def test_systemd_reads_unit_files_before_they_are_used(self, project: Project) -> None:
        catalog = project.compile(
            """
            - hosts: all
              files:
                /etc/systemd/system/agent.service: {content: "[Service]\\n"}
                /etc/systemd/system/docker.service.d/x.conf: {content: "[Service]\\n"}
              commands:
                agent: {run: systemctl restart agent, when_changed: [/etc/systemd/system/agent.service]}
            """
        )
        reload = "command:systemctl daemon-reload"
        assert set(resource(catalog, "file:/etc/systemd/system/agent.service").followers) == {
            reload,
            "command:agent",
        }
        assert reload in resource(catalog, "command:agent").needs

    def test_a_file_that_must_not_be_there_is_not_rendered(self, project: Project) -> None:
        catalog = project.compile("- {hosts: all, files: {/etc/old.conf: {absent: true}}}")
        assert spec(catalog, "file:/etc/old.conf").absent is True
        assert "/etc/old.conf" not in render_tree(catalog)
