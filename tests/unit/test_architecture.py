"""Arrows between the folders of provision/ point one way; no modules import each other in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BELOW = {
    "cli": {"rollout", "show", "foresight", "project", "lock", "catalog", "config", "findings", "wire"},
    "rollout": {"foresight", "project", "fleet", "catalog", "config", "transport", "connect", "wire"},
    "show": {"project", "lock", "fleet", "kinds", "catalog", "config", "findings", "wire"},
    "foresight": {"kinds", "catalog", "config", "wire"},
    "project": {"lock", "fleet", "kinds", "catalog", "config", "engines", "published", "wire"},
    "lock": {"fleet", "catalog", "config", "wire"},
    "fleet": {"kinds", "catalog", "config", "wire"},
    "kinds": {"catalog", "config", "engines", "asr", "published", "wire"},
    "catalog": {"config", "wire"},
    "config": {"wire"},
    "transport": {"connect", "wire"},
    "connect": {"config", "wire"},
    "host": {"published", "wire"},
    "published": set[str](),
    "wire": set[str](),
    "engines": set[str](),
    "findings": set[str](),
    "asr": set[str](),
}
"""What each folder may import. All may import `provision` itself (its version) and `provision.caches`."""


def _modules() -> dict[str, Path]:
    """Return the files of provision/ by module name."""
    found = {}
    for path in (ROOT / "provision").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _modules()


def _imports(statements: list[ast.stmt], inside: bool, typing: bool) -> Iterator[str]:
    """Return the modules of provision that statements import.

    Args:
        statements: of a module.
        inside: those in functions, too.
        typing: those for type checkers, too.
    """
    for statement in statements:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names if alias.name in MODULES)
        elif isinstance(statement, ast.ImportFrom) and statement.module in MODULES:
            for alias in statement.names:
                name = f"{statement.module}.{alias.name}"
                yield name if name in MODULES else statement.module
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            yield from _imports(statement.body if typing else statement.orelse, inside, typing)
        elif inside or not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            for field in ("body", "orelse", "finalbody"):
                yield from _imports(getattr(statement, field, []), inside, typing)
            for handler in getattr(statement, "handlers", []):
                yield from _imports(handler.body, inside, typing)


def _imported(name: str, *, inside: bool, typing: bool) -> set[str]:
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    return set(_imports(tree.body, inside, typing)) - {name}


def _folder(name: str) -> str | None:
    """Return the folder that a module is in; None for the modules beside the folders."""
    part = name.partition(".")[2].partition(".")[0]
    return part if (ROOT / "provision" / part).is_dir() and part else None


def test_every_folder_with_code_has_its_place() -> None:
    assert {_folder(name) for name in MODULES} - {None, "skeleton"} == BELOW.keys()


@pytest.mark.parametrize("folder", BELOW)
def test_arrows_point_one_way(folder: str) -> None:
    wrong = [
        f"{name} imports {other}"
        for name in MODULES
        if _folder(name) == folder
        for other in _imported(name, inside=True, typing=True)
        if _folder(other) not in {None, folder, *BELOW[folder]}
    ]
    assert not wrong


def test_no_modules_import_each_other_in_a_circle() -> None:
    left = {name: _imported(name, inside=False, typing=False) for name in MODULES}
    while ready := {name for name, imported in left.items() if imported.isdisjoint(left)}:
        left = {name: imported for name, imported in left.items() if name not in ready}
    # What is left imports a circle, or is one.
    assert not left


def test_the_arrows_themselves_have_no_circle() -> None:
    left = dict(BELOW)
    while ready := {name for name, below in left.items() if below.isdisjoint(left)}:
        left = {name: below for name, below in left.items() if name not in ready}
    assert not left
