"""Where models are: each declaration in a directory of its own, and services lead to the declared one."""

from __future__ import annotations

import re

import pytest

from provision.catalog.catalog import Catalog
from provision.catalog.render import render_tree
from tests.unit.fleet.conftest import Project, resource, spec

MODELS = "/opt/provision/models/owner"
STEM = f"{MODELS}/qwen"


def compiled(project: Project, model: str = "revision: v1", service: str = "") -> Catalog:
    return project.compile(f"""
- hosts: all
  environments: {{hub: {{packages: [huggingface-hub]}}}}
  models:
    qwen: {{huggingface: owner/qwen, {model}}}
  services:
    web: {{port: 8000, kind: program, {service or "command: [serve, {model: qwen}]"}}}
""")


def path(catalog: Catalog) -> str:
    found: str = spec(catalog, "model:qwen").path
    return found


def test_each_declaration_has_a_directory_that_keeps_the_name(project: Project) -> None:
    first = compiled(project)
    assert re.fullmatch(rf"{MODELS}/\.[0-9a-f]{{8}}/qwen", path(first))
    assert spec(first, "model:qwen").stem == STEM
    assert f"directory:{MODELS}" in resource(first, "model:qwen").needs
    others = ["revision: v2", "revision: v1, allow: ['*.json']", "revision: v1, ignore: ['*.bin']"]
    assert len({path(first), *(path(compiled(project, other)) for other in others)}) == 4


@pytest.mark.parametrize(
    "same", ["workers: 8", "endpoint: 'http://hub.lan'", "environment: hub", "token: {env: T}"]
)
def test_how_it_is_fetched_does_not_count(project: Project, same: str) -> None:
    assert path(compiled(project, f"revision: v1, {same}")) == path(compiled(project))


def test_where_a_service_names_the_directory_it_gets_the_declared_one(project: Project) -> None:
    words = f'--a={STEM}/x.gguf, {STEM}-7B, /mnt{STEM}, \'{{"m": "{STEM}"}}\''
    catalog = compiled(
        project, service=f"command: [serve, {STEM}, {words}], env: {{M: {STEM}}}, working_directory: {STEM}"
    )
    script, env = (
        render_tree(catalog)[f"/opt/provision/services/web/{name}"][0] for name in ("start.sh", "env")
    )
    assert f"serve {path(catalog)} " in script
    assert f"--a={path(catalog)}/x.gguf" in script
    assert f"{STEM}-7B" in script
    assert f"/mnt{STEM}" in script
    assert f'{{"m": "{path(catalog)}"}}' in script
    assert f"cd {path(catalog)}" in script
    assert f'M="{path(catalog)}"' in env or f"M={path(catalog)}" in env
    assert resource(catalog, "model:qwen").triggers == ["web"]


def test_a_service_that_does_not_name_the_directory_has_it_in_one_place(project: Project) -> None:
    catalog = compiled(project, service="command: serve, models: [qwen]")
    assert (path(catalog), spec(catalog, "model:qwen").stem) == (STEM, None)


def test_a_container_gets_the_declared_one_or_sees_the_place_around_it(project: Project) -> None:
    def container(volume: str) -> Catalog:
        return project.compile(f"""
- hosts: all
  environments: {{hub: {{packages: [huggingface-hub]}}}}
  models: {{qwen: {{huggingface: owner/qwen, revision: v1}}}}
  services:
    web: {{kind: container, image: "x:1", ports: ["8000:8000"], volumes: ["{volume}"]}}
""")

    exact = container(f"{STEM}:/model:ro")
    assert spec(exact, "container:web").volumes[0].source == path(exact) != STEM
    assert "model:qwen" in resource(exact, "container:web").needs
    around = container(f"{MODELS}:/models:ro")
    assert path(around) == STEM
    assert spec(around, "container:web").volumes[0].source == MODELS
    assert resource(around, "model:qwen").triggers == ["web"]
