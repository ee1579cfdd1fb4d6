"""Which flags vLLM's API server knows in which release, and what each accepts.

`flags.json` is made by `python -m tests.flags` from the released packages. For each flag it holds forms: the
first release of the form, the first one without it (absent: none yet), what it accepts, and its default. The
form of a one-dash flag is `of` a long one; that of `--disable-x` (since 0.33) `inverts` `--enable-x`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple, TypeVar

from packaging.version import Version

T = TypeVar("T")

UNKNOWN = object()
"""The default of a flag that depends on the machine."""


class Span(NamedTuple):
    """Releases from `added` up to, not including, `removed` (None: still there)."""

    added: Version
    removed: Version | None


class Form(NamedTuple):
    """What a flag accepts in some releases.

    Args:
        type: `switch` for a flag without a value, else what its value is: `int`, `float`, `text`, `size` (1k,
            2M), `size-or-auto`, `json`, `pairs` (`a=1,b=2`), `json-or-pairs`, `object` (JSON, with sizes as
            numbers), `object-or-text`, `name` (capitals and dashes count as small letters and underscores),
            `other`. With a question mark, an empty text and `None` are no value at all.
        choices: the values that are accepted; None: all of the type.
        nargs: how many values, as argparse says it: a number, `+`, `*` or `?`.
        repeated: each use of the flag adds a value.
        negatable: it has a `--no-` form.
        deprecated: vLLM warns about it.
        inverts: the flag that it turns around.
        default: the value without the flag, or `UNKNOWN`.
    """

    type: str
    choices: tuple[Any, ...] | None = None
    nargs: int | str = 1
    repeated: bool = False
    negatable: bool = False
    deprecated: bool = False
    inverts: str | None = None
    default: Any = UNKNOWN

    @property
    def switch(self) -> bool:
        """Whether it takes no value."""
        return self.type == "switch"


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(files(__package__).joinpath("flags.json").read_text(encoding="utf-8"))
    return data


@cache
def _order() -> dict[str | None, int]:
    """Return the place of each release; None is that of the future."""
    names = _data()["versions"]
    return {**{name: index for index, name in enumerate(names)}, None: len(names)}


def _rows(flag: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _data()["flags"].get(flag, []) if flag.startswith("--") else []
    return rows


def _at(rows: list[dict[str, Any]], place: int) -> dict[str, Any] | None:
    """Return the row for the release at a place."""
    order = _order()
    return next((row for row in rows if order[row["since"]] <= place < order[row.get("until")]), None)


@cache
def history(flag: str) -> tuple[Span, ...]:
    """Return the spans of releases that have a long flag; empty when no known release has it."""
    spans: list[tuple[str, str | None]] = []
    for row in _rows(flag):
        joined = spans.pop()[0] if spans and spans[-1][1] == row["since"] else row["since"]
        spans.append((joined, row.get("until")))
    return tuple(Span(Version(since), Version(until) if until else None) for since, until in spans)


@cache
def form(flag: str, version: Version) -> Form | None:
    """Return what a long flag accepts in the release nearest to `version`; None when it has no such flag."""
    row = _at(_rows(flag), _order()[str(nearest(version))])
    if row is None:
        return None
    choices = row.get("choices")
    return Form(
        type=row["type"],
        choices=tuple(choices) if choices is not None else None,
        nargs=row.get("nargs", 1),
        repeated=row.get("repeated", False),
        negatable=row.get("negatable", False),
        deprecated=row.get("deprecated", False),
        inverts=row.get("inverts"),
        default=row.get("default", UNKNOWN),
    )


@cache
def short() -> dict[str, str]:
    """Return what vLLM's one-dash flags stand for; each has stood for one flag only."""
    rows = _data()["flags"].items()
    return {flag: found[-1]["of"] for flag, found in rows if not flag.startswith("--")}


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


@cache
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
    place = _order()[str(nearest(version))]
    return frozenset(flag for flag in _data()["flags"] if _at(_rows(flag), place) is not None)


def deprecated(flag: str, version: Version) -> bool:
    """Whether the release nearest to `version` accepts `flag` but warns about it."""
    found = form(flag, version)
    return found is not None and found.deprecated


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
