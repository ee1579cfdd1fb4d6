"""The model hubs ModelScope and Hugging Face: where they are, and how a file of a model is asked for."""

from __future__ import annotations

import os
from typing import NamedTuple
from urllib.parse import quote

from provision.published import http
from provision.published.models import Absent


class Site(NamedTuple):
    """A hub."""

    title: str
    """For people."""
    variable: str
    """The environment variable that names a mirror."""
    public: str
    """Its public address."""
    token: str
    """The environment variable with the user's token."""
    revision: str
    """The newest state of a model."""
    template: str
    """Path and query of a file, with `{repo}`, `{revision}` and `{path}`."""
    cookie: str | None = None
    """A cookie that takes the token, too."""
    second: str | None = None
    """Where its library looks for a model that the public hub does not have."""

    def address(self, endpoint: str | None = None) -> str:
        """Return where it is: the given mirror, the one that the environment names, or the public hub."""
        found = (endpoint or os.environ.get(self.variable) or self.public).strip().rstrip("/")
        return found if "://" in found else f"https://{found}"

    def headers(self, token: str | None) -> dict[str, str]:
        """Return the headers that carry a token; none without one."""
        if not token:
            return {}
        cookie = {"Cookie": f"{self.cookie}={token}"} if self.cookie else {}
        return {"Authorization": f"Bearer {token}", **cookie}


class Snapshot(NamedTuple):
    """One revision of a model on a hub."""

    site: Site
    address: str
    repo: str
    revision: str
    token: str | None
    timeout: float
    """Seconds without an answer."""

    def read(self, name: str, first: int = 0, last: int | None = None) -> bytes:
        """Return a file, or its bytes from `first` up to, not including, `last`.

        Raises:
            Absent: there is none.
            Refused: the hub refuses it.
            OSError: no answer; its text can be shown to a person.
        """
        fields = {"repo": quote(self.repo), "revision": quote(self.revision, safe=""), "path": quote(name)}
        url = self.address + self.site.template.format(**fields)
        try:
            return http.part(url, self.site.headers(self.token), self.timeout, first, last)[0]
        except http.Refused as error:
            if error.status == 404:
                raise Absent(name) from None
            raise

    def __str__(self) -> str:
        return f"{self.repo} of {self.site.title} at {self.address}"


MODELSCOPE = Site(
    "ModelScope",
    "MODELSCOPE_ENDPOINT",
    "https://www.modelscope.cn",
    "MODELSCOPE_API_TOKEN",
    "master",
    "/api/v1/models/{repo}/repo?Revision={revision}&FilePath={path}",
    cookie="m_session_id",
    second="https://www.modelscope.ai",
)

HUGGINGFACE = Site(
    "Hugging Face",
    "HF_ENDPOINT",
    "https://huggingface.co",
    "HF_TOKEN",
    "main",
    "/{repo}/resolve/{revision}/{path}",
)

SITES = {"modelscope": MODELSCOPE, "huggingface": HUGGINGFACE}
"""The hubs by the names that a playbook gives them, in the order in which they are asked."""
