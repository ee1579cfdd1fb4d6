"""Lines copied from a shell: each part is named, and what is advised is valid and means the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from provision.kinds.program.fields import ProgramService
from tests.unit.config.conftest import Project

LINES: list[tuple[str, list[str], dict[str, Any]]] = [
    (
        "CUDA_VISIBLE_DEVICES=0,1 nohup python3 -m http.server 18451 > log.txt 2>&1 &",
        ["`gpus`", "`nohup`", "`> log.txt`", "`2>&1`", "`&`"],
        {"command": "python3 -m http.server 18451", "gpus": [0, 1]},
    ),
    (
        "source /opt/env.sh && python3 -m http.server 18450",
        ["`source /opt/env.sh`", "`env`"],
        {"command": ["bash", "-c", "source /opt/env.sh && exec python3 -m http.server 18450"]},
    ),
    (
        "source /data/venv/bin/activate && vllm serve /m",
        ["`environment`", "environments: {NAME: {path: /data/venv}}"],
        {"command": "/data/venv/bin/vllm serve /m"},
    ),
    (
        "cd /srv/app && ./run.sh",
        ["`working_directory`"],
        {"command": "./run.sh", "working_directory": "/srv/app"},
    ),
    (
        "cd /srv/app &&./run.sh",
        ["`working_directory`"],
        {"command": "./run.sh", "working_directory": "/srv/app"},
    ),
    ("cd app && ./run.sh", ["a whole path"], {"command": ["sh", "-c", "cd app && exec ./run.sh"]}),
    (
        "export A=1 B='x y'; python3 a.py",
        ["`env`"],
        {"command": "python3 a.py", "env": {"A": "1", "B": "x y"}},
    ),
    (
        "export A=1\npython3 a.py \\\n  --port 1",
        ["`env`"],
        {"command": "python3 a.py --port 1", "env": {"A": "1"}},
    ),
    (
        "HF_TOKEN=hf_abc python3 a.py",
        ["`env`"],
        {"command": "python3 a.py", "env": {"HF_TOKEN": {"env": "HF_TOKEN"}}},
    ),
    ("sudo -E -u ops python3 a.py", ["`user`"], {"command": "python3 a.py", "user": "ops"}),
    (
        "conda activate asr && python3 a.py",
        ["`conda activate`"],
        {"command": "conda run --no-capture-output -n asr python3 a.py"},
    ),
    ("sh start.sh &", ["`&`"], {"command": "sh start.sh"}),
    (
        "nohup python3 a.py >/dev/null 2>&1 & echo $! > a.pid",
        ["`nohup`", "`&`", "`echo`"],
        {"command": "python3 a.py"},
    ),
    ("python3 a.py 2>&1 | tee -a a.log", ["`tee`"], {"command": "python3 a.py"}),
    ("cat key | server --stdin", ["`cat … |`"], {"command": ["sh", "-c", "cat key | exec server --stdin"]}),
    ("python3 a.py --dir $HOME/x", ["`$HOME`"], {"command": ["sh", "-c", "exec python3 a.py --dir $HOME/x"]}),
    ("python3 ~/a.py", ["`~`"], {"command": ["sh", "-c", "exec python3 ~/a.py"]}),
    (
        "python3 a.py --host $(hostname -i)",
        ["`$(hostname -i)`"],
        {"command": ["sh", "-c", "exec python3 a.py --host $(hostname -i)"]},
    ),
    ("python3 a.py /data/*.bin", ["`*`"], {"command": ["sh", "-c", "exec python3 a.py /data/*.bin"]}),
    (
        "ulimit -n 65535 && python3 a.py",
        ["`ulimit … &&`"],
        {"command": ["sh", "-c", "ulimit -n 65535 && exec python3 a.py"]},
    ),
    (
        "PATH=/x:$PATH python3 a.py",
        ["`$PATH`"],
        {"command": ["sh", "-c", "export PATH=/x:$PATH && exec python3 a.py"]},
    ),
]


@pytest.mark.parametrize(
    ("kind", "line", "places", "advised"),
    [
        (kind, *line)
        for kind in ("program", "container")
        for line in LINES
        if kind == "program" or not {"user", "working_directory"} & line[2].keys()
    ],
)
def test_each_part_has_a_place(
    project: Project, line: str, places: list[str], advised: dict[str, Any], kind: str
) -> None:
    service: dict[str, Any] = {"kind": kind, "command": line}
    service |= {"image": "x:1"} if kind == "container" else {}
    text = yaml.safe_dump([{"hosts": "gpu", "services": {"s": service}}])
    (error,) = project.errors(text)
    assert re.match(r"p\.yml:\d+:\d+: `command`: no shell runs this line: ", error)
    assert "hf_abc" not in error
    if kind == "program":
        for place in places:
            assert place in error
    found = re.search(r"; write (\{.*\})(, or for a shell \[sh, -c, '…'\])?$", error)
    assert found is not None, error
    assert yaml.safe_load(found[1]) == advised
    project.play(yaml.safe_dump([{"hosts": "gpu", "services": {"s": {**service, **advised}}}]))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("app 'a && b' \"x | y\" --q='>1' a\\&b", ["app", "a && b", "x | y", "--q=>1", "a&b"]),
        (
            "app --url http://h/?a=1&b=2 --cors * --at '$HOME' '~/x'",
            ["app", "--url", "http://h/?a=1&b=2", "--cors", "*", "--at", "$HOME", "~/x"],
        ),
        ("app \\\n  --port 1\n  --host 0.0.0.0", ["app", "--port", "1", "--host", "0.0.0.0"]),
        ("sh -c 'cd /x && exec app > log'", ["sh", "-c", "cd /x && exec app > log"]),
        ('bash -lc "source x && $RUN"', ["bash", "-lc", "source x && $RUN"]),
        ("env A=1 app", ["env", "A=1", "app"]),
        ("app --json '{\"a\": [1, 2]}' --set A=1", ["app", "--json", '{"a": [1, 2]}', "--set", "A=1"]),
    ],
)
def test_what_is_quoted_or_meant_as_it_is(line: str, words: list[str]) -> None:
    service = ProgramService.model_validate({"kind": "program", "command": line})
    assert service.command == words
    assert ProgramService.model_validate({"kind": "program", "command": words[:5]}).command == words[:5]


@pytest.mark.parametrize(
    ("items", "place"),
    [
        (["cd", "/x", "&&", "app"], "`working_directory`"),
        (["CUDA_VISIBLE_DEVICES=0", "app"], "`gpus`"),
        (["app", ">", "log"], "its log"),
        (["app", "&"], "the supervisor"),
        (["sudo", "app"], "`user`"),
        (["app", "$HOME/x"], "`$HOME`"),
        (["~/app"], "`~`"),
    ],
)
def test_lists_are_looked_at_too(project: Project, items: list[str], place: str) -> None:
    text = yaml.safe_dump([{"hosts": "gpu", "services": {"s": {"kind": "program", "command": items}}}])
    (error,) = project.errors(text)
    assert place in error
