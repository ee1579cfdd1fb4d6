# ruff: noqa: E501 (a message is easier to compare on one line)

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provision.config.inventory import Inventory, explain, explain_settings, load_inventories
from provision.config.problems import ConfigError, Position
from tests.unit.config.conftest import Project


def test_hosts_as_they_are_declared(project: Project) -> None:
    inventory = project.inventory(
        """\
        vars: {net: 10.0.0}
        hosts:
          gpu-box: {connection: ssh, address: "{{ net }}.12", user: ops, port: 2222, become: true, ssh_options: [-J, jump]}
          plain:
          box: {connection: container, engine: podman, container: model, on: gpu-box}
          localhost: {connection: local, prefix: /srv/p, python: /usr/bin/python3.12}
        """
    )
    gpu_box, plain, box, local = inventory.hosts.values()
    assert (gpu_box.connection, gpu_box.address, gpu_box.user, gpu_box.port) == (
        "ssh",
        "10.0.0.12",
        "ops",
        2222,
    )
    assert gpu_box.ssh_options == ["-J", "jump"]
    assert gpu_box.position == Position("inventories/a.yml", 3, 3)
    assert (plain.connection, plain.address, plain.become, plain.python) == ("ssh", None, False, "python3")
    assert (box.connection, box.engine, box.container, box.on) == ("container", "podman", "model", "gpu-box")
    assert (local.connection, local.python, local.prefix) == ("local", "/usr/bin/python3.12", "/srv/p")


@pytest.mark.parametrize(
    ("fields", "privileged", "prefix"),
    [
        ("{become: true}", True, "/opt/provision"),
        ("{user: root}", True, "/opt/provision"),
        ("{user: ops}", False, None),
        ("", False, None),
        ("{user: ops, prefix: /home/ops/p}", False, "/home/ops/p"),
        ("{connection: container}", True, "/opt/provision"),
        ("{connection: local, become: true}", True, "/opt/provision"),
        (
            "{connection: local}",
            os.geteuid() == 0,
            "/opt/provision" if os.geteuid() == 0 else os.path.expanduser("~/.local/share/provision"),
        ),
    ],
)
def test_who_may_use_root_and_where_things_go(
    project: Project, fields: str, privileged: bool, prefix: str | None
) -> None:
    host = project.inventory(f"hosts: {{h: {fields}}}").host("h")
    assert (host.privileged, host.prefix) == (privileged, prefix)


def test_localhost_is_always_known_but_not_one_of_all(project: Project) -> None:
    inventory = project.inventory("vars: {a: 1}\nhosts: {h: }")
    assert [host.name for host in inventory.select("all")] == ["h"]
    assert inventory.select("localhost")[0].connection == "local"
    assert inventory.host("localhost").variables["a"].value == 1
    assert [host.name for host in project.inventory("hosts: {localhost: }").select("all")] == ["localhost"]


def test_no_inventory_at_all(tmp_path: Path) -> None:
    for inventory in (load_inventories(None, tmp_path), Inventory.empty()):
        assert inventory.hosts == {}
        assert inventory.select("localhost")[0].name == "localhost"
        with pytest.raises(ConfigError, match="the inventory has none"):
            inventory.select("all")


def test_files_are_merged(project: Project) -> None:
    inventory = project.inventory(
        "hosts: {a: {address: x}, b: }\ngroups: {g: {hosts: [a], vars: {m: 1}}}",
        "hosts: {a: {vars: {v: 1}}, c: }\ngroups: {g: {hosts: ['b', 'c*'], vars: {n: 2}}}\nvars: {i: 3}",
    )
    assert inventory.groups == {"g": ["a", "b", "c"]}
    assert inventory.host("a").address == "x"
    assert {name: v.value for name, v in inventory.host("a").variables.items()} == {
        "i": 3,
        "m": 1,
        "n": 2,
        "v": 1,
    }


