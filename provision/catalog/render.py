"""The files of a catalog as apply writes them, for `provision render`."""

from __future__ import annotations

from posixpath import join
from typing import TYPE_CHECKING

from provision.wire.specs.file import FileSpec
from provision.wire.specs.tree import TreeSpec

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog


def render_tree(catalog: Catalog) -> dict[str, tuple[str, str]]:
    """Return by path the text and mode of every file: exactly what apply writes, except `***` for secrets.

    Where the text depends on the version that the host has installed, it is the text for the newest version
    that is allowed.
    """
    found: dict[str, tuple[str, str]] = {}
    for resource in catalog.resources:
        spec = resource.spec
        if isinstance(spec, FileSpec) and not spec.absent:
            found[spec.path] = (str(spec.content), spec.mode)
        elif isinstance(spec, TreeSpec):
            found.update((join(spec.path, name), (text, spec.mode)) for name, text in spec.files.items())
    return found
