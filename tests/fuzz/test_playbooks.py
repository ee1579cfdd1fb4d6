"""A string at any place of a playbook or inventory is refused by a finding, or arrives as it was given."""

from __future__ import annotations

import copy
import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.catalog.catalog import Catalog
from provision.catalog.render import render_tree
from provision.config.model import is_one_line
from provision.config.problems import ConfigError
from provision.connect.ssh import Ssh
from provision.project.load import load
from provision.project.project import Selection
from tests.fuzz.strings import SEED, SIZE, batches, same, spoiled, strings

HOSTS: dict[str, Any] = {
    "hosts": {
        "box": {
            "address": "192.0.2.12",
            "user": "ops",
            "become": True,
            "identity_file": "/keys/id",
            "prefix": "/opt/provision",
            "python": "/usr/bin/python3",
            "ssh_options": ["ServerAliveInterval=5"],
        }
    }
}

PLAY: dict[str, Any] = {
    "hosts": "all",
    "tags": ["one"],
    "packages": ["git"],
    "files": {"/etc/app.conf": {"content": "text", "owner": "ops", "mode": "0640"}},
    "directories": {"/data/app": {"owner": "ops"}},
    "users": {"ops": {"home": "/home/ops", "shell": "/bin/sh"}},
    "sysctls": {"vm.swappiness": "10"},
    "commands": {"do": {"run": "true", "creates": "/data/done", "env": {"NAME": "value"}}},
    "environments": {
        "vllm": {"packages": ["vllm==0.33.0", "modelscope"], "index_url": "https://index.example/simple"},
        "asr": {"packages": ["torch", "torchaudio", "funasr", "fastapi", "uvicorn", "python-multipart"]},
    },
    "models": {
        "r1": {"modelscope": "owner/name", "revision": "v1", "environment": "vllm", "ignore": ["*.bin"]},
        "s": {"path": "/data/s"},
        "v": {"path": "/data/v"},
    },
    "services": {
        "chat": {
            "kind": "vllm",
            "environment": "vllm",
            "model": "r1",
            "host": "127.0.0.1",
            "port": 8000,
            "served_model_name": ["chat"],
            "chat_template": "/data/chat.jinja",
            "extra_args": ["--tokenizer", "/data/tokenizer"],
            "env": {"NAME": "value"},
            "user": "ops",
            "writable": ["/data/app"],
            "tls": {"cert": "/etc/tls/cert", "key": "/etc/tls/key"},
            "checks": [{"chat": "hello", "expect": "x"}],
        },
        "speech": {"kind": "asr", "environment": "asr", "model": "s", "vad_model": "v", "port": 8001},
        "web": {
            "kind": "program",
            "command": ["/usr/bin/serve", "--name", "value"],
            "port": 8002,
            "working_directory": "/data/app",
            "env": {"NAME": "value"},
            "checks": [{"http": "/health"}],
        },
        "boxed": {
            "kind": "container",
            "image": "registry.example/a:1",
            "ports": ["8003:8000"],
            "volumes": ["/data:/data:ro"],
            "command": ["serve", "--name", "value"],
            "env": {"NAME": "value"},
            "network": "bridge",
            "devices": ["/dev/fuse"],
            "labels": {"name": "value"},
        },
        "front": {"kind": "gateway", "upstreams": ["web"], "port": 8080, "host": "127.0.0.1"},
    },
}

Place = tuple[str | int, ...]


def places(data: Any, at: Place = ()) -> Iterator[tuple[Place, bool]]:
    """Yield where a string is, and whether it is the key there."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield (*at, key), True
            yield from places(value, (*at, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from places(value, (*at, index))
    elif isinstance(data, str):
        yield at, False


def spoil(data: Any, place: Place, key: bool, value: str) -> Any:
    """Return data with a string at a place."""
    data = copy.deepcopy(data)
    there = data
    for part in place[:-1]:
        there = there[part]
    if key:
        there[value] = there.pop(place[-1])
    else:
        there[place[-1]] = value
    return data


def compiled(folder: Path, hosts: Any, play: Any) -> Catalog:
    """Compile them as a user has them: in files."""
    for name, data in (("hosts.yml", hosts), ("play.yml", [play])):
        written = json.dumps(data, ensure_ascii=False)
        # JSON leaves these as they are, and YAML wants them escaped.
        escaped = "".join(c if c.isprintable() or "\ud800" <= c < "\ue000" else escape(c) for c in written)
        (folder / name).write_bytes(escaped.encode("utf-8", "surrogatepass"))
    project = load(Selection((folder / "play.yml",), (folder / "hosts.yml",)))
    (catalog,) = project.fleet.catalogs.values()
    return catalog


def escape(character: str) -> str:
    """Return a character as YAML's double quotes have it."""
    return f"\\U{ord(character):08x}"


