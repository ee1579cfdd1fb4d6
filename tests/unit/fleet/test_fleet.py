"""The order between hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.fleet.edges import Edge, Node
from provision.fleet.fleet import Fleet
from provision.project.load import load
from provision.project.project import Selection

CONTAINER = (
    "services: {web: {kind: container, image: nginx, engine: podman, ports: ['8080:80'], tags: [web]}}"
)
"""A container, which its inventory entry calls `inside`."""

HOSTS = """
hosts:
  box: {address: 192.0.2.1, user: root}
  inside: {connection: container, container: web, on: box}
  other: {address: 192.0.2.2, user: root}
"""


def fleet(folder: Path, *plays: str, hosts: str = HOSTS, **chosen: object) -> Fleet:
    (folder / "i.yml").write_text(hosts)
    (folder / "p.yml").write_text("".join(f"- {play}\n" for play in plays))
    return load(Selection((folder / "p.yml",), (folder / "i.yml",), **chosen)).fleet  # type: ignore[arg-type]


BOX = f"{{hosts: box, {CONTAINER}}}"
INSIDE = "{hosts: inside, packages: [git]}"


def test_a_container_comes_before_what_is_in_it_and_its_proof_after(tmp_path: Path) -> None:
    found = fleet(tmp_path, INSIDE, BOX)
    assert found.edges == (
        Edge(Node("box", "container:web"), Node("inside"), "reach"),
        Edge(Node("inside"), Node("box", "probe:web"), "proof"),
    )
    assert found.way_to("inside") == Node("box", "container:web")
    assert found.inside("box") == ["inside"]
    assert found.deferred("box") == {"probe:web": ["inside"]}
    # The engine is known from what creates the container.
    assert found.catalogs["inside"].host.engine == "podman"


def test_a_container_that_somebody_else_created_is_only_reached_through_its_host(tmp_path: Path) -> None:
    found = fleet(tmp_path, "{hosts: [box, inside, other], packages: [git]}")
    assert found.edges == (Edge(Node("box"), Node("inside"), "reach"),)
    assert not found.deferred("box")


def test_a_container_of_this_machine_is_found_without_on(tmp_path: Path) -> None:
    hosts = "hosts: {localhost: {prefix: /srv/p}, inside: {connection: container, container: web}}"
    plays = (f"{{hosts: localhost, {CONTAINER}}}", INSIDE)
    assert fleet(tmp_path, *plays, hosts=hosts).way_to("inside") == Node("localhost", "container:web")
    assert not fleet(tmp_path, plays[1], hosts=hosts).edges


@pytest.mark.parametrize("chosen", [{"limit": "inside"}, {"limit": "box"}, {"tags": frozenset({"web"})}])
def test_what_is_not_chosen_has_no_part_in_the_order(tmp_path: Path, chosen: dict[str, object]) -> None:
    found = fleet(tmp_path, BOX, INSIDE, **chosen)
    assert len(found.catalogs) == 1
    assert not found.edges


def test_resources_and_services_know_their_host(tmp_path: Path) -> None:
    found = fleet(tmp_path, BOX, INSIDE, "{hosts: other, packages: [git]}")
    ids = {(name, each.id) for name, catalog in found.catalogs.items() for each in catalog.resources}
    assert ids > {("box", "container:web"), ("other", "apt")}
    assert [(each.host, each.name, each.facts.url) for each in found.endpoints] == [
        ("box", "web", "http://192.0.2.1:8080")
    ]