def test_only_inventories_of_a_folder_are_read(project: Project) -> None:
    project.write("inventories/readme.md", "# not YAML: [")
    project.write("inventories/.hidden.yml", "hosts: {h: }")
    project.write("inventories/more.yaml", "hosts: {m: }")
    assert list(project.inventory("hosts: {a: }").hosts) == ["a", "m"]


def test_paths_given(project: Project) -> None:
    file = project.write("x/one.yml", "hosts: {one: }")
    project.write("y/two.yml", "hosts: {two: }")
    assert list(load_inventories([file, Path("y")], Path()).hosts) == ["one", "two"]
    Path("empty").mkdir()
    with pytest.raises(ConfigError) as caught:
        load_inventories([Path("empty"), Path("missing.yml")], Path())
    assert str(caught.value).splitlines() == [
        "empty:1:1: there is no inventory in this directory",
        "missing.yml:1:1: there is no such file; -i names a file or a directory of inventories; --limit names hosts",
    ]


def test_explained(project: Project) -> None:
    inventory = project.inventory(
        """\
        vars: {root: /data, top: 1}
        hosts: {h: {vars: {root: /nvme, path: "{{ root }}/m", later: "{{ play_says }}"}}}
        groups: {g: {hosts: [h], vars: {root: /gpu}}}
        """,
        extra={"top": 2},
    )
    assert [(e.name, e.value, e.origin, e.overridden) for e in explain(inventory.host("h"))] == [
        ("later", "{{ play_says }}", "host h (inventories/a.yml:2:62)", []),
        ("path", "/nvme/m", "host h (inventories/a.yml:2:39)", []),
        (
            "root",
            "/nvme",
            "host h (inventories/a.yml:2:26)",
            [("/gpu", "group g (inventories/a.yml:3:39)"), ("/data", "inventory (inventories/a.yml:1:14)")],
        ),
        ("top", 2, "-e", [(1, "inventory (inventories/a.yml:1:26)")]),
    ]


