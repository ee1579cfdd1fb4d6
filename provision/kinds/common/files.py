"""Declared files that a service reads: a program reads them once, so a change of one restarts it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from provision.catalog.builder import Builder
from provision.kinds.common.paths import paths_in
from provision.wire.spec import Placed
from provision.wire.specs.file import FileSpec


def named(builder: Builder, words: Iterable[str]) -> list[str]:
    """Return the ids of the files that words name: `/etc/a.conf`, `--config=/etc/a.conf`, `a:b`, JSON."""
    found = [f"file:{path}" for word in words for path in paths_in(word)]
    return list(dict.fromkeys(id for id in found if id in builder.resources))


def below(builder: Builder, directories: Sequence[str], kind: type[Placed] = FileSpec) -> list[str]:
    """Return the ids of the files, or of another `kind`, that are declared in, or at, these paths."""
    return [
        id
        for id, resource in builder.resources.items()
        if isinstance(resource.spec, kind)
        and resource.service is None
        and within(resource.spec.path, directories)
    ]


def within(path: str, directories: Sequence[str]) -> bool:
    """Say whether a path is one of these, or below one."""
    return any(path == above or path.startswith(above.rstrip("/") + "/") for above in directories)
