"""The structure of imports: no circle, and the host side knows nobody else."""

from __future__ import annotations

import ast
from pathlib import Path

import provision

PACKAGE = Path(provision.__file__).parent


def module_of(path: Path) -> str:
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def statements(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements that are executed when the module is imported, whatever stands around them."""
    found = []
    for each in body:
        found.append(each)
        if not isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            for part in ("body", "orelse", "finalbody"):
                found += statements(getattr(each, part, []))
            for handler in getattr(each, "handlers", []):
                found += statements(handler.body)
    return found


def imports(name: str, all: bool = False) -> set[str]:
    """The modules of ours that a module names in its imports; `from package import module` is that module.

    Imports in functions count when `all` is set.
    """
    found = set()
    tree = ast.parse(MODULES[name].read_bytes())
    for each in ast.walk(tree) if all else statements(tree.body):
        if isinstance(each, ast.Import):
            found |= {alias.name for alias in each.names}
        elif isinstance(each, ast.ImportFrom):
            above = MODULES[name].parents[each.level - 1] if each.level else PACKAGE.parent
            package = ".".join([*above.relative_to(PACKAGE.parent).parts, *filter(None, [each.module])])
            for alias in each.names:
                module = f"{package}.{alias.name}"
                found.add(module if module in MODULES else package)
    return found & set(MODULES)


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of a circle, the first one twice; nothing when there is none."""
    done: set[str] = set()

    def follow(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name not in done:
            for other in sorted(graph.get(name, ())):
                if found := follow(other, [*way, name]):
                    return found
            done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := follow(name, []))), [])


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"d", "b"}, "d": set()}) == ["b", "c", "b"]


def test_no_circle_of_imports() -> None:
    assert circle({name: imports(name) for name in MODULES}) == []


def test_arrows_between_packages_point_one_way() -> None:
    graph: dict[str, set[str]] = {}
    for name in MODULES:
        _, package, *_ = f"{name}..".split(".")
        packages = {other.split(".")[1] for other in imports(name, all=True) if "." in other}
        graph.setdefault(package, set()).update(packages - {package})
    assert circle(graph) == []


def test_the_host_side_knows_nobody_else() -> None:
    for name in MODULES:
        if name.startswith("provision.host"):
            others = {
                other
                for other in imports(name)
                if other != "provision"
                and not other.startswith(("provision.host", "provision.published", "provision.wire"))
            }
            assert others == set(), name
