"""The files of a catalog as they would land on its host, for `provision render`."""

from __future__ import annotations

from posixpath import join
from typing import TYPE_CHECKING

from provision.wire.specs.file import FileSpec
from provision.wire.specs.tree import TreeSpec

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog


def render_tree(catalog: Catalog) -> dict[str, tuple[str, str]]:
    """Return path -> (text, mode) of every file, byte for byte what apply writes but for `***` instead of
    secrets.

    Where the text depends on the version that a host has installed, it is that for the newest version
    allowed.
    """
    found: dict[str, tuple[str, str]] = {}
    for resource in catalog.resources:
        spec = resource.spec
        if isinstance(spec, FileSpec) and not spec.absent:
            found[spec.path] = (str(spec.content), spec.mode)
        elif isinstance(spec, TreeSpec):
            found.update((join(spec.path, name), (text, spec.mode)) for name, text in spec.files.items())
    return found
