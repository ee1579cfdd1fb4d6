"""The documentation against the code: its tables, its examples, its links, and what it names."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from provision.cli import VERBS
from provision.project.load import load
from provision.project.project import Selection
from provision.wire import events, questions

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
INVENTORY = """
hosts:
  h1: {connection: ssh, address: 192.0.2.11, user: root}
  h2: {connection: ssh, address: 192.0.2.12, user: root}
  h3: {connection: ssh, address: 192.0.2.13, user: root}
  gpu-1: {connection: ssh, address: 192.0.2.1, user: root}
  gpu-2: {connection: ssh, address: 192.0.2.2, user: root}
  front: {connection: ssh, address: 192.0.2.9, user: root}
groups:
  gpu: {hosts: [gpu-1]}
"""


def reference() -> ModuleType:
    return module("reference")


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


EXAMPLES = [
    pytest.param(text, id=f"{page.name}-{number}")
    for page in PAGES
    for number, text in enumerate(blocks(page, "yaml"), 1)
]


def test_tables_and_schemas_are_those_of_the_code() -> None:
    for path, text in reference().files().items():
        assert path.read_text(encoding="utf-8") == text, f"run `python docs/reference.py` ({path.name})"


def test_the_open_paths_of_vllm_are_those_that_were_measured() -> None:
    page = ROOT / "docs" / "security.md"
    text = page.read_text(encoding="utf-8")
    assert module("open_paths").page(text) == text, "run `python docs/open_paths.py --table`"
    assert "| `POST /invocations` | open |" in text


def test_every_model_of_the_configuration_has_its_table() -> None:
    module = reference()
    shown = "".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in module.PAGES)
    for name in module.MODELS:
        assert f"<!-- keys of {name} -->\n| key |" in shown, name


def example(text: str, root: Path) -> Selection:
    """Write an example as a project below `root`; the rest of the project is made up."""
    data: Any = yaml.safe_load(text)
    if isinstance(data, dict) and isinstance(data.get("hosts"), dict):
        inventory, plays = text, "- hosts: all\n"
    else:
        inventory = INVENTORY
        plays = (
            text if isinstance(data, list) else "- hosts: gpu\n" + re.sub(r"^(?=.)", "  ", text, flags=re.M)
        )
    (root / "inventories").mkdir()
    (root / "playbooks").mkdir()
    (root / "inventories" / "hosts.yml").write_text(inventory, encoding="utf-8")
    playbook = root / "playbooks" / "example.yml"
    playbook.write_text(plays, encoding="utf-8")
    return Selection(playbooks=(playbook,), extra={"hub": "http://192.0.2.9:8440"})


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_are_valid(text: str, tmp_path: Path) -> None:
    assert load(example(text, tmp_path)).fleet.catalogs


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        there = (page.parent / path) if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_every_verb_is_described() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for verb in VERBS:
        assert f"## {verb}\n" in text, verb


def test_every_event_is_described_with_its_fields() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for event in events.Event.VARIANTS.values():
        if event in (events.Heartbeat, questions.Rotation, questions.Out):
            continue  # never printed
        row = re.search(rf"^\| `{event.NAME}` \|(.*)$", text, re.MULTILINE)
        assert row, event.NAME
        for key in set(event.FIELDS) - {"host"}:
            assert f"`{key}`" in row[1], (event.NAME, key)
