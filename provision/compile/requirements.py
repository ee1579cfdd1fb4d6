"""Requirements of Python environments, as far as compiling has to understand them."""

from __future__ import annotations

from posixpath import basename
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version


class Wanted(NamedTuple):
    """One requirement.

    Args:
        raw: as written; what pip is given.
        name: the normalised name of the distribution.
        extras: sorted.
        specifier: the versions allowed; that of the wheel when there is a URL of one.
        url: where to get it from, instead of an index.
    """

    raw: str
    name: str
    extras: tuple[str, ...]
    specifier: SpecifierSet
    url: str | None

    @property
    def pin(self) -> Version | None:
        """The one version that is allowed, without its local part; None when there may be several."""
        for specifier in self.specifier:
            if specifier.operator in ("==", "===") and not specifier.version.endswith(".*"):
                try:
                    return Version(Version(specifier.version).public)
                except InvalidVersion:
                    return None
        return None

    def spec(self) -> dict[str, Any]:
        """Return it as the host side wants it."""
        return {
            "raw": self.raw,
            "name": self.name,
            "extras": list(self.extras),
            "specifiers": sorted([item.operator, item.version] for item in self.specifier),
            "url": self.url,
        }


def parse(raw: str) -> Wanted:
    """Return a requirement; one with the URL of a wheel wants that wheel's version."""
    requirement = Requirement(raw)
    specifier = _of_wheel(requirement.url) if requirement.url else requirement.specifier
    name = canonicalize_name(requirement.name)
    return Wanted(raw, name, tuple(sorted(requirement.extras)), specifier, requirement.url)


def _of_wheel(url: str) -> SpecifierSet:
    """Return the version that a URL names; any when it is not that of a wheel."""
    try:
        _, version, _, _ = parse_wheel_filename(unquote(basename(urlsplit(url).path)))
    except (InvalidWheelFilename, InvalidVersion):
        return SpecifierSet()
    return SpecifierSet(f"=={version}")