class TestGroups:
    def test_children(self, project: Project) -> None:
        inventory = project.inventory(
            "hosts: {a: , b: , c: }\ngroups: {top: {groups: [mid]}, mid: {groups: [low], hosts: [b]}, low: {hosts: [a]}}"
        )
        assert inventory.groups == {"top": ["a", "b"], "mid": ["a", "b"], "low": ["a"]}
        assert inventory.host("a").groups == ["low", "mid", "top"]

    def test_a_child_group_wins_over_its_parents(self, project: Project) -> None:
        inventory = project.inventory(
            """\
            hosts: {a: }
            groups:
              top: {groups: [mid], vars: {x: top, y: top}}
              mid: {groups: [low], vars: {x: mid, y: mid}}
              low: {hosts: [a], vars: {x: low}}
            """
        )
        assert {name: v.value for name, v in inventory.host("a").variables.items()} == {
            "x": "low",
            "y": "mid",
        }

    def test_siblings_that_disagree(self, project: Project) -> None:
        text = "hosts: {a: , b: }\ngroups:\n  g: {hosts: [a, b], vars: {x: 1}}\n  h: {hosts: [a, b], vars: {x: 2}}\n"
        assert project.inventory_errors(text) == [
            "inventories/a.yml:4:32: the variable `x` of host `a` has another value in group g (inventories/a.yml:3:32); "
            "the groups are siblings, so neither wins: set it on the host, or in one of them"
        ]

    def test_siblings_in_two_files(self, project: Project) -> None:
        (message,) = project.inventory_errors(
            "hosts: {a: }\ngroups: {g: {hosts: [a], vars: {x: 1}}}", "groups: {h: {hosts: [a], vars: {x: 2}}}"
        )
        assert message.startswith("inventories/b.yml:1:36: ")
        assert "(inventories/a.yml:2:36)" in message

    @pytest.mark.parametrize(
        "text",
        [
            "hosts: {a: }\ngroups: {g: {hosts: [a], vars: {x: 1}}, h: {hosts: [a], vars: {x: 1}}}",
            "hosts: {a: {vars: {x: 0}}}\ngroups: {g: {hosts: [a], vars: {x: 1}}, h: {hosts: [a], vars: {x: 2}}}",
            "hosts: {a: , b: }\ngroups: {g: {hosts: [a], vars: {x: 1}}, h: {hosts: [b], vars: {x: 2}}}",
            "hosts: {a: }\ngroups: {g: {hosts: [a], vars: {x: 1}}, h: {groups: [g], hosts: [a], vars: {x: 2}}}",
        ],
    )
    def test_no_disagreement(self, project: Project, text: str) -> None:
        assert project.inventory(text).host("a").variables["x"].value in (0, 1)


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("hosts: {a: {conection: ssh}}", ["1:13: unknown key `conection`; did you mean `connection`?"]),
        ("hosts: {a: {connection: telnet}}", ["1:25: `connection`: expected `local`, `ssh` or `container`, found text 'telnet'"]),
        (
            "hosts: {a: {port: 70000, become: yes}}",
            [
                "1:19: `port`: expected a whole number from 1 to 65535, found the number 70000",
                "1:34: `become`: expected true or false, found text 'yes'; write true",
            ],
        ),
        (
            "hosts: {a: {address: -oProxyCommand=x, user: a b}}",
            [
                "1:22: `address`: expected a name or an address, found text '-oProxyCommand=x'; write 10.0.0.12, gpu-1.lan or an alias of ssh_config; whom to log in as is `user`",
                "1:46: `user`: expected the name of a user, found text 'a b'; write ops",
            ],
        ),
        (
            "hosts: {a: {address: ops@10.0.0.1}}",
            [
                "1:22: `address`: expected a name or an address, found text 'ops@10.0.0.1'; write 10.0.0.12, gpu-1.lan or an alias of ssh_config; whom to log in as is `user`"
            ],
        ),
        ("hosts: [a]", ["1:8: `hosts`: expected a mapping of keys to values, found a list; write `a:` on a line of its own, without `-`"]),
        ("hosts: {a: 10.0.0.1}", ["1:12: `a`: expected a mapping of keys to values, found text '10.0.0.1'; write {address: 10.0.0.1}"]),
        ("gpu-box: {address: x}", ["1:1: unknown key `gpu-box`; hosts stand below `hosts:`, groups below `groups:`"]),
        (
            "hosts: {a: {ip: x, key: y, sudo: true, username: z}}",
            [
                "1:13: unknown key `ip`; write `address: …`",
                "1:20: unknown key `key`; write `identity_file: …`",
                "1:28: unknown key `sudo`; write `become: true`",
                "1:40: unknown key `username`; write `user: …`",
            ],
        ),
        ("hosts:\n  a: 5", ["2:6: `a`: expected a mapping of keys to values, found the number 5"]),
        ("host: {a: }", ["1:1: unknown key `host`; did you mean `hosts`?"]),
        ("- hosts: a", ["1:1: an inventory is a mapping with `hosts`, `groups` and `vars`; a list of plays is a playbook"]),
        ("", ["1:1: the file is empty"]),
        (
            "hosts: {gpu-1: }\ngroups: {g: {hosts: [gpu_1, 'c*', gpu-1]}}",
            ["2:22: there is no host 'gpu_1'; did you mean `gpu-1`?", "2:29: no host matches 'c*'; hosts: gpu-1"],
        ),
        ("hosts: {a: }\ngroups: {g: {groups: [h]}, h: {groups: [g]}}", ["2:10: the groups g → h → g form a circle"]),
        ("hosts: {a: }\ngroups: {g: {groups: [gpuu]}, gpu: }", ["2:23: there is no group 'gpuu'; did you mean `gpu`?"]),
        (
            "hosts: {a: }\ngroups: {all: {vars: {x: 1}}}",
            ["2:10: `all` is the built-in group of all hosts; give its variables in `vars:` at the top of the file"],
        ),
        ("hosts: {a: }\ngroups: {a: }", ["2:10: `a` is the name of a group and of a host"]),
        ("hosts: {all: }", ["1:9: `all` cannot be the name of a host"]),
        ("hosts: {\"a'b\": , '$(x)': }", [
            "1:9: the name 'a'b' is not safe; use letters, digits and . _ - (at most 63), beginning with a letter or digit",
            "1:18: the name '$(x)' is not safe; use letters, digits and . _ - (at most 63), beginning with a letter or digit",
        ]),
        (
            "hosts: {a: {connection: local, address: x, user: b}}",
            [
                "1:32: `address` has no meaning for `connection: local`; it belongs to `connection: ssh`",
                "1:44: `user` has no meaning for `connection: local`: it is the user who runs provision; use `become: true` for root",
            ],
        ),
        ("hosts: {a: {engine: docker}}", ["1:13: `engine` has no meaning for `connection: ssh`; it belongs to `connection: container`"]),
        (
            "hosts: {a: {connection: container, on: b}, c: {connection: container, on: c}}",
            ["1:40: there is no host 'b'; hosts: a, c, localhost", "1:75: the containers c → c form a circle"],
        ),
        ("hosts: {a: {address: '{{ x }}'}}", ["1:22: undefined variable `x`; known variables: groups, host, hosts"]),
        ("vars: {a: '{{ a }}'}\nhosts: {a: }", ["1:11: the variables a → a form a circle"]),
        ("hosts: {a: {prefix: opt}}", ["1:21: `prefix`: expected an absolute path, found text 'opt'"]),
        ("hosts: {a: {python: 'python3; rm'}}", ["1:21: `python`: expected a Python interpreter, found text 'python3; rm'; write python3.12"]),
        ("hosts: {a: {vars: [1]}}\nvars: 5", [
            "1:19: `vars`: expected a mapping of keys to values, found a list",
            "2:7: `vars`: expected a mapping of keys to values, found the number 5",
        ]),
        ("hosts: {a: {vars: {hosts: 1, 'x y': 2}}}", [
            "1:20: the variable name `hosts` is taken: it holds facts of the inventory",
            "1:30: 'x y' is not a variable name; use letters, digits and _, beginning with a letter",
        ]),
        ("hosts:\n\ta: ", ["2:1: a tab is used for indentation; YAML allows only spaces there"]),
    ],
)  # fmt: skip
def test_wrong(project: Project, text: str, messages: list[str]) -> None:
    assert project.inventory_errors(text) == [f"inventories/a.yml:{message}" for message in messages]


