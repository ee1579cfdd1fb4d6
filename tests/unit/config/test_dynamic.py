from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from provision.config import dynamic
from provision.config.inventory import Inventory, explain, explain_settings, load_inventories
from provision.config.problems import ConfigError

ANSIBLE = {
    "_meta": {
        "hostvars": {
            "gpu-1": {
                "ansible_host": "10.0.0.1",
                "ansible_user": "ops",
                "ansible_port": "2222",
                "ansible_become": "yes",
                "ansible_ssh_private_key_file": "~/.ssh/lab",
                "ansible_python_interpreter": "/usr/bin/python3.11",
                "rack": "A",
            },
            "box": {"ansible_connection": "community.docker.docker", "ansible_host": "modelscope"},
            "here": {"ansible_connection": "local", "ansible_python_interpreter": "auto_silent"},
        }
    },
    "all": {"children": ["gpu", "ungrouped"], "vars": {"root": "/data"}},
    "gpu": {"hosts": ["gpu-1", "gpu-2"], "vars": {"model_root": "{{ root }}/m"}},
    "rack_a": ["gpu-1"],
    "sites": {"children": ["gpu", "ungrouped"]},
    "ungrouped": {"hosts": ["box", "here"]},
}


def script(path: Path, body: str) -> Path:
    path.write_text(body)
    path.chmod(0o755)
    return path


def printing(path: Path, data: Any) -> Path:
    return script(path, f"#!/bin/sh\n[ \"$1\" = --list ] || exit 9\ncat <<'END'\n{json.dumps(data)}\nEND\n")


def load(path: Path) -> Inventory:
    return load_inventories([path], Path("/nonexistent"))


def test_ansible_style_json(tmp_path: Path) -> None:
    inventory = load(printing(tmp_path / "cloud", ANSIBLE))
    assert inventory.groups == {"gpu": ["gpu-1", "gpu-2"], "rack_a": ["gpu-1"], "sites": ["gpu-1", "gpu-2"]}
    gpu = inventory.host("gpu-1")
    assert (gpu.connection, gpu.address, gpu.user, gpu.port, gpu.become) == (
        "ssh",
        "10.0.0.1",
        "ops",
        2222,
        True,
    )
    assert (gpu.identity_file, gpu.python) == ("~/.ssh/lab", "/usr/bin/python3.11")
    assert {each.name: each.value for each in explain(gpu)} == {
        "root": "/data",
        "model_root": "/data/m",
        "rack": "A",
    }
    assert gpu.variables["rack"].origin == f"host gpu-1 ({tmp_path}/cloud:1:1)"
    box, here = inventory.host("box"), inventory.host("here")
    assert (box.connection, box.engine, box.container, box.address) == (
        "container",
        "docker",
        "modelscope",
        None,
    )
    assert (here.connection, here.python) == ("local", "python3")


