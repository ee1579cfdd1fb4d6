"""Hugging Face's listing of a model (`GET /api/models/<repo>/tree/<revision>`)."""

from __future__ import annotations

import fnmatch
import re
from typing import Any
from urllib.parse import quote

from provision.host.failure import Failure
from provision.host.models.hubs.listing import Hub, Listing, Query, RemoteFile
from provision.published import http
from provision.published.sites import HUGGINGFACE


def _files(query: Query) -> Listing:
    model = f"{query.address}/api/models/{quote(query.repo)}"
    about, _ = http.get(f"{model}/revision/{quote(query.revision, safe='')}", query.headers, query.timeout)
    commit = str(about["sha"])
    entries: list[dict[str, Any]] = []
    url: str | None = f"{model}/tree/{commit}?recursive=true"
    while url:
        page, answered = http.get(url, query.headers, query.timeout)
        entries += page
        following = re.search(r'<([^>]+)>;\s*rel="next"', answered.get("Link") or "")
        url = following.group(1) if following else None
    return Listing(query.address, commit, [_file(entry) for entry in entries if entry.get("type") == "file"])


def _file(entry: dict[str, Any]) -> RemoteFile:
    large = entry.get("lfs")
    if large:
        return RemoteFile(entry["path"], int(large["size"]), large.get("oid"))
    return RemoteFile(entry["path"], int(entry["size"]), git_sha1=entry.get("oid"))


def _explain(query: Query, error: http.Refused) -> Failure | None:
    page = f"{query.address}/{query.repo}"
    if error.code == "RevisionNotFound":
        return query.no_revision(f"see {page}/tree/main")
    # Without a token, the hub answers 401 for a model that does not exist.
    if error.status == 404 or error.code == "RepoNotFound":
        return query.no_model()
    if error.code == "GatedRepo":
        return Failure(
            "hub-refused",
            f"access to {query.repo} has to be asked for at {page}",
            hint="accept its terms there, and set token to that account's",
        )
    return None


def _matches(path: str, pattern: str) -> bool:
    """Match as the library does: a pattern that ends in "/" means all below."""
    return fnmatch.fnmatchcase(path, pattern + "*" if pattern.endswith("/") else pattern)


HUB = Hub(HUGGINGFACE, "huggingface_hub", _files, _explain, _matches)
