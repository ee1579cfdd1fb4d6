"""The resource types: found by looking, and asked what they are instead of what they are called."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import provision
from provision.host import resources
from provision.host.failure import Failure
from provision.host.removal import in_order
from provision.host.resource import Resource

PACKAGE = Path(provision.__file__).parent
TYPES = sorted(path.stem for path in (PACKAGE / "host/resources").glob("[a-z]*.py"))
GENERIC = (
    "runner",
    "fixing",
    "foreseeing",
    "item",
    "removal",
    "accounts/order",
    "verify",
    "main",
    "state/ledger",
)


@pytest.mark.parametrize("name", TYPES)
def test_a_type_is_the_class_in_the_module_of_its_name(name: str) -> None:
    found = resources.type_of(name)
    assert issubclass(found, Resource)
    assert (found.type, found.__module__) == (name, f"{resources.__name__}.{name}")


@pytest.mark.parametrize("name", ["nothing", "", "files", "os.path", "../file", "__init__"])
def test_what_is_no_type_is_refused(name: str) -> None:
    with pytest.raises(Failure, match="knows no resource type"):
        resources.type_of(name)


@pytest.mark.parametrize("file", [*(f"host/{name}.py" for name in GENERIC), "show/terminal/differences.py"])
def test_no_type_is_named_where_all_are_alike(file: str) -> None:
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    said = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert not said.intersection(TYPES)


def test_what_stands_on_others_is_removed_before_them() -> None:
    order = (
        *("probe:s", "unit:s", "file:/srv/app/x", "directory:/srv/app", "directory:/srv"),
        *("user:app", "group:app", "apt"),
    )
    entries = {id: {"type": id.partition(":")[0]} for id in reversed(order)}
    assert in_order(entries) == list(order)


def test_a_type_of_another_version_is_removed_last() -> None:
    assert in_order({"gone:x": {"type": "gone"}, "user:a": {"type": "user"}}) == ["user:a", "gone:x"]
