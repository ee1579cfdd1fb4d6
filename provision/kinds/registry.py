"""The kinds of services: every package beside this module is one, except for `common`."""

from __future__ import annotations

import importlib
import pkgutil

import provision.kinds
from provision.kinds.kind import Kind


def _found() -> dict[str, Kind]:
    names = sorted(each.name for each in pkgutil.iter_modules(provision.kinds.__path__) if each.ispkg)
    packages = [importlib.import_module(f"provision.kinds.{name}") for name in names if name != "common"]
    kinds: list[Kind] = [package.KIND for package in packages]
    return {kind.name: kind for kind in kinds}


KINDS: dict[str, Kind] = _found()
"""By the `kind` of the service, in the order of the names."""

FRONTS = frozenset(name for name, kind in KINDS.items() if kind.front is not None)
"""The kinds whose services pass requests to others."""
