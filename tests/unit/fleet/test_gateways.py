"""Which gateways pass requests to a service, wherever in the project they are declared."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.fleet.fleet import Fleet
from provision.project.load import load
from provision.project.project import Project, Selection

HOSTS = "hosts: {{front: {0}, gpu-1: {0}, gpu-2: {0}}}\n".format(
    "{connection: ssh, address: 192.0.2.1, user: root}"
)

SERVERS = """\
- hosts: [gpu-1, gpu-2]
  services: {qwen: {kind: program, command: serve, port: 8001}, lone: {kind: program, command: x, port: 1}}
"""

FRONT = """\
- hosts: front
  services: {gateway: {kind: gateway, upstreams: [qwen], timeouts: {drain: 7s}}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "hosts.yml").write_text(HOSTS)
    (tmp_path / "playbooks" / "servers.yml").write_text(SERVERS)
    (tmp_path / "playbooks" / "front.yml").write_text(FRONT)
    return tmp_path


def loaded(project: Path, *names: str, limit: str | None = None) -> Project:
    playbooks = tuple(project / "playbooks" / name for name in names)
    return load(Selection(playbooks, (project / "hosts.yml",), limit))


def asked(fleet: Fleet) -> dict[str, tuple[float, dict[str, int | None]]]:
    return {str(each): (each.front.drain, dict(each.servers["qwen"])) for each in fleet.gateways}


@pytest.mark.parametrize(
    ("names", "limit"),
    [
        (["servers.yml", "front.yml"], None),
        (["servers.yml"], None),
        (["servers.yml", "front.yml"], "gpu-1"),
        (["servers.yml"], "gpu-1"),
    ],
)
def test_it_is_found_with_all_its_servers(project: Path, names: list[str], limit: str | None) -> None:
    found = loaded(project, *names, limit=limit)
    assert asked(found.fleet) == {"gateway on front": (7.0, {"gpu-1": 8001, "gpu-2": 8001})}
    assert found.fleet.fronted() == {"qwen": ["gateway on front"]}
    assert found.notes == []


def test_one_that_is_out_of_reach_of_the_selection_changes_nothing_else(project: Path) -> None:
    assert loaded(project, "servers.yml").host_names == ["gpu-1", "gpu-2"]
    assert loaded(project, "servers.yml", limit="gpu-2").host_names == ["gpu-2"]


def test_where_it_has_one_server_it_is_said_what_clients_see(project: Path) -> None:
    servers = project / "playbooks" / "servers.yml"
    servers.write_text(SERVERS.replace(", gpu-2]", "]"))
    alone = "gateway on front (the only one there: requests get 503 until it is back)"
    assert loaded(project, "servers.yml").fleet.fronted() == {"qwen": [alone]}
    front = project / "playbooks" / "front.yml"
    front.write_text(FRONT.replace("timeouts", "queue: 20s, timeouts"))
    alone = "gateway on front (the only one there: requests wait up to 20 s)"
    assert loaded(project, "servers.yml").fleet.fronted() == {"qwen": [alone]}


def test_a_playbook_that_cannot_be_read_is_noted_and_stops_nothing(project: Path) -> None:
    (project / "playbooks" / "front.yml").write_text("- hosts: front\n  servces: {}\n")
    found = loaded(project, "servers.yml")
    assert found.fleet.gateways == ()
    assert [note.code for note in found.notes] == ["skipped-playbook"]
    assert "front.yml" in found.notes[0].message


def test_what_is_wrong_for_a_host_of_another_playbook_stops_nothing(project: Path) -> None:
    (project / "playbooks" / "front.yml").write_text(FRONT.replace("[qwen]", '["{{ nowhere }}"]'))
    found = loaded(project, "servers.yml")
    assert found.fleet.gateways == ()
    assert [note.code for note in found.notes] == ["skipped-playbook"]


@pytest.mark.parametrize("names", [["servers.yml", "front.yml"], ["servers.yml"]])
def test_a_wrong_play_for_the_same_host_in_another_playbook_hides_no_gateway(
    project: Path, names: list[str]
) -> None:
    """It would be restarted without leaving the rotation, and nobody would know."""
    (project / "playbooks" / "other.yml").write_text("- {hosts: all, directories: {'{{ absent }}': {}}}\n")
    found = loaded(project, *names)
    assert found.fleet.fronted() == {"qwen": ["gateway on front"]}
    assert asked(found.fleet) == {"gateway on front": (7.0, {"gpu-1": 8001, "gpu-2": 8001})}