def test_it_is_found_among_the_inventories(tmp_path: Path) -> None:
    (tmp_path / "inventories").mkdir()
    printing(tmp_path / "inventories/cloud.py", {"g": ["a"], "_meta": {"hostvars": {}}})
    (tmp_path / "inventories/b.yml").write_text("hosts: {b: }\ngroups: {g: {hosts: [b]}}\n")
    assert load_inventories(None, tmp_path).groups == {"g": ["b", "a"]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("#!/bin/sh\necho broken >&2; exit 3\n", "failed with exit code 3: 'broken'"),
        ("#!/bin/sh\nexit 1\n", "failed with exit code 1"),
        ("#!/bin/sh\necho hello\n", "does not print JSON: Expecting value: line 1 column 1 (char 0)"),
        ("#!/bin/sh\nexit 0\n", "prints nothing; try it: "),
        ("#!/bin/sh\necho '{\"g\": NaN}'\n", "does not print JSON: NaN is not a JSON value"),
        ("#!/bin/sh\nexec yes\n", "prints more than 16 MiB"),
        (
            "#!/bin/sh\nyes | head -c 1000000 >&2; echo sorry >&2; exit 4\n",
            "failed with exit code 4: 'sorry'",
        ),
        (
            "#!/bin/sh\necho '[]'\n",
            "prints JSON that is not an object; print groups, as Ansible expects them",
        ),
        ("#!/nonexistent/python\n", "cannot be run: No such file or directory"),
        ("no interpreter", "cannot be run: Exec format error; does its first line name an interpreter"),
        ("#!/bin/sh\necho '{\"g\": 5}'\n", "prints JSON in which `g` is not an object"),
        (
            '#!/bin/sh\necho \'{"g": {"hosts": [1]}}\'\n',
            "prints JSON in which `g.hosts` is not a list of names",
        ),
        (
            '#!/bin/sh\necho \'{"_meta": {"hostvars": {"h": {"ansible_password": "secret1"}}}}\'\n',
            "the host `h` has `ansible_password`; use SSH keys, and --ask-become-pass for sudo",
        ),
        ('#!/bin/sh\necho \'{"g": ["a b"]}\'\n', "the name 'a b' is not safe"),
        (
            '#!/bin/sh\necho \'{"_meta": {"hostvars": {"h": {"ansible_port": "x"}}}}\'\n',
            "`port`: expected a whole number, found text 'x'",
        ),
        (
            '#!/bin/sh\necho \'{"g": {"vars": {"ansible_ssh_pass": "secret1"}}}\'\n',
            "the group `g` has `ansible_ssh_pass`; use SSH keys",
        ),
        (
            '#!/bin/sh\necho \'{"all": {"vars": {"ansible_become_pass": "secret1"}}}\'\n',
            "`all` has `ansible_become_pass`; use SSH keys",
        ),
        (
            '#!/bin/sh\necho \'{"_meta": {"hostvars": {"h": {"ansible_become": "perhaps"}}}}\'\n',
            "`ansible_become` of host `h` (host h): expected true or false, found text 'perhaps'",
        ),
        (
            '#!/bin/sh\necho \'{"g": {"host": ["h"]}}\'\n',
            "prints JSON in which the group `g` has the unknown key `host`; did you mean `hosts`?",
        ),
        (
            '#!/bin/sh\n[ $1 = --host ] && exit 7\necho \'{"g": ["h"]}\'\n',
            "--host h: failed with exit code 7; print `_meta` with `hostvars` for --list",
        ),
    ],
)
def test_wrong(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(script(tmp_path / "cloud", body))
    assert str(caught.value).startswith(f"{tmp_path}/cloud:1:1: {message}")
    assert "secret1" not in str(caught.value)


@pytest.mark.parametrize("then", ["wait", "exit"])
def test_one_that_hangs_is_ended_with_its_children(
    then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamic, "TIMEOUT", 1)
    path = script(tmp_path / "cloud", f"#!/bin/sh\ntail -f {tmp_path}/cloud &\n{then}\n")
    with pytest.raises(ConfigError, match="took longer than 1 s to list its hosts"):
        load(path)
    deadline = time.monotonic() + 60
    while _runs(str(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(str(tmp_path))


def _runs(word: str) -> bool:
    """Whether a process has this on its command line; one that has been killed has none any more."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word.encode() in path.read_bytes():
                return True
    return False


def test_a_yaml_file_that_may_be_executed_is_read(tmp_path: Path) -> None:
    assert list(load(script(tmp_path / "a.yml", "hosts: {a: }\n")).hosts) == ["a"]


def test_settings_come_from_all_groups_and_hosts_as_ansible_ranks_them(tmp_path: Path) -> None:
    inventory = load(
        printing(
            tmp_path / "cloud",
            {
                "_meta": {
                    "hostvars": {"a": {"ansible_ssh_host": "192.0.2.1"}, "b": {"ansible_ssh_user": "own"}}
                },
                "all": {
                    "vars": {
                        "ansible_private_key_file": "~/.ssh/all",
                        "ansible_user": "all",
                        "ansible_ssh_common_args": "-o ProxyJump=gate",
                    }
                },
                "site": {
                    "children": ["gpu"],
                    "vars": {"ansible_user": "parent", "ansible_port": 1, "ansible_become": True},
                },
                "gpu": {
                    "hosts": ["a", "b"],
                    "vars": {"ansible_user": "child", "ansible_ssh_extra_args": "-v"},
                },
                "zone": {"hosts": ["a"], "vars": {"ansible_port": "{{ base }}", "base": 2222}},
            },
        )
    )
    a, b = inventory.host("a"), inventory.host("b")
    assert (a.address, a.user, a.port, a.become, a.identity_file) == (
        "192.0.2.1",
        "child",
        2222,
        True,
        "~/.ssh/all",
    )
    assert (b.address, b.user, b.port) == (None, "own", 1)
    assert a.ssh_options == ["-o", "ProxyJump=gate", "-v"]
    (user,) = [each for each in explain_settings(a) if each.name == "user"]
    assert (user.origin.split()[:2], [value for value, _ in user.overridden]) == (
        ["group", "gpu"],
        ["parent", "all"],
    )


@pytest.mark.parametrize(
    ("one", "two", "user"),
    [
        ({}, {}, "two"),
        ({"ansible_group_priority": 10}, {}, "one"),
        ({}, {"ansible_group_priority": "9"}, "two"),
    ],
)
def test_of_two_groups_that_disagree_one_wins_as_with_ansible(
    one: dict[str, Any], two: dict[str, Any], user: str, tmp_path: Path
) -> None:
    groups = {
        "g1": {"hosts": ["a"], "vars": {"ansible_user": "one", **one}},
        "g2": {"hosts": ["a"], "vars": {"ansible_user": "two", **two}},
        "_meta": {"hostvars": {}},
    }
    assert load(printing(tmp_path / "cloud", groups)).host("a").user == user


def test_a_program_without_meta_is_asked_for_each_host(tmp_path: Path) -> None:
    path = script(
        tmp_path / "cloud",
        "#!/bin/sh\n"
        'if [ "$1" = --list ]; then echo \'{"gpu": ["a", "b", "c"]}\'; exit; fi\n'
        "[ $2 = c ] || echo '{\"ansible_user\": \"user-'$2'\"}'\n",
    )
    inventory = load(path)
    assert [inventory.host(name).user for name in "abc"] == ["user-a", "user-b", None]


def test_a_program_that_knows_only_its_list(tmp_path: Path) -> None:
    path = script(tmp_path / "cloud", '#!/bin/sh\necho \'{"gpu": ["a"]}\'\n')
    assert [each.name for each in explain(load(path).host("a"))] == []


def test_what_has_no_counterpart_is_named(tmp_path: Path) -> None:
    variables = {
        "ansible_become": True,
        "ansible_become_user": "oracle",
        "ansible_become_method": "su",
        "ansible_ssh_pipelining": True,
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -oUserKnownHostsFile=none -o ProxyJump=gate",
        "ansible_password": "",
        "secret": {"__ansible_vault": "…"},
        "host": "taken",
        "mark": {"__ansible_unsafe": "plain"},
    }
    printed = {
        "_meta": {"hostvars": {"a": variables, "win": {"ansible_connection": "winrm"}}},
        "g": ["a", "win"],
    }
    inventory = load(printing(tmp_path / "cloud", printed))
    assert list(inventory.hosts) == ["a"]
    assert inventory.groups == {"g": ["a"]}
    assert [note.message for note in inventory.notes] == [
        "the host win is left out: its connection 'winrm' is not supported"
    ]
    host = inventory.host("a")
    assert host.ssh_options == ["-o", "ProxyJump=gate"]
    assert [note.message for note in host.notes] == [
        "`secret` is encrypted by Ansible's vault and is not read",
        "`host` cannot be the name of a variable here and is not read",
        "`StrictHostKeyChecking=no` (ansible_ssh_common_args) is ignored: host keys are always checked",
        "`UserKnownHostsFile=none` (ansible_ssh_common_args) is ignored: host keys are always checked",
        "`ansible_become_user: oracle` is ignored: the user is always root",
        "`ansible_become_method: su` is ignored: sudo is always used",
        "`ansible_ssh_pipelining`: these Ansible settings have no counterpart here and are ignored",
    ]
    assert [(each.name, each.value) for each in explain(host) if each.name == "mark"] == [("mark", "plain")]


def test_settings_that_do_not_fit_a_connection_are_for_the_other_hosts(tmp_path: Path) -> None:
    printed = {
        "all": {"vars": {"ansible_user": "ops", "ansible_port": 22, "ansible_ssh_common_args": "-v"}},
        "_meta": {
            "hostvars": {
                "here": {"ansible_connection": "ansible.builtin.local", "ansible_host": "127.0.0.1"},
                "box": {"ansible_connection": "containers.podman.podman"},
                "old": {"ansible_python_interpreter": "/usr/bin/env python3.9"},
            }
        },
    }
    inventory = load(printing(tmp_path / "cloud", printed))
    here, box, old = (inventory.host(name) for name in ("here", "box", "old"))
    assert (here.connection, here.user, here.address, here.port, here.ssh_options) == (
        "local",
        None,
        None,
        None,
        [],
    )
    assert (box.connection, box.engine, box.user, box.port) == ("container", "podman", "ops", None)
    assert (old.python, old.port) == ("python3.9", 22)


def test_variables_of_the_command_line_are_the_strongest(tmp_path: Path) -> None:
    path = printing(tmp_path / "cloud", {"_meta": {"hostvars": {"a": {"ansible_user": "ops"}}}})
    assert load_inventories([path], Path("/nonexistent"), {"ansible_user": "me"}).host("a").user == "me"
    with pytest.raises(ConfigError, match="`-e` sets `ansible_password`; use SSH keys"):
        load_inventories([path], Path("/nonexistent"), {"ansible_password": "x"})


def test_what_cloud_inventories_print(tmp_path: Path) -> None:
    """Groups that begin with an underscore, templates, and the names that Ansible itself gives a value."""
    host = {
        "public": "192.0.2.7",
        "ansible_host": "{{ public }}",
        "ansible_become": "{{ true }}",
        "ansible_ssh_common_args": '-o ProxyCommand="ssh -W %h:%p bastion"',
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    }
    printed = {"_meta": {"hostvars": {"n1": host}}, "all": {"children": ["_eu"]}, "_eu": {"hosts": ["n1"]}}
    n1 = load(printing(tmp_path / "cloud", printed)).host("n1")
    assert (n1.address, n1.become, n1.python, n1.groups) == ("192.0.2.7", True, "python3", ["_eu"])
    assert n1.ssh_options == ["-o", "ProxyCommand=ssh -W %h:%p bastion"]
    assert list(n1.notes) == []
