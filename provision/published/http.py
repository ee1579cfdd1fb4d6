"""Asking a hub over HTTP.

Proxies and certificates are those of the environment (`https_proxy`, `SSL_CERT_FILE`).
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Mapping


class Refused(Exception):
    """The hub answered with an HTTP error; `code` is the hub's own name for it, when it gives one."""

    def __init__(self, status: int, code: str | None) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.code = code


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Keeps the token on a redirect within the hub, and only there."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        split = urllib.parse.urlsplit
        if new is not None and split(new.full_url)[:2] == split(req.full_url)[:2]:
            new.unredirected_hdrs.update(req.unredirected_hdrs)
        return new


def get(url: str, headers: Mapping[str, str], timeout: float) -> tuple[Any, Mapping[str, str]]:
    """Return the JSON at a URL, and the headers it came with; see `part` for arguments and errors.

    Raises:
        OSError: also when its answer is not JSON.
    """
    data, answered = part(url, {"Accept": "application/json", **headers}, timeout)
    try:
        return json.loads(data), answered
    except ValueError:
        raise OSError("its answer is not JSON, so it is no model hub") from None


def part(
    url: str, headers: Mapping[str, str], timeout: float, first: int = 0, last: int | None = None
) -> tuple[bytes, Mapping[str, str]]:
    """Return the bytes at a URL from `first` up to, not including, `last`, and the headers they came with.

    Args:
        url: what to get.
        headers: sent to this host only, not to another one that it redirects to.
        timeout: seconds without an answer.
        first: of the bytes that are wanted.
        last: where they end; None for all.

    Raises:
        Refused: the hub answered with an error.
        OSError: it could not be reached; its text can be shown to a person.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "provision"})
    if last is not None:
        request.add_header("Range", f"bytes={first}-{last - 1}")
    for name, value in headers.items():
        request.add_unredirected_header(name, value)
    try:
        with urllib.request.build_opener(_Redirects).open(request, timeout=timeout) as answer:
            if last is None:
                return answer.read(), answer.headers
            # A hub that knows no ranges begins at the beginning, and need not be read to its end.
            skipped = 0 if answer.status == 206 else first
            return answer.read(skipped + last - first)[skipped:], answer.headers
    except urllib.error.HTTPError as error:
        raise Refused(error.code, error.headers.get("X-Error-Code")) from None
    except urllib.error.URLError as error:
        raise OSError(cause(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise OSError(cause(error)) from None


def cause(error: object) -> str:
    """Return in a few words why something could not be reached."""
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate was not accepted ({error.verify_message})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
