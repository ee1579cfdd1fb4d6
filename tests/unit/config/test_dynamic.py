from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from provision.config import dynamic
from provision.config.inventory import Inventory, load_inventories
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
    assert {name: v.value for name, v in gpu.variables.items()} == {
        "root": "/data",
        "model_root": "{{ root }}/m",
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
    printing(tmp_path / "inventories/cloud.py", {"g": ["a"]})
    (tmp_path / "inventories/b.yml").write_text("hosts: {b: }\ngroups: {g: {hosts: [b]}}\n")
    assert load_inventories(None, tmp_path).groups == {"g": ["b", "a"]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("#!/bin/sh\necho broken >&2; exit 3\n", "failed with exit code 3: 'broken'"),
        ("#!/bin/sh\nexit 1\n", "failed with exit code 1"),
        ("#!/bin/sh\necho hello\n", "prints no JSON: Expecting value: line 1 column 1 (char 0)"),
        ("#!/bin/sh\nexit 0\n", "prints nothing; try it: "),
        ("#!/bin/sh\necho '{\"g\": NaN}'\n", "prints no JSON: NaN is no value of JSON"),
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
            '#!/bin/sh\necho \'{"_meta": {"hostvars": {"h": {"ansible_connection": "winrm"}}}}\'\n',
            "the host `h` has the connection 'winrm', which is not known",
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
