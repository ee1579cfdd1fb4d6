"""ModelScope's listing of a model (`GET /api/v1/models/<repo>/repo/files`)."""

from __future__ import annotations

import fnmatch
from typing import Any, Sequence
from urllib.parse import quote, urlencode

from provision.host.failure import Failure
from provision.host.models.hubs import http
from provision.host.models.hubs.listing import Hub, Listing, RemoteFile

TITLE = "ModelScope"
VARIABLE = "MODELSCOPE_ENDPOINT"
PUBLIC = "https://www.modelscope.cn"
INTERNATIONAL = "https://www.modelscope.ai"
"""Has models that the first does not have; the library looks there second, too."""

TRUNCATED = 3000
"""The hub cuts a listing here and does not say so (modelscope-hub 0.5: REPO_FILES_TRUNCATION_LIMIT)."""


def listing(repo: str, revision: str, endpoint: str | None, token: str | None, timeout: float) -> Listing:
    """Return the files of a model.

    Raises:
        Failure: no such model or revision, no access, or no answer.
    """
    address = http.endpoint(endpoint, VARIABLE, PUBLIC)
    try:
        return _listing(address, repo, revision, token, timeout)
    except _Unknown:
        if address == PUBLIC:
            try:
                return _listing(INTERNATIONAL, repo, revision, token, timeout)
            except Failure:
                pass
        raise


class _Unknown(Failure):
    """The hub has no such model."""


def _listing(address: str, repo: str, revision: str, token: str | None, timeout: float) -> Listing:
    headers = {"Authorization": f"Bearer {token}", "Cookie": f"m_session_id={token}"} if token else {}
    model = f"{address}/api/v1/models/{quote(repo)}"

    def files(recursive: bool, root: str = "") -> tuple[list[dict[str, Any]], str | None]:
        query = {"Revision": revision, "Recursive": str(recursive)}
        if root:
            query["Root"] = root
        answer, _ = http.get(f"{model}/repo/files?{urlencode(query)}", headers, timeout)
        data = answer.get("Data") or {}
        return data.get("Files") or [], (data.get("LatestCommitter") or {}).get("Id")

    try:
        entries, commit = files(True)
        if len(entries) >= TRUNCATED:
            entries, waiting = [], [""]
            while waiting:
                found, _ = files(False, waiting.pop())
                entries += found
                waiting += [entry["Path"] for entry in found if entry.get("Type") == "tree"]
    except http.Refused as error:
        if error.status == 404:
            raise _missing(address, model, repo, revision, headers, token, timeout) from None
        raise http.refused(TITLE, address, repo, error, token) from None
    except OSError as error:
        raise http.unreachable(TITLE, address, VARIABLE, error) from None
    return Listing(
        address,
        commit,
        [
            RemoteFile(entry["Path"], int(entry.get("Size") or 0), entry.get("Sha256") or None)
            for entry in entries
            if entry.get("Type") != "tree"
        ],
    )


def _missing(
    address: str,
    model: str,
    repo: str,
    revision: str,
    headers: dict[str, str],
    token: str | None,
    timeout: float,
) -> Failure:
    """Tell an unknown model from an unknown revision: the listing answers both with 404."""
    try:
        answer, _ = http.get(f"{model}/revisions", headers, timeout)
        known = (answer.get("Data") or {}).get("RevisionMap") or {}
        names = [
            entry["Revision"] for kind in ("Branches", "Tags") for entry in known.get(kind) or [] if entry
        ]
    except (http.Refused, OSError, ValueError):
        names = []
    if names:
        return Failure(
            "not-on-hub",
            f'{repo} has no revision "{revision}" on {TITLE}',
            hint="it has " + ", ".join(names[:12]),
        )
    return _Unknown(
        "not-on-hub",
        f'{TITLE} at {address} has no model "{repo}"',
        hint="check the name" + ("" if token else "; a private model needs a token"),
    )


def selects(path: str, allow: Sequence[str], ignore: Sequence[str]) -> bool:
    """Tell whether the library downloads a file; like it, ".*" in a pattern may also stand for "*"."""

    def matches(patterns: Sequence[str]) -> bool:
        return any(
            fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, pattern.replace(".*", "*"))
            for pattern in patterns
        )

    return (not allow or matches(allow)) and not matches(ignore)


HUB = Hub(TITLE, "modelscope", VARIABLE, listing, selects)
