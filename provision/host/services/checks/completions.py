"""Checks of models that generate text: `chat` and `completion`."""

from __future__ import annotations

from typing import Any, Mapping

from provision.host.services.checks.asking import Asking, Verdict, matched
from provision.wire.checks import Chat, Completion


def chat(asking: Asking, check: Chat) -> Verdict:
    """Have a chat message answered."""
    messages = [{"role": "system", "content": check.system}] if check.system else []
    messages.append({"role": "user", "content": check.user})
    return _written(asking, check, "/v1/chat/completions", {"messages": messages})


def completion(asking: Asking, check: Completion) -> Verdict:
    """Have a prompt completed."""
    return _written(asking, check, "/v1/completions", {"prompt": check.prompt})


def _written(asking: Asking, check: Chat | Completion, path: str, data: Mapping[str, Any]) -> Verdict:
    request = {**asking.with_model(data), "max_tokens": check.max_tokens, "temperature": 0}
    reply = asking.client.post(path, request, asking.limit)
    if reply.status != 200:
        return asking.refused(path, reply)
    text = said(reply.json())
    if text is None:
        return Verdict("the answer is not a completion", received=reply.text())
    verdict = matched(text, check.expect)
    if not verdict.ok:
        return verdict
    # Clients sample as a rule. Some engines compile what that needs at the first such request, and die of it.
    reply = asking.client.post(path, {**request, "max_tokens": 1, "temperature": 1}, asking.limit)
    return verdict if reply.status == 200 else asking.refused(path, reply)


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
