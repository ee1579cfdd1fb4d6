"""Which flags vLLM's API server knows in which release.

`flags.json` was extracted from the sources of 33 releases, 0.8.0 to 0.33.0. For each flag (without its
dashes) it holds spans: the first release that has it, and the first one without it (null: none yet).
`switches` and `negatable` are the flags without a value, the latter with a `--no-` form, as the argument
parser of 0.32.0 declares them; `json` are those whose value is JSON, and `maybe_json` those whose value may
be JSON or something else; `short` are the one-dash flags of 0.32.0. To add a release: append the version, and
begin and end spans.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple, TypeVar

from packaging.version import Version

T = TypeVar("T")

DECLARED = Version("0.32.0")
"""The release whose parser says which flags take a value, and of which kind."""


class Span(NamedTuple):
    """Releases from `added` up to, not including, `removed` (None: still there)."""

    added: Version
    removed: Version | None

    def has(self, version: Version) -> bool:
        """Whether `version` is in the span."""
        return self.added <= version and (self.removed is None or version < self.removed)


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(files(__package__).joinpath("flags.json").read_text(encoding="utf-8"))
    return data


@cache
def _spans(table: str) -> dict[str, tuple[Span, ...]]:
    """Return the spans of each flag in a table of `flags.json`."""
    return {
        "--" + name: tuple(
            Span(Version(added), None if removed is None else Version(removed)) for added, removed in pairs
        )
        for name, pairs in _data()[table].items()
    }


@cache
def _listed(*lists: str) -> frozenset[str]:
    """Return the flags in these lists of `flags.json`."""
    return frozenset("--" + name for each in lists for name in _data()[each])


@cache
def short() -> dict[str, str]:
    """Return what vLLM's one-dash flags stand for."""
    return {f"-{short}": f"--{long}" for short, long in _data()["short"].items()}


@cache
def versions() -> tuple[Version, ...]:
    """Return the known releases, oldest first."""
    return tuple(map(Version, _data()["versions"]))


def oldest() -> Version:
    """Return the oldest known release."""
    return versions()[0]


def newest() -> Version:
    """Return the newest known release."""
    return versions()[-1]


def nearest(version: Version) -> Version:
    """Return the known release whose flags `version` is assumed to have: the highest that is not above it.

    For older versions it is the oldest one. Local parts (`+cu128`) are ignored, and a pre-release counts as
    its release.
    """
    release = Version(version.base_version)
    return max((known for known in versions() if known <= release), default=oldest())


@cache
def known(version: Version) -> frozenset[str]:
    """Return the long flags of the release nearest to `version`, with their dashes."""
    release = nearest(version)
    return frozenset(
        flag for flag, spans in _spans("flags").items() if any(span.has(release) for span in spans)
    )


def history(flag: str) -> tuple[Span, ...]:
    """Return the spans of releases that have `flag`; empty when no known release has it."""
    return _spans("flags").get(flag, ())


def deprecated(flag: str, version: Version) -> bool:
    """Whether the release nearest to `version` accepts `flag` but warns about it."""
    release = nearest(version)
    return any(span.has(release) for span in _spans("deprecated").get(flag, ()))


def takes_value(flag: str) -> bool | None:
    """Whether `flag` is followed by a value; None when that is not known (flags removed before 0.32.0)."""
    if flag in _listed("switches", "negatable"):
        return False
    return True if flag in known(DECLARED) else None


def wants_json(flag: str) -> bool | None:
    """Whether the value of `flag` must be JSON; None when it may be, or when that is not known."""
    if flag in _listed("json"):
        return True
    return None if flag in _listed("maybe_json") or takes_value(flag) is None else False


def negatable(flag: str) -> bool:
    """Whether `flag` has a `--no-` form; True for flags of which that is not known."""
    return flag in _listed("negatable") or takes_value(flag) is None


def variants(render: Callable[[Version], T]) -> list[tuple[Version, T]]:
    """Return the results of `render` for all known releases, each with the first release that gives it.

    Equal neighbours are joined; a result that comes back later (a flag removed and added again) is listed
    again.
    """
    found: list[tuple[Version, T]] = []
    for version in versions():
        result = render(version)
        if not found or found[-1][1] != result:
            found.append((version, result))
    return found
