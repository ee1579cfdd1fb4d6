"""The modules of a package, whose names are evaluated when they are first used."""

from __future__ import annotations

import argparse
import ast
import collections
import collections.abc
import copy
import dataclasses
import enum
import functools
import itertools
import json
import re
import ssl
import types
import typing
from collections.abc import Callable
from typing import Any

from tests.flags import values
from tests.flags.evaluator import Scope, evaluate, member, run
from tests.flags.values import Undecided, Unknown


class _Some(types.SimpleNamespace):
    """Some names of a module; the others are unknown."""

    def __getattr__(self, name: str) -> Any:
        return Unknown(name)


SAFE: dict[str, Any] = {
    "argparse": argparse,
    "collections": collections,
    "collections.abc": collections.abc,
    "copy": copy,
    "dataclasses": _Some(
        MISSING=values.MISSING,
        dataclass=lambda *args, **kwargs: args[0] if args else (lambda cls: cls),
        field=values.declared,
        fields=values.fields,
        is_dataclass=values.is_dataclass,
        InitVar=dataclasses.InitVar,
        Field=values.Member,
    ),
    "enum": enum,
    "functools": functools,
    "itertools": itertools,
    "json": json,
    "pydantic": _Some(
        Field=values.field_info,
        SkipValidation=values.SkipValidation(),
    ),
    "pydantic.fields": _Some(FieldInfo=values.FieldInfo, Field=values.field_info),
    "re": re,
    "regex": re,
    "ssl": ssl,
    "sys": _Some(argv=["vllm"], modules={}, version_info=(3, 12)),
    "types": _Some(UnionType=types.UnionType),
    "typing": typing,
    "typing_extensions": typing,
}
"""What code may import: parts of the standard library without effects, and what stands for pydantic."""


class Package:
    """A package that is read, not imported.

    Args:
        name: what its modules begin with.
        read: the text of a file, None when there is none.
        instead: what to take for modules, and for names of modules (`module:name`).
    """

    def __init__(self, name: str, read: Callable[[str], str | None], instead: dict[str, Any]) -> None:
        self.name = name
        self._read = read
        self._instead = instead
        self._modules: dict[str, Module | None] = {}

    def module(self, name: str) -> Any:
        """Return a module by its full name; unknown when it is not of the package and not safe."""
        if name in SAFE:
            return SAFE[name]
        if name in self._instead:
            return self._instead[name]
        if name.partition(".")[0] != self.name:
            return Unknown(name)
        if name not in self._modules:
            self._modules[name] = self._load(name)
        return self._modules[name] or Unknown(name)

    def _load(self, name: str) -> Module | None:
        path = name.replace(".", "/")
        for candidate, package in ((f"{path}/__init__.py", name), (f"{path}.py", name.rpartition(".")[0])):
            text = self._read(candidate)
            if text is not None:
                return Module(self, name, package, ast.parse(text), self._instead)
        return None


class Module(Scope):
    """One module; a name is evaluated from the statement that binds it last."""

    def __init__(
        self, package: Package, name: str, inside: str, tree: ast.Module, instead: dict[str, Any]
    ) -> None:
        super().__init__(None, {"TYPE_CHECKING": False, "__name__": name})
        self.package = package
        self.name = name
        self._inside = inside
        self._instead = instead
        self._binding: dict[str, list[ast.stmt]] = {}
        self._bind(tree.body)

    def _bind(self, body: list[ast.stmt]) -> None:
        for node in body:
            match node:
                case ast.If(test, inner, orelse):
                    try:
                        chosen = inner if evaluate(test, self) else orelse
                    except Exception:
                        chosen = inner
                    self._bind(chosen)
                case ast.Try(inner):
                    self._bind(inner)
                case _:
                    for name in _bound(node):
                        self._binding.setdefault(name, []).append(node)

    def get(self, name: str) -> Any:
        where = f"{self.name}:{name}"
        if where in self._instead:
            return self._instead[where]
        if name in self.names:
            return self.names[name]
        if name not in self._binding:
            found = self.package.module(f"{self.name}.{name}")
            return super().get(name) if isinstance(found, Unknown) else found
        self.names[name] = Unknown(where)  # for what refers to itself
        scope = Scope(self, {})
        for node in self._binding[name][-1:]:
            if isinstance(node, ast.ImportFrom):
                alias = next(each for each in node.names if name == (each.asname or each.name))
                value = member(self.load(node.module, node.level), alias.name)
            else:
                try:
                    run([node], scope)
                except Undecided:
                    if isinstance(node, ast.ClassDef):
                        raise
                    continue
                value = scope.names.get(name, Unknown(where))
            self.names[name] = value
        return self.names[name]

    def load(self, module: str | None, level: int = 0) -> Any:
        if not level:
            return self.package.module(module or "")
        parts = self._inside.split(".")
        base = parts[: len(parts) - level + 1]
        return self.package.module(".".join([*base, *([module] if module else [])]))


def _bound(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name) | ast.ClassDef(name):
            return [name]
        case ast.Assign(targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(ast.Name(name)) | ast.AugAssign(ast.Name(name)):
            return [name]
        case ast.Import(names):
            return [each.asname or each.name.partition(".")[0] for each in names]
        case ast.ImportFrom(_, names):
            return [each.asname or each.name for each in names]
        case _:
            return []
