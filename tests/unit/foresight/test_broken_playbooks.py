"""Playbooks with one cause of failure each: found before any change, by its code, at its place.

A file of `broken/` has the `playbook`, in which `^` is in front of the place; the `code`; and what the `host`
tells, or the `inventory` says, where the cause is seen only by that. `found: plan` means that nothing is
wrong without the host.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.config.problems import ConfigError
from provision.foresight.stated import foreseen
from provision.project.load import load
from provision.project.project import Project, Selection
from provision.wire.finding import ERROR
from tests.unit.foresight import hosts

CASES = sorted((Path(__file__).parent / "broken").glob("*.yml"))

INVENTORY = "hosts:\n  box: {address: 192.0.2.12, user: ops, become: true}\n"


def marked(text: str) -> tuple[str, str]:
    """Return a text without its mark, and where that is."""
    before, _, after = text.partition("^")
    lines = before.split("\n")
    return before + after, f"{len(lines)}:{len(lines[-1]) + 1}"


def of_input(directory: Path) -> tuple[Project | None, list[tuple[str, str]]]:
    """Return the project, and the code and place of each error that is found without a host."""
    try:
        project = load(Selection((directory / "playbook.yml",), (directory / "inventory.yml",)))
        found = [finding for finding in foreseen(project.fleet.catalogs) if finding.severity == ERROR]
        return project, [(each.code, each.where or "") for each in found]
    except ConfigError as error:
        return None, [(problem.code, str(problem.position)) for problem in error.problems]


def of_host(project: Project, host: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the code and place of each error that is foreseen of a host."""
    catalog = project.fleet.catalogs["box"]
    names = [each.name for each in catalog.services]
    surveyed = hosts.told(
        hosts.gpus(host["gpus"]),
        models=[hosts.described(path, name) for path, name in host.get("models", {}).items()],
        holders=[hosts.holder(**each) for each in host.get("holders", ())],
        serving=host.get("serving", ()),
        starting=host.get("starting", names),
    )
    for gpu in surveyed.gpus or ():
        gpu.mig = host.get("mig")
    found = [each for each in hosts.outlook(catalog, surveyed).findings if each.severity == ERROR]
    return [(each.code, each.where or "") for each in found]


def test_there_are_at_least_twenty() -> None:
    assert len(CASES) >= 20


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_its_cause_is_found(path: Path, tmp_path: Path) -> None:
    case = yaml.safe_load(path.read_text(encoding="utf-8"))
    playbook, place = marked(case["playbook"])
    inventory, in_inventory = marked(case.get("inventory", INVENTORY))
    (tmp_path / "playbook.yml").write_text(playbook, encoding="utf-8")
    (tmp_path / "inventory.yml").write_text(inventory, encoding="utf-8")
    wrong = "inventory.yml" if inventory != case.get("inventory", INVENTORY) else "playbook.yml"
    expected = [(case["code"], f"{tmp_path / wrong}:{in_inventory if wrong == 'inventory.yml' else place}")]
    project, found = of_input(tmp_path)
    if case["found"] == "plan":
        assert project is not None
        assert found == []
        found = of_host(project, case["host"])
    assert found == expected
