"""Error answers: the exception, and the body that it becomes."""

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


STATUSES = {
    400: ("bad_request", "The body is not a valid form."),
    401: ("invalid_api_key", "The API key is missing or wrong."),
    404: ("not_found", "No such model."),
    405: ("method_not_allowed", "The address takes other methods."),
    408: ("request_timeout", "The client sent nothing for too long, or too slowly."),
    413: ("too_large", "The file is too large or the audio too long."),
    415: ("unsupported_audio", "Not audio that this server reads, or not a multipart form."),
    422: ("invalid_value", "A field is missing or has a value that is not allowed."),
    500: ("internal_error", "An internal error."),
    503: ("unavailable", "Starting, too many requests waiting, or the process died twice; see Retry-After."),
    504: ("timeout", "No result in time."),
}
"""By status: the code in OpenAI's shape, and the description of the answer."""


def error_body(path: str, status: int, reason: str, param: str | None = None) -> dict[str, Any]:
    """The JSON body of an error: OpenAI's shape below ``/v1``, ``{"error": reason}`` elsewhere."""
    if path == "/v1" or path.startswith("/v1/"):
        kind = "server_error" if status >= 500 else "invalid_request_error"
        code, _ = STATUSES.get(status, (None, ""))
        return {"error": {"message": reason, "type": kind, "param": param, "code": code}}
    return {"error": reason}