def test_two_files_that_disagree(project: Project) -> None:
    assert project.inventory_errors(
        "vars: {x: 1}\nhosts: {a: {address: x}}", "vars: {x: 2}\nhosts: {a: {address: y}}"
    ) == [
        "inventories/b.yml:1:11: the variable `x` of all hosts has another value at inventories/a.yml:1:11; set it once",
        "inventories/b.yml:2:22: `address` of host `a` has another value at inventories/a.yml:2:22; set it once",
    ]


def test_an_unknown_host(project: Project) -> None:
    with pytest.raises(ConfigError, match=r"there is no host 'gpubox'; did you mean `gpu-box`?"):
        project.inventory("hosts: {gpu-box: }").host("gpubox")


def test_extra_variables_are_checked() -> None:
    with pytest.raises(ConfigError, match="'a-b' is not a variable name"):
        load_inventories([], Path(), {"a-b": 1})


class TestSettingsOfGroups:
    def test_a_host_over_a_child_over_its_parent_over_the_file(self, project: Project) -> None:
        inventory = project.inventory(
            """\
            user: everyone
            python: python3.12
            hosts: {a: {user: own}, b: , c: , d: }
            groups:
              top: {groups: [low], hosts: [c], user: top, port: "{{ base + 1 }}", become: true, vars: {base: 2221}}
              low: {hosts: [a, b], become: false, address: "{{ host.name }}.lan"}
            """
        )
        a, b, c, d = inventory.hosts.values()
        assert [host.user for host in (a, b, c, d)] == ["own", "top", "top", "everyone"]
        assert [host.port for host in (a, b, c, d)] == [2222, 2222, 2222, None]
        assert [host.become for host in (a, b, c, d)] == [False, False, True, False]
        assert [host.address for host in (a, b, c, d)] == ["a.lan", "b.lan", None, None]
        assert {host.python for host in (a, b, c, d)} == {"python3.12"}
        assert [
            (e.name, e.value, e.origin, e.overridden) for e in explain_settings(a) if e.name == "user"
        ] == [
            (
                "user",
                "own",
                "host a (inventories/a.yml:3:19)",
                [
                    ("top", "group top (inventories/a.yml:5:42)"),
                    ("everyone", "inventory (inventories/a.yml:1:7)"),
                ],
            )
        ]

    def test_groups_that_disagree(self, project: Project) -> None:
        text = "hosts: {a: , b: {user: z}}\ngroups:\n  g: {hosts: [a, b], user: x}\n  h: {hosts: [a, b], user: y}\n"
        assert project.inventory_errors(text) == [
            "inventories/a.yml:4:28: `user` of host `a` has another value in group g (inventories/a.yml:3:28); "
            "the groups are siblings, so neither wins: set it on the host, or in one of them"
        ]

    def test_what_has_no_meaning_for_a_host_is_for_the_others(self, project: Project) -> None:
        inventory = project.inventory(
            "hosts: {here: {connection: local}, box: {connection: container}, far: }\n"
            "groups: {g: {hosts: ['*'], user: ops, port: 22, ssh_options: [-v], on: far}}"
        )
        here, box, far = inventory.hosts.values()
        assert (here.user, here.port, here.ssh_options, here.on) == (None, None, [], None)
        assert (box.user, box.port, box.on) == ("ops", None, "far")
        assert (far.user, far.port, far.ssh_options, far.on) == ("ops", 22, ["-v"], None)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "groups: {g: {hosts: [], port: 70000}}",
                "1:31: `port`: expected a whole number from 1 to 65535",
            ),
            ("groups: {g: {usr: x}}", "1:14: unknown key `usr`; did you mean `user`?"),
            ("hosts: {a: }\ngroups: {g: {hosts: [a], port: '{{ p }}'}}", "2:32: undefined variable `p`"),
            (
                "hosts: {a: }\ngroups: {g: {hosts: [a], on: b}}\nconnection: container",
                "2:30: there is no host 'b'",
            ),
            ("becom: true", "1:1: unknown key `becom`; did you mean `become`?"),
        ],
    )
    def test_wrong(self, project: Project, text: str, message: str) -> None:
        (error,) = project.inventory_errors(text)
        assert error.startswith(f"inventories/a.yml:{message}")