def templated(value: str) -> bool:
    """Say whether a string is a template, which becomes another one."""
    return any(mark in value for mark in ("{{", "{%", "{#"))


def test_a_playbook_without_such_strings_is_right(tmp_path: Path) -> None:
    assert len(render_tree(compiled(tmp_path, HOSTS, PLAY))) > 20


@pytest.mark.parametrize("kind", ["special", "spoiled"])
def test_any_place(tmp_path: Path, kind: str) -> None:
    chance = random.Random(f"{SEED} {kind}")
    everywhere = [(True, *each) for each in places(HOSTS)] + [(False, *each) for each in places(PLAY)]
    taken = 0
    script = tmp_path / "script"
    for value in (spoiled if kind == "spoiled" else strings)(SIZE // 4, kind):
        inventory, place, key = chance.choice(everywhere)
        hosts = spoil(HOSTS, place, key, value) if inventory else HOSTS
        play = PLAY if inventory else spoil(PLAY, place, key, value)
        try:
            catalog = compiled(tmp_path, hosts, play)
        except ConfigError as error:
            told = [str(problem) for problem in error.problems]
            if any("\x1b" in each for each in told):
                pytest.fail(f"FUZZ_SEED={SEED}: {told}")
            continue
        except Exception as error:
            raise AssertionError(f"FUZZ_SEED={SEED}: {value!r} at {place}") from error
        taken += 1
        for path, (content, _) in render_tree(catalog).items():
            if path.endswith("start.sh"):
                script.write_text(content, encoding="utf-8")
                subprocess.run(["/bin/sh", "-n", script], check=True)
            assert "\0" not in path, (SEED, place, value)
    assert taken > SIZE // 40 or kind == "spoiled"


def test_words_of_a_command(tmp_path: Path) -> None:
    # A word that is an operator of a shell is refused, as no shell reads the command.
    given = [f"={value}" for value in strings(SIZE, "command") if not templated(value) and is_one_line(value)]
    for part in batches(given, 300):
        play = {
            "hosts": "all",
            "services": {"web": {"kind": "program", "command": ["/usr/bin/printf", "%s\\0", *part]}},
        }
        content, _ = render_tree(compiled(tmp_path, HOSTS, play))["/opt/provision/services/web/start.sh"]
        (tmp_path / "start.sh").write_text(content, encoding="utf-8")
        done = subprocess.run(["/bin/sh", tmp_path / "start.sh"], capture_output=True, check=True)
        same(part, done.stdout.decode().split("\0")[:-1])


def test_variables(tmp_path: Path) -> None:
    given = [value for value in strings(SIZE, "variables") if not templated(value) and is_one_line(value)]
    assert len(given) > SIZE // 2
    for part in batches(given, 300):
        env = {f"V{number}": value for number, value in enumerate(part)}
        play = {"hosts": "all", "services": {"web": {"kind": "program", "command": ["x"], "env": env}}}
        content, _ = render_tree(compiled(tmp_path, HOSTS, play))["/opt/provision/services/web/env"]
        printed = "".join(f"printf '%s\\0' \"$V{number}\"\n" for number in range(len(part)))
        done = subprocess.run(
            ["/bin/sh", "-s"], input=(content + printed).encode(), capture_output=True, check=True
        )
        same(part, done.stdout.decode().split("\0")[:-1])


def test_where_ssh_goes(tmp_path: Path) -> None:
    """The real ssh is asked what it makes of the arguments: the user and the address, or it refuses them."""
    seen = 0
    for value in strings(SIZE // 5, "ssh"):
        hosts = spoil(HOSTS, ("hosts", "box", "user"), False, value)
        hosts = spoil(hosts, ("hosts", "box", "address"), False, value)
        try:
            compiled(tmp_path, hosts, PLAY)
        except ConfigError:
            continue
        seen += 1
        argv = Ssh(host="box", address=value, user=value, directory=None).argv("true")
        done = subprocess.run([argv[0], "-G", *argv[1:]], capture_output=True, check=False)
        lines = done.stdout.decode().splitlines()
        if done.returncode == 0:
            assert f"user {value}" in lines, (SEED, value)
            assert f"host {value}".lower() in [line.lower() for line in lines], (SEED, value)
    assert seen
