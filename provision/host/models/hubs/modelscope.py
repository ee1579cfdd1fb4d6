"""ModelScope's listing of a model (`GET /api/v1/models/<repo>/repo/files`)."""

from __future__ import annotations

import fnmatch
from typing import Any
from urllib.parse import quote, urlencode

from provision.host.failure import Failure
from provision.host.models.hubs.listing import Hub, Listing, Query, RemoteFile
from provision.published import http
from provision.published.sites import MODELSCOPE

TRUNCATED = 3000
"""The hub cuts a listing here and does not say so (modelscope-hub 0.5: REPO_FILES_TRUNCATION_LIMIT)."""


def _files(query: Query) -> Listing:
    entries, commit = _entries(query, True)
    if len(entries) >= TRUNCATED:
        entries, waiting = [], [""]
        while waiting:
            found, _ = _entries(query, False, waiting.pop())
            entries += found
            waiting += [entry["Path"] for entry in found if entry.get("Type") == "tree"]
    files = [entry for entry in entries if entry.get("Type") != "tree"]
    return Listing(
        query.address,
        commit,
        [RemoteFile(each["Path"], int(each.get("Size") or 0), each.get("Sha256") or None) for each in files],
    )


def _entries(query: Query, recursive: bool, root: str = "") -> tuple[list[dict[str, Any]], str | None]:
    """Return the files and directories below `root`, and the commit that they are of."""
    asked = {"Revision": query.revision, "Recursive": str(recursive), **({"Root": root} if root else {})}
    data = _get(query, f"repo/files?{urlencode(asked)}")
    return data.get("Files") or [], (data.get("LatestCommitter") or {}).get("Id")


def _get(query: Query, path: str) -> dict[str, Any]:
    url = f"{query.address}/api/v1/models/{quote(query.repo)}/{path}"
    answer, _ = http.get(url, query.headers, query.timeout)
    return answer.get("Data") or {}


def _explain(query: Query, error: http.Refused) -> Failure | None:
    """Tell an unknown model from an unknown revision: the listing answers both with 404."""
    if error.status != 404:
        return None
    try:
        known = _get(query, "revisions").get("RevisionMap") or {}
        revisions = [each for kind in ("Branches", "Tags") for each in known.get(kind) or [] if each]
    except (http.Refused, OSError):
        revisions = []
    if not revisions:
        return query.no_model()
    return query.no_revision("it has " + ", ".join(each["Revision"] for each in revisions[:12]))


def _matches(path: str, pattern: str) -> bool:
    """Match as the library does: ".*" in a pattern may also stand for "*"."""
    return any(fnmatch.fnmatchcase(path, each) for each in (pattern, pattern.replace(".*", "*")))


HUB = Hub(MODELSCOPE, "modelscope", _files, _explain, _matches)
