"""Inventories of Ansible in INI and YAML, read by the real `ansible-inventory`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from provision.config import dynamic
from provision.config.inventory import Inventory, load_inventories
from provision.config.problems import ConfigError
from tests.lab.locking import locked
from tests.lab.paths import state_directory


@pytest.fixture(scope="session")
def ansible() -> Path:
    """The programs of ansible-core; installed once, for all sessions of this machine."""
    folder = state_directory() / "ansible" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    with locked(folder.with_suffix(".lock")):
        done = folder / "complete"
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            pip = [folder / "bin/pip", "--disable-pip-version-check", "install", "--quiet"]
            subprocess.run([*pip, "ansible-core"], check=True)
            done.touch()
    return folder / "bin"


@pytest.fixture
def folder(ansible: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project in a home of its own, where Ansible is on PATH."""
    monkeypatch.setenv("PATH", f"{ansible}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def load(*paths: Path) -> Inventory:
    return load_inventories(list(paths) or None, Path())


INI = """\
[gpu]
gpu[01:03] ansible_user=ops
[web]
web-a ansible_port=2200
box ansible_connection=docker ansible_host=modelscope
[site:children]
gpu
web
[gpu:vars]
model_root=/data
ansible_become=yes
ansible_ssh_common_args='-o ProxyJump=gate'
"""


def test_ini_with_ranges_children_and_folders_of_variables(folder: Path) -> None:
    write(folder / "group_vars/site.yml", "ansible_user: everyone\nansible_port: 22\n")
    write(
        folder / "group_vars/web/main.yml",
        "ansible_user: www\nkey: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  61\n",
    )
    write(folder / "host_vars/gpu02.yml", "ansible_host: '{{ inventory_hostname }}.lan'\n")
    inventory = load(write(folder / "hosts.ini", INI))
    assert inventory.groups == {
        "gpu": ["gpu01", "gpu02", "gpu03"],
        "web": ["box", "web-a"],
        "site": ["box", "gpu01", "gpu02", "gpu03", "web-a"],
    }
    second = inventory.host("gpu02")
    assert (second.user, second.port, second.become) == ("ops", 22, True)
    assert (second.address, second.ssh_options) == ("gpu02.lan", ["-o", "ProxyJump=gate"])
    assert second.variables["model_root"].value == "/data"
    assert (inventory.host("web-a").user, inventory.host("web-a").port) == ("www", 2200)
    (note,) = inventory.host("web-a").notes
    assert (note.code, note.severity) == ("ansible-setting", "warning")
    assert note.message == "`key` is encrypted by Ansible's vault and is not read"
    box = inventory.host("box")
    assert (box.connection, box.engine, box.container, box.user) == (
        "container",
        "docker",
        "modelscope",
        "www",
    )


def test_yaml_beside_our_own_in_the_folder_of_inventories(folder: Path) -> None:
    write(folder / "inventories/ours.yml", "hosts: {mine: }\n")
    write(folder / "inventories/hosts", "plain ansible_user=ops\n")
    write(folder / "inventories/notes.txt", "[not] an inventory\n")
    write(
        folder / "inventories/theirs.yml",
        "all:\n  vars: {ansible_user: root}\n"
        "  children:\n    gpu: {hosts: {gpu-1: {ansible_host: 192.0.2.1}}}\n",
    )
    inventory = load()
    assert set(inventory.hosts) == {"mine", "plain", "gpu-1"}
    assert (inventory.host("gpu-1").address, inventory.host("gpu-1").user) == ("192.0.2.1", "root")
    assert inventory.host("mine").user is None
    assert inventory.host("plain").user == "ops"


def test_yaml_with_tags_of_ansible(folder: Path) -> None:
    text = "all:\n  hosts:\n    a:\n      ansible_user: !unsafe ops\n"
    assert load(write(folder / "theirs.yml", text)).host("a").user == "ops"


def test_a_program_with_folders_of_variables_beside_it(folder: Path) -> None:
    program = write(
        folder / "cloud", '#!/bin/sh\necho \'{"gpu": {"hosts": ["a"]}, "_meta": {"hostvars": {}}}\'\n'
    )
    program.chmod(0o755)
    write(folder / "group_vars/gpu.yml", "ansible_user: ops\n")
    assert load(program).host("a").user == "ops"


def test_what_ansible_cannot_read_is_an_error(folder: Path) -> None:
    path = write(folder / "hosts.ini", "[gpu:children]\ngpu 5\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}:1:1: ansible-inventory failed with exit code 1: "
        "'Failed to parse inventory: Expected group name, got: gpu 5'; "
        f"try it: ansible-inventory -i {path} --list"
    )


def test_the_way_out_without_ansible_works(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder / "hosts.ini", INI)
    with monkeypatch.context() as without:
        without.setenv("PATH", "/nonexistent")
        without.setattr(dynamic.sys, "executable", "/nonexistent/python")
        with pytest.raises(ConfigError) as caught:
            load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:1:1: this is an Ansible inventory, which ansible-inventory reads")
    # The command that it names.
    command = message[message.index("or run `") + 8 : message.index("` where")]
    subprocess.run(["sh", "-c", command], check=True)
    written = load(Path("hosts.json"))
    assert written.host("gpu01") == load(path).host("gpu01")
    assert written.groups == load(path).groups
