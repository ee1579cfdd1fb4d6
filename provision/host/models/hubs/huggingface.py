"""Hugging Face's listing of a model (`GET /api/models/<repo>/tree/<revision>`)."""

from __future__ import annotations

import fnmatch
import re
from typing import Any, Sequence
from urllib.parse import quote

from provision.host.failure import Failure
from provision.host.models.hubs import http
from provision.host.models.hubs.listing import Hub, Listing, RemoteFile

TITLE = "Hugging Face"
VARIABLE = "HF_ENDPOINT"
PUBLIC = "https://huggingface.co"


def listing(repo: str, revision: str, endpoint: str | None, token: str | None, timeout: float) -> Listing:
    """Return the files of a model.

    Raises:
        Failure: no such model or revision, no access, or no answer.
    """
    address = http.endpoint(endpoint, VARIABLE, PUBLIC)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    model = f"{address}/api/models/{quote(repo)}"
    try:
        about, _ = http.get(f"{model}/revision/{quote(revision, safe='')}", headers, timeout)
        commit = str(about["sha"])
        entries: list[dict[str, Any]] = []
        url: str | None = f"{model}/tree/{commit}?recursive=true"
        while url:
            page, answered = http.get(url, headers, timeout)
            entries += page
            following = re.search(r'<([^>]+)>;\s*rel="next"', answered.get("Link") or "")
            url = following.group(1) if following else None
    except http.Refused as error:
        if error.code == "RevisionNotFound":
            raise Failure(
                "not-on-hub",
                f'{repo} has no revision "{revision}" on {TITLE}',
                hint=f"see {address}/{repo}/tree/main",
            ) from None
        # Without a token, the hub answers 401 for a model that does not exist.
        if error.status == 404 or error.code == "RepoNotFound":
            raise Failure(
                "not-on-hub",
                f'{TITLE} at {address} has no model "{repo}"',
                hint="check the name" + ("" if token else "; a private model needs a token"),
            ) from None
        if error.code == "GatedRepo":
            raise Failure(
                "hub-refused",
                f"access to {repo} has to be asked for at {address}/{repo}",
                hint="accept its terms there, and set token to that account's",
            ) from None
        raise http.refused(TITLE, address, repo, error, token) from None
    except OSError as error:
        raise http.unreachable(TITLE, address, VARIABLE, error) from None
    return Listing(address, commit, [_file(entry) for entry in entries if entry.get("type") == "file"])


def _file(entry: dict[str, Any]) -> RemoteFile:
    large = entry.get("lfs")
    return RemoteFile(
        entry["path"],
        int(large["size"] if large else entry["size"]),
        large.get("oid") if large else None,
        None if large else entry.get("oid"),
    )


def selects(path: str, allow: Sequence[str], ignore: Sequence[str]) -> bool:
    """Tell whether the library downloads a file; like it, a pattern that ends in "/" means all below."""

    def matches(patterns: Sequence[str]) -> bool:
        return any(
            fnmatch.fnmatchcase(path, pattern + "*" if pattern.endswith("/") else pattern)
            for pattern in patterns
        )

    return (not allow or matches(allow)) and not matches(ignore)


HUB = Hub(TITLE, "huggingface_hub", VARIABLE, listing, selects)
