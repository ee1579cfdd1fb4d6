"""Small files, and the beginnings of large ones, from a model hub: ModelScope or Hugging Face.

Proxies and certificates are those of the environment (`https_proxy`, `SSL_CERT_FILE`), mirrors and tokens
those of the hubs' own variables.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

TIMEOUT = 20.0
"""Seconds without an answer."""


class Absent(Exception):
    """The hub has no such file, or no such model."""


class Refused(Exception):
    """The hub refuses access; `str` of it says why."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Keeps the token on a redirect within the hub, and only there."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and urlsplit(new.full_url)[:2] == urlsplit(req.full_url)[:2]:
            new.unredirected_hdrs.update(req.unredirected_hdrs)
        return new


@dataclass(frozen=True)
class Hub:
    """A hub.

    - `title`: for people
    - `address`: where it is
    - `template`: path and query of a file, with `{repo}`, `{revision}` and `{path}`
    - `revision`: the newest state of a model
    - `headers`: those that carry the token
    """

    title: str
    address: str
    template: str
    revision: str
    headers: Mapping[str, str]

    def file(self, repo: str, path: str, first: int = 0, last: int | None = None) -> bytes:
        """Return a file of a model, or its bytes from `first` up to, not including, `last`.

        Raises:
            Absent: there is none.
            Refused: access needs a token, or a valid one.
            OSError: no answer; `str` of it is fit for a person.
        """
        fields = {"repo": quote(repo), "revision": quote(self.revision), "path": quote(path)}
        request = urllib.request.Request(self.address + self.template.format(**fields))
        request.add_header("User-Agent", "provision")
        if last is not None:
            request.add_header("Range", f"bytes={first}-{last - 1}")
        for name, value in self.headers.items():
            request.add_unredirected_header(name, value)
        try:
            with urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT) as answer:
                if last is None:
                    whole: bytes = answer.read()
                    return whole
                # A hub that knows no ranges begins at the beginning, and need not be read to its end.
                skipped = 0 if answer.status == 206 else first
                part: bytes = answer.read(skipped + last - first)
                return part[skipped:]
        except urllib.error.HTTPError as error:
            raise self._answered(error.code, repo) from None
        except urllib.error.URLError as error:
            raise OSError(_cause(error.reason)) from None
        except (OSError, http.client.HTTPException) as error:
            raise OSError(_cause(error)) from None

    def _answered(self, status: int, repo: str) -> Exception:
        if status == 404:
            return Absent(repo)
        if status in (401, 403):
            return Refused(f"{self.title} at {self.address} refused access to {repo} (HTTP {status})")
        return OSError(f"it answered HTTP {status}")


def modelscope() -> Hub:
    """Return ModelScope, or the mirror that MODELSCOPE_ENDPOINT names; with MODELSCOPE_API_TOKEN."""
    token = os.environ.get("MODELSCOPE_API_TOKEN")
    headers = {"Authorization": f"Bearer {token}", "Cookie": f"m_session_id={token}"} if token else {}
    query = urlencode({"Revision": "{revision}", "FilePath": "{path}"}, safe="{}")
    return Hub(
        "ModelScope",
        _address("MODELSCOPE_ENDPOINT", "https://www.modelscope.cn"),
        f"/api/v1/models/{{repo}}/repo?{query}",
        "master",
        headers,
    )


def huggingface() -> Hub:
    """Return Hugging Face, or the mirror that HF_ENDPOINT names; with HF_TOKEN."""
    token = os.environ.get("HF_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    address = _address("HF_ENDPOINT", "https://huggingface.co")
    return Hub("Hugging Face", address, "/{repo}/resolve/{revision}/{path}", "main", headers)


HUBS = {"modelscope": modelscope, "huggingface": huggingface}
"""The hubs by the names that `source:` of a model has, in the order in which they are asked."""


def _address(variable: str, public: str) -> str:
    found = (os.environ.get(variable) or public).strip().rstrip("/")
    return found if "://" in found else f"https://{found}"


def _cause(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate was not accepted ({error.verify_message})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
