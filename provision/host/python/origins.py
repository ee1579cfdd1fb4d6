"""Where a package came from when that was no index, as its requirement and as pip has noted it (PEP 610)."""

from __future__ import annotations

import os
import urllib.parse
from typing import Mapping

from provision.host.python.dist_info import Distribution
from provision.wire.specs.environment import Requirement


def name_of(entry: Requirement, installed: Mapping[str, Distribution]) -> str | None:
    """Return the package that came from the URL or path of a requirement that gives no name."""
    return next((name for name, found in installed.items() if came_from(found, entry)), None)


def came_from(distribution: Distribution, entry: Requirement) -> bool:
    """Tell whether a package was installed from the URL or path of a requirement."""
    direct = distribution.direct_url
    if direct is None or bool(direct.get("dir_info", {}).get("editable")) != entry.editable:
        return False
    url, _, fragment = str(entry.url or "").partition("#")
    directory = dict(urllib.parse.parse_qsl(fragment)).get("subdirectory", "")
    if (direct.get("subdirectory") or "") != directory:
        return False
    there = str(direct.get("url")).partition("#")[0]
    if url.startswith(("/", "file:")):
        return _path(url) == _path(there)
    source = direct.get("vcs_info")
    if not source:
        return _unquoted(url) == _unquoted(there)
    kind, _, rest = url.partition("+")
    place, at, revision = rest.rpartition("@")
    if not at or "/" not in place.partition("://")[2]:  # what is before the @ is the user of the server
        place, revision = rest, ""
    return bool(
        kind == source.get("vcs")
        and _unquoted(place) == _unquoted(there)
        and revision in (source.get("requested_revision") or "", source.get("commit_id"))
    )


def source(distribution: Distribution) -> str | None:
    """Return how to ask pip for a package that came from no index; None for one that did."""
    direct = distribution.direct_url
    if direct is None:
        return None
    url = str(direct["url"])
    if direct.get("dir_info", {}).get("editable"):
        return "-e " + _path(url)
    vcs = direct.get("vcs_info")
    if vcs:
        url = "{}+{}@{}".format(vcs["vcs"], url, vcs["commit_id"])
    if direct.get("subdirectory"):
        url += "#subdirectory=" + str(direct["subdirectory"])
    return f"{distribution.name} @ {url}"


def _unquoted(url: str) -> str:
    return urllib.parse.unquote(url).rstrip("/")


def _path(url: str) -> str:
    path = urllib.parse.unquote(url[len("file://") :]) if url.startswith("file://") else url
    return os.path.realpath(path)
