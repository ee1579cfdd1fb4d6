"""Which flags vLLM's API server knows in which release.

`flags.json` was extracted from the sources of 33 releases, 0.8.0 to 0.33.0. For each flag (without its
dashes) it holds the half-open spans `[first release that has it, first release without it)`, the second null
while it is still there. `switches` and `negatable` are the flags without a value, the latter with a `--no-`
form, as the argument parser of 0.32.0 declares them; `json` are those whose value it reads as JSON, and
`maybe_json` those whose value may be JSON or something else. To teach it a release: append the version,
open and close spans.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import NamedTuple, TypeVar

from packaging.version import Version

T = TypeVar("T")


class Span(NamedTuple):
    """Releases from `added` up to, not including, `removed` (None: still there)."""

    added: Version
    removed: Version | None

    def has(self, version: Version) -> bool:
        """Say whether `version` lies in the span."""
        return self.added <= version and (self.removed is None or version < self.removed)


class _Data(NamedTuple):
    versions: tuple[Version, ...]
    flags: dict[str, tuple[Span, ...]]
    deprecated: dict[str, tuple[Span, ...]]
    switches: frozenset[str]
    negatable: frozenset[str]
    json: frozenset[str]
    maybe_json: frozenset[str]


@cache
def _data() -> _Data:
    raw = json.loads(files(__package__).joinpath("flags.json").read_text(encoding="utf-8"))

    def spans(table: dict[str, list[list[str | None]]]) -> dict[str, tuple[Span, ...]]:
        return {
            "--" + name: tuple(
                Span(Version(added or ""), Version(removed) if removed else None) for added, removed in pairs
            )
            for name, pairs in table.items()
        }

    return _Data(
        versions=tuple(Version(text) for text in raw["versions"]),
        flags=spans(raw["flags"]),
        deprecated=spans(raw["deprecated"]),
        switches=frozenset("--" + name for name in (*raw["switches"], *raw["negatable"])),
        negatable=frozenset("--" + name for name in raw["negatable"]),
        json=frozenset("--" + name for name in raw["json"]),
        maybe_json=frozenset("--" + name for name in raw["maybe_json"]),
    )


def versions() -> tuple[Version, ...]:
    """Return the known releases, oldest first."""
    return _data().versions


def oldest() -> Version:
    """Return the oldest known release."""
    return versions()[0]


def newest() -> Version:
    """Return the newest known release."""
    return versions()[-1]


def nearest(version: Version) -> Version:
    """Return the known release whose flags `version` is taken to have: the highest that is not above it.

    The oldest one stands for everything before it. Local parts (`+cu128`) do not count, and a pre-release
    counts as the release that it leads to.
    """
    release = Version(version.base_version)
    return max((known for known in versions() if known <= release), default=oldest())


def known(version: Version) -> frozenset[str]:
    """Return the long flags of the release nearest to `version`, with their dashes."""
    return _known(nearest(version))


@cache
def _known(release: Version) -> frozenset[str]:
    return frozenset(
        flag for flag, spans in _data().flags.items() if any(span.has(release) for span in spans)
    )


def history(flag: str) -> tuple[Span, ...]:
    """Return the spans of releases that have `flag`; empty when no known release has it."""
    return _data().flags.get(flag, ())


def deprecated(flag: str, version: Version) -> bool:
    """Say whether the release nearest to `version` accepts `flag` but warns about it."""
    release = nearest(version)
    return any(span.has(release) for span in _data().deprecated.get(flag, ()))


def every_flag() -> frozenset[str]:
    """Return each flag that any known release has or had."""
    return frozenset(_data().flags)


def takes_value(flag: str) -> bool | None:
    """Say whether `flag` is followed by a value; None when that is not known (flags gone before 0.32.0)."""
    if flag in _data().switches:
        return False
    return True if flag in _known(Version("0.32.0")) else None


def wants_json(flag: str) -> bool | None:
    """Say whether the value of `flag` must be JSON; None when it may be, or when that is not known."""
    if flag in _data().json:
        return True
    return None if flag in _data().maybe_json or takes_value(flag) is None else False


def negatable(flag: str) -> bool:
    """Say whether `flag` has a `--no-` form, as far as known; flags gone before 0.32.0 get the benefit of
    doubt.
    """
    return flag in _data().negatable or takes_value(flag) is None


def variants(render: Callable[[Version], T]) -> list[tuple[Version, T]]:
    """Return what `render` gives over all known releases, each result once with the release it begins at.

    Neighbours that are equal are joined, so a result that comes back later (a flag removed and brought back)
    is listed again.
    """
    found: list[tuple[Version, T]] = []
    for version in versions():
        result = render(version)
        if not found or found[-1][1] != result:
            found.append((version, result))
    return found
