"""The order in which the hosts of a fleet are changed, as plays and the command line say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.config.pace import Portion
from provision.config.problems import ConfigError
from provision.fleet.waves import Waves, waves
from provision.project.load import load
from provision.project.project import Selection
from tests.unit.fleet.conftest import Project

SERVICE = "services: {echo: {kind: program, command: [/bin/echo], port: 8000}}"


def order(project: Project, *plays: str, hosts: int = 6, serial: str | None = None) -> Waves:
    """Return the waves of hosts h1 to h6 and these plays."""
    rows = "\n".join(
        f"  h{number}: {{address: 192.0.2.{number}, become: true}}" for number in range(1, hosts + 1)
    )
    project.write("inventories/hosts.yml", f"hosts:\n{rows}\n")
    path = project.write("playbooks/one.yml", "".join(f"- {{{play}}}\n" for play in plays))
    return waves(load(Selection((path,))).fleet, Portion.read(serial) if serial else None)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_one_host_goes_first_and_then_all_others(project: Project) -> None:
    found = order(project, f"hosts: all, {SERVICE}")
    assert found.hosts == (("h1",), ("h2", "h3", "h4", "h5", "h6"))
    assert (found.max_failures, found.pause, found.declared) == (0, 0, False)


def test_hosts_without_services_change_at_once(project: Project) -> None:
    assert len(order(project, "hosts: all, packages: [git]").hosts) == 1


def test_a_play_for_one_host_waits_for_nobody(project: Project) -> None:
    assert len(order(project, *(f"hosts: h{number}, {SERVICE}" for number in range(1, 7))).hosts) == 1


@pytest.mark.parametrize(
    ("said", "sizes"),
    [
        ("canary: 2, serial: 2", [2, 2, 2]),
        ("serial: 50%", [1, 3, 2]),
        ("serial: 25%", [1, 1, 1, 1, 1, 1]),
        ("serial: 10%", [1, 1, 1, 1, 1, 1]),
        ("canary: 0", [6]),
        ("canary: 0, serial: 4", [4, 2]),
        ("canary: 20", [6]),
        ("serial: '3'", [1, 3, 2]),
    ],
)
def test_sizes(project: Project, said: str, sizes: list[int]) -> None:
    found = order(project, f"hosts: all, rollout: {{{said}}}, {SERVICE}")
    assert [len(names) for names in found.hosts] == sizes
    assert found.declared


def test_the_command_line_says_otherwise(project: Project) -> None:
    found = order(project, f"hosts: all, rollout: {{serial: 1}}, {SERVICE}", serial="60%")
    assert [len(names) for names in found.hosts] == [1, 3, 2]


def test_failures_and_pauses_of_several_plays_the_strictest_counts(project: Project) -> None:
    found = order(
        project,
        f"hosts: all, rollout: {{max_failures: 50%, pause: 30s}}, {SERVICE}",
        "hosts: '*', rollout: {max_failures: 1, pause: 5s}, "
        "services: {b: {kind: program, command: [/bin/b]}}",
    )
    assert (found.max_failures, found.pause) == (1, 30)


def test_a_host_of_two_plays_comes_with_the_later_one(project: Project) -> None:
    found = order(
        project,
        f"hosts: [h1, h2, h3], {SERVICE}",
        "hosts: [h3, h1], rollout: {canary: 2}, services: {b: {kind: program, command: [/bin/b]}}",
    )
    assert found.hosts == (("h1",), ("h2", "h3"))


def test_a_gateway_comes_after_what_is_behind_it(project: Project) -> None:
    found = order(
        project,
        "hosts: [h2, h3], environments: {e: {packages: [vllm]}}, models: {m: {path: /m}}, "
        "services: {chat: {kind: vllm, environment: e, model: m, port: 8000, api_key: {env: K}}}",
        "hosts: h1, services: {door: {kind: gateway, upstreams: [chat], port: 8443, keys: {ci: {env: CI}}}}",
        hosts=3,
    )
    assert found.hosts == (("h2",), ("h3", "h1")) or found.hosts == (("h2",), ("h1", "h3"))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("serial: 120%", "`serial`: expected a share of at most 100%, found 120%"),
        (
            "serial: some",
            "`serial`: expected a number of hosts or a share of them, found text 'some'",
        ),
        ("max_failures: -1", "`max_failures`: expected a number of hosts or a share of them"),
        ("canary: 10%", "`canary`: expected a whole number"),
        ("cannary: 1", "unknown key `cannary`"),
    ],
)
def test_wrong_values_name_their_place(project: Project, said: str, why: str) -> None:
    with pytest.raises(ConfigError) as error:
        order(project, f"hosts: all, rollout: {{{said}}}, {SERVICE}")
    assert why in str(error.value).replace('"', "'")