class TestRanges:
    def test_hosts_groups_and_both_together(self, project: Project) -> None:
        inventory = project.inventory(
            """\
            hosts:
              "gpu-[08:11]": {user: ops, address: "10.0.0.{{ host.name[4:] | int }}"}
              gpu-09: {port: 2222}
              r[a:c]n[0:4:2]:
            groups:
              gpu: {hosts: ["gpu-[08:10]"]}
              racks: {hosts: ["r[a:b]n*"]}
            """
        )
        assert list(inventory.hosts)[:5] == ["gpu-08", "gpu-09", "gpu-10", "gpu-11", "ran0"]
        assert inventory.host("gpu-09").address == "10.0.0.9"
        assert (inventory.host("gpu-09").user, inventory.host("gpu-09").port) == ("ops", 2222)
        assert inventory.groups == {
            "gpu": ["gpu-08", "gpu-09", "gpu-10"],
            "racks": ["ran0", "ran2", "ran4", "rbn0", "rbn2", "rbn4"],
        }

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "hosts: {'g[3:1]': }",
                "1:9: the range [3:1] ends before it begins; write the smaller end first",
            ),
            (
                "hosts: {'g[1:]': }",
                "1:9: [1:] is not a range; write [01:40], [a:f] or, with a step, [0:40:2]",
            ),
            (
                "hosts: {'g[08:110]': }",
                "1:9: the range [08:110] begins and ends with numbers of different width; write [008:110]",
            ),
            ("hosts: {'g[1:99999]': }", "1:9: the range [1:99999] stands for more than 10000 names"),
            ("hosts: {'g[1:200]h[1:200]': }", "1:9: the range stands for 40000 names, more than 10000"),
            ("hosts: {'$[1:2]': }", "1:9: the name '$1' is not safe"),
            (
                "hosts: {g1: }\ngroups: {g: {hosts: ['g[1:2]']}}",
                "2:22: there is no host 'g2'; hosts: g1",
            ),
            ("hosts: {'g[1:2]': {user: a}, g1: {user: b}}", "1:41: `user` of host `g1` has another value at"),
        ],
    )
    def test_wrong(self, project: Project, text: str, message: str) -> None:
        (error,) = project.inventory_errors(text)
        assert error.startswith(f"inventories/a.yml:{message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "hosts: {a: {vars: {ansible_ssh_user: x}}}",
            "1:20: `ansible_ssh_user` is an Ansible setting and has no effect here; "
            "write `user: …` on the host or on a group in the inventory",
        ),
        ("vars: {ansible_become: true}", "1:8: `ansible_become` is an Ansible setting"),
        (
            "groups: {g: {vars: {ansible_ssh_common_args: -v}}}",
            "1:21: `ansible_ssh_common_args` is an Ansible setting and has no effect here; "
            "write `ssh_options: [Name=value]` on the host or on a group in the inventory",
        ),
        (
            "hosts: {a: {ansible_host: x}}",
            "1:13: `ansible_host` is an Ansible setting and has no effect here; write `address: …`",
        ),
        (
            "vars: {ansible_password: secret1}",
            "1:8: `ansible_password` is an Ansible setting and has no effect here; use SSH keys",
        ),
        ("vars: {ansible_ssh_pipelining: true}", "1:8: `ansible_ssh_pipelining` is an Ansible setting"),
    ],
)
def test_ansible_settings_in_our_own_yaml(project: Project, text: str, message: str) -> None:
    (error,) = project.inventory_errors(text)
    assert error.startswith(f"inventories/a.yml:{message}")
    assert "secret1" not in error


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hosts.ini", "[gpu]\ngpu[01:20] ansible_user=ops\n"),
        ("hosts", "gpu-1 ansible_host=192.0.2.1\n# more\ngpu-2\n"),
        ("hosts.yml", "all:\n  children: {gpu: {hosts: {gpu-1: {}}}}\n"),
        ("hosts.yml", "gpu:\n  hosts:\n    gpu-1:\n"),
        ("hosts.yml", "all:\n  vars: {x: !vault abc}\n"),
        ("aws_ec2.yml", "plugin: amazon.aws.aws_ec2\n"),
    ],
)
def test_an_ansible_inventory_without_ansible(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setattr("provision.config.dynamic._reader", lambda: None)
    with pytest.raises(ConfigError) as caught:
        load_inventories([project.write(name, text)], Path())
    assert str(caught.value).startswith(
        f"{name}:1:1: this is an Ansible inventory, which ansible-inventory reads, and ansible-inventory is not "
        f"installed; run `pip install ansible-core`; or run `ansible-inventory -i {name} --list > hosts.json`"
    )


def test_variables_beside_a_program_are_not_lost_silently(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provision.config.dynamic._reader", lambda: None)
    program = project.write("cloud", "#!/bin/sh\necho '{}'\n")
    program.chmod(0o755)
    project.write("group_vars/gpu.yml", "ansible_user: ops\n")
    with pytest.raises(ConfigError, match="this is an Ansible inventory with group_vars/ beside it"):
        load_inventories([program], Path())
