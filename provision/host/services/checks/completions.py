"""Checks that let a model write: `chat` and `completion`."""

from __future__ import annotations

from typing import Any, Mapping

from provision.host.services.checks.asking import Asking, Verdict


def chat(asking: Asking) -> Verdict:
    """Have a chat message answered: `user`, `system`, `max_tokens`, `expect`."""
    check = asking.check
    messages = [{"role": "system", "content": check["system"]}] if check.get("system") else []
    messages.append({"role": "user", "content": check["user"]})
    return _written(asking, "/v1/chat/completions", {"messages": messages})


def completion(asking: Asking) -> Verdict:
    """Have a prompt completed: `prompt`, `max_tokens`, `expect`."""
    return _written(asking, "/v1/completions", {"prompt": asking.check["prompt"]})


def _written(asking: Asking, path: str, data: Mapping[str, Any]) -> Verdict:
    longest = int(asking.check.get("max_tokens") or 64)
    request = {**asking.with_model(data), "max_tokens": longest, "temperature": 0}
    reply = asking.client.post(path, request, asking.limit)
    if reply.status != 200:
        return asking.refused(path, reply)
    text = said(reply.json())
    if text is None:
        return Verdict("the answer is no completion", received=reply.text())
    return asking.matched(text)


def said(answer: Any) -> str | None:
    """Return the text of a chat completion or completion, or None when the answer is neither.

    A model that reasons may have spent all its tokens on that; then its reasoning is the text.
    """
    try:
        choice = answer["choices"][0]
        if "text" in choice:
            return str(choice["text"] or "")
        message = choice["message"]
        for field in ("content", "reasoning_content", "reasoning"):
            if message.get(field):
                return str(message[field])
    except (TypeError, LookupError, AttributeError):
        return None
    return ""
