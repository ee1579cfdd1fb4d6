"""Versions of Python packages: their order and their specifiers, as PEP 440 has them."""

from __future__ import annotations

import re
from typing import Iterable, NamedTuple, Sequence, Union

_VERSION = r"""
    v?
    (?:(?P<epoch>[0-9]+)!)?
    (?P<release>[0-9]+(?:\.[0-9]+)*)
    (?:[-_.]?(?P<pre>alpha|beta|preview|pre|a|b|c|rc)[-_.]?(?P<pre_number>[0-9]+)?)?
    (?P<post>-(?P<bare_post>[0-9]+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post_number>[0-9]+)?)?
    (?P<dev>[-_.]?dev[-_.]?(?P<dev_number>[0-9]+)?)?
    (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?
    """
_PRE = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}

LocalPart = Union[int, str]
Specifier = Sequence[str]
"""An operator and a version: `[">=", "0.10"]`."""


class Version(NamedTuple):
    """A version in its parts. Compare with `compare`; 1.0 and 1.0.0 have equal keys."""

    epoch: int
    release: tuple[int, ...]
    pre: tuple[str, int] | None
    post: int | None
    dev: int | None
    local: tuple[LocalPart, ...]

    def public(self) -> Version:
        """Return the version without its local part (`2.11.0+cpu` -> `2.11.0`)."""
        return self._replace(local=())

    def base(self) -> Version:
        """Return epoch and release only."""
        return Version(self.epoch, self.release, None, None, None, ())

    def key(self) -> tuple[object, ...]:
        """Return a value that sorts in PEP 440 order: dev < pre < release < local < post."""
        release = self.release
        while len(release) > 1 and release[-1] == 0:
            release = release[:-1]
        if self.pre is not None:
            pre: tuple[object, ...] = (1, *self.pre)
        elif self.post is None and self.dev is not None:
            pre = (0,)
        else:
            pre = (2,)
        post = -1 if self.post is None else self.post
        dev = (1, 0) if self.dev is None else (0, self.dev)
        local = tuple((1, part, "") if isinstance(part, int) else (0, 0, part) for part in self.local)
        return (self.epoch, release, pre, post, dev, local)


AnyVersion = Union[str, Version]


def parse(text: str) -> Version:
    """Return the parts of a version.

    Raises:
        ValueError: the text is not a version by PEP 440.
    """
    found = re.fullmatch(_VERSION, text.strip(), re.VERBOSE | re.IGNORECASE | re.ASCII)
    if found is None:
        raise ValueError(f'"{text}" is not a version')
    part = found.group
    pre = part("pre")
    local = re.split(r"[-_.]", part("local").lower()) if part("local") else []
    return Version(
        epoch=int(part("epoch") or 0),
        release=tuple(int(number) for number in part("release").split(".")),
        pre=(_PRE.get(pre.lower(), pre.lower()), int(part("pre_number") or 0)) if pre else None,
        post=int(part("bare_post") or part("post_number") or 0) if part("post") else None,
        dev=int(part("dev_number") or 0) if part("dev") else None,
        local=tuple(int(piece) if piece.isdigit() else piece for piece in local),
    )


def compare(a: AnyVersion, b: AnyVersion) -> int:
    """Return -1, 0 or 1 as `a` comes before, is the same as, or comes after `b`.

    Raises:
        ValueError: one of them is not a version.
    """
    left, right = _version(a).key(), _version(b).key()
    return (left > right) - (left < right)


def matches(version: str, specifiers: Iterable[Specifier]) -> bool:
    """Tell whether an installed version satisfies all of `[[operator, version], ...]`.

    Pre-releases count as any other version: what is asked is whether an *installed* one will do. A version
    that PEP 440 cannot read satisfies no specifier but `===`; no specifiers at all are satisfied by anything.

    Raises:
        ValueError: a specifier is not one.
    """
    return all(_matches(version, operator, wanted) for operator, wanted in specifiers)


def normalise(name: str) -> str:
    """Return the canonical name of a Python package (PEP 503): `Uvicorn.Standard` -> `uvicorn-standard`."""
    plain = name.strip().lower().replace("_", "-").replace(".", "-")
    while "--" in plain:
        plain = plain.replace("--", "-")
    return plain


def _version(version: AnyVersion) -> Version:
    return version if isinstance(version, Version) else parse(version)


def _matches(installed: str, operator: str, wanted: str) -> bool:
    wanted = wanted.strip()
    if operator == "===":
        return installed.strip().lower() == wanted.lower()
    prefix = wanted.endswith(".*") and operator in ("==", "!=")
    limit = parse(wanted[:-2] if prefix else wanted)
    if prefix and limit != limit.base():
        raise ValueError(f'"{operator}{wanted}" may have only numbers before ".*"')
    try:
        have = parse(installed)
    except ValueError:
        return False
    if operator in ("==", "!="):
        exact = have if limit.local else have.public()
        same = _starts_with(have, limit) if prefix else compare(exact, limit) == 0
        return same == (operator == "==")
    if operator == ">=":
        return compare(have.public(), limit) >= 0
    if operator == "<=":
        return compare(have.public(), limit) <= 0
    if operator == "<":
        final = limit.pre is None and limit.dev is None
        return compare(have, limit._replace(dev=0) if final else limit) < 0  # not its own pre-releases
    if operator == ">":
        of_limit = have.public() if limit.post is not None else have.public()._replace(post=None, dev=None)
        own = (have.local or have.post is not None) and compare(of_limit, limit) == 0
        return compare(have, limit) > 0 and not own
    if operator == "~=":
        if len(limit.release) < 2:
            raise ValueError(f'"~={wanted}" needs at least two numbers')
        series = limit.base()._replace(release=limit.release[:-1])
        return compare(have.public(), limit) >= 0 and _starts_with(have, series)
    raise ValueError(f'"{operator}{wanted}" is not a version specifier')


def _starts_with(have: Version, series: Version) -> bool:
    """Tell whether `have` is one of `series.*`."""
    length = len(series.release)
    release = (have.release + (0,) * length)[:length]
    return (have.epoch, release) == (series.epoch, series.release)
