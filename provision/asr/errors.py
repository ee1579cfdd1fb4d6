"""Answers that are not a result: one exception class, and the bodies it becomes."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """A request that gets an error answer. The reason is shown to the client: no path, key or internal
    detail.
    """

    def __init__(self, status: int, reason: str, *, param: str | None = None, retry_after: int | None = None):
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.param = param
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the status."""
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return headers


class Unusable(Exception):
    """The models cannot be used as it was asked; the text is for the operator."""


class ClientGone(Exception):
    """The client closed the connection; nobody is left to answer."""


_CODES = {
    400: "bad_request",
    401: "invalid_api_key",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "too_large",
    415: "unsupported_audio",
    422: "invalid_value",
    500: "internal_error",
    503: "unavailable",
    504: "timeout",
}


def error_body(path: str, status: int, reason: str, param: str | None = None) -> dict[str, Any]:
    """The JSON body of an error: OpenAI's shape below ``/v1``, ``{"error": reason}`` elsewhere."""
    if path == "/v1" or path.startswith("/v1/"):
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return {"error": {"message": reason, "type": kind, "param": param, "code": _CODES.get(status)}}
    return {"error": reason}
