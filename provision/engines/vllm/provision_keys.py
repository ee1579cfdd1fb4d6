"""Lets a vLLM server accept several API keys, none of which is on its command line or in its log.

vLLM reads one key from VLLM_API_KEY. This file is its `--middleware provision_keys.MoreKeys`: it runs before
vLLM checks the key, and replaces each key of PROVISION_API_KEY_2, _3, … by the first one. Standard library
only.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

FIRST = "VLLM_API_KEY"
MORE = "PROVISION_API_KEY_"

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class MoreKeys:
    """An ASGI middleware."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._first = os.environ.get(FIRST, "").encode()
        self._more = [value.encode() for name, value in os.environ.items() if name.startswith(MORE)]

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Pass a request on, with the first key in place of another one."""
        if scope["type"] in ("http", "websocket"):
            scope["headers"] = [(name, self._known(name, value)) for name, value in scope["headers"]]
        await self._app(scope, receive, send)

    def _known(self, name: bytes, value: bytes) -> bytes:
        scheme, _, key = value.partition(b" ")
        if name != b"authorization" or scheme.lower() != b"bearer":
            return value
        found = [hmac.compare_digest(key, each) for each in self._more]  # all of them, in constant time
        return b"Bearer " + self._first if True in found else value
