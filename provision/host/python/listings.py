"""What package indexes and directories offer of a package, asked as pip would ask them."""

from __future__ import annotations

import hashlib
import html
import http.client
import json
import os
import re
import urllib.error
from typing import Mapping, NamedTuple, Sequence
from urllib.parse import unquote, urldefrag, urljoin

from provision.host.python import indexes, versions
from provision.host.python.pip_configuration import Configuration

ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5, */*;q=0.1"
"""Both forms of a page (PEP 691, PEP 503)."""

SOURCES = (".tar.gz", ".zip", ".tgz", ".tar.bz2", ".tar.xz")
"""How the names of source distributions end."""

_LINK = re.compile(r"<a\s[^>]*?href\s*=\s*[\"']([^\"']+)[\"'][^>]*>", re.IGNORECASE)


class File(NamedTuple):
    """A file of a package, as an index or a directory offers it."""

    name: str
    place: str
    """A path of this host, or an address."""
    listed: str | None
    """The sha256 that its index names; None: it names none."""

    @property
    def sha256(self) -> str | None:
        """The hash of its content; that of a file on this host is read."""
        return self.listed or _hash(self.place)


def links(page: str, configuration: Configuration, environ: Mapping[str, str]) -> Sequence[str]:
    """Return where a page leads, or what is in a directory, without what its authors have withdrawn.

    Nothing of a place that is not there, or does not answer.

    Args:
        page: its address, or a path.
        configuration: of pip.
        environ: the variables that pip would have.
    """
    try:
        return _links(page, configuration, environ, withdrawn=False)
    except OSError:
        return []


def _links(
    page: str, configuration: Configuration, environ: Mapping[str, str], withdrawn: bool
) -> Sequence[str]:
    """Return where a page leads; nothing of one that is not there.

    Raises:
        OSError: it cannot be read.
    """
    path = path_of(page)
    try:
        if path is None:
            with indexes.reach(page, configuration, environ, ACCEPT) as answer:
                text = answer.read().decode("utf-8", "replace")
                if "json" in (answer.headers.get("Content-Type") or ""):
                    return _of_json(page, text, withdrawn)
        elif os.path.exists(os.path.join(path, "index.html")):
            with open(os.path.join(path, "index.html"), encoding="utf-8", errors="replace") as file:
                text = file.read()
        else:
            return [os.path.join(path, name) for name in os.listdir(path)] if os.path.isdir(path) else []
    except urllib.error.HTTPError as error:
        if error.code in (403, 404, 410):  # another index may have the package
            return []
        raise
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"{type(error).__name__}: {error}") from None
    found = [link for link in _LINK.finditer(text) if withdrawn or "data-yanked" not in link.group()]
    return [urljoin(page, html.unescape(link.group(1))) for link in found]


def _of_json(page: str, text: str, withdrawn: bool) -> Sequence[str]:
    found = []
    for each in json.loads(text).get("files", ()):
        if withdrawn or not each.get("yanked"):
            sha256 = (each.get("hashes") or {}).get("sha256")
            found.append(urljoin(page, each["url"]) + (f"#sha256={sha256}" if sha256 else ""))
    return found


def path_of(place: str) -> str | None:
    """Return the path that a place is on this host; None for an address elsewhere."""
    path = place[len("file://") :] if place.startswith("file:///") else place
    return unquote(path) if path.startswith("/") else None


def pages(configuration: Configuration, package: str) -> list[str]:
    """Return where pip would look for a package."""
    found = configuration.get("find-links", "").split()
    if configuration.get("no-index", "").lower() not in indexes.YES:
        found += [indexes.page(url, package) for url in indexes.addresses(configuration)]
    return found


def release(
    configuration: Configuration, environ: Mapping[str, str], package: str, version: str
) -> list[File]:
    """Return the files of one release of a package, of all indexes and directories; also withdrawn ones.

    Raises:
        OSError: an index does not answer.
    """
    found = []
    for page in pages(configuration, package):
        for link in _links(page, configuration, environ, withdrawn=True):
            place, fragment = (link, "") if os.path.exists(link) else urldefrag(link)
            name = unquote(place.rpartition("/")[2])
            if same(version_of(name, package), version):
                kind, _, value = fragment.partition("=")
                found.append(File(name, path_of(place) or place, value if kind == "sha256" else None))
    return found


def version_of(file: str, package: str) -> str | None:
    """Return the version that the name of a file says; None where it is no file of this package."""
    if file.endswith(".whl"):
        parts = file[: -len(".whl")].split("-")
        return parts[1] if len(parts) in (5, 6) and versions.normalise(parts[0]) == package else None
    for ending in SOURCES:
        if file.endswith(ending):
            name, _, version = file[: -len(ending)].rpartition("-")
            return version if versions.normalise(name) == package else None
    return None


def same(version: str | None, other: str) -> bool:
    """Whether two versions are the same, however they are written."""
    try:
        return version is not None and versions.compare(version, other) == 0
    except ValueError:
        return version == other


def _hash(path: str) -> str | None:
    """Return the hash of a file of this host; None of what is elsewhere."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()
