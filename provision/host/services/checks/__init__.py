"""Asking a service what its clients will ask, and judging the reply.

A check is plain data, `{"type": "chat"|"embed"|"http"|..., ...}`; each type is a function of a module here,
whose docstring names the fields. All have `timeout` in seconds; what asks a model may name one in `model`.
"""

from __future__ import annotations

import time
from typing import Callable, NamedTuple

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services.checks import bare, completions, labels, page, ranking, speech, vectors
from provision.host.services.checks.asking import Asking, Check, Spec, Verdict
from provision.host.services.checks.client import Client, Reply, Unanswered
from provision.host.services.checks.fitting import fitting
from provision.host.services.checks.keys import hidden, key

__all__ = ["Check", "Client", "Proof", "Reply", "Unanswered", "hidden", "key", "name", "perform"]

SHOWN = 2000
"""Characters of a reply that are shown."""

TIMEOUT = 120.0
"""Seconds for a check that names none."""


class Proof(NamedTuple):
    """How a check went."""

    check: str
    ok: bool
    sent: str
    received: str
    seconds: float
    error: str | None = None
    hint: str | None = None
    final: bool = True
    """False when asking again later may go better."""


class _Type(NamedTuple):
    """What is known of a type of check: how to ask, and what a person sees as sent."""

    ask: Callable[[Asking], Verdict]
    sent: Callable[[Check], str]


_TYPES: dict[str, _Type] = {
    "chat": _Type(completions.chat, lambda check: str(check["user"])),
    "completion": _Type(completions.completion, lambda check: str(check["prompt"])),
    "embed": _Type(vectors.embed, lambda check: str(check["text"])),
    "rerank": _Type(ranking.rerank, lambda check: str(check["query"])),
    "score": _Type(ranking.score, lambda check: str(check["query"])),
    "classify": _Type(labels.classify, lambda check: str(check["text"])),
    "pooling": _Type(vectors.pooling, lambda check: str(check["text"])),
    "transcribe": _Type(speech.transcribe, lambda check: str(check.get("file") or "audio")),
    "http": _Type(page.http, lambda check: f"{page.method(check)} {check.get('path', '/')}"),
    "port": _Type(bare.port, lambda check: "a connection"),
    "running": _Type(lambda asking: Verdict(), lambda check: ""),
}


def name(check: Check) -> str:
    """Return what a person calls a check."""
    kind = str(check["type"])
    if kind == "fitting":
        return str(check.get("first") or "what the model does")
    if kind == "http":
        method = page.method(check)
        words = [kind, *([method] if method != "GET" else []), check.get("path", "/")]
    else:
        words = [kind, check.get("file") if kind == "transcribe" else None]
    named = f"of {check['model']}" if check.get("model") else None
    return " ".join(str(word) for word in [*words, named] if word)


def perform(machine: Machine, spec: Spec, check: Check, timeout: float | None = None) -> Proof:
    """Make one check once.

    Args:
        machine: where the service runs.
        spec: of its probe: `url`, `ca`, `model`, `key_file`, `key_name`.
        check: what to ask.
        timeout: seconds, when they are to be fewer than the check's own.

    Returns:
        The proof, with the key removed should the server have repeated it.
    """
    began = time.monotonic()
    limit = float(check.get("timeout") or TIMEOUT)
    limit = limit if timeout is None else min(limit, timeout)
    client: Client | None = None
    try:
        client = Client(machine, spec)
        if check["type"] == "running":
            bare.stays(machine, spec, float(check["seconds"]))
        check, verdict = _asked(Asking(client, spec, check, limit))
    except Unanswered as unanswered:
        verdict = Verdict(f"{spec['url']}: {unanswered}", None, False)
    except Failure as failure:
        if machine.cancelled.is_set():
            raise
        verdict = Verdict(failure.message, failure.hint)
    key = client.key if client else None
    manner = client.manner if client else None
    known = _TYPES.get(check["type"])
    return Proof(
        f"{name(check)} {manner}" if manner else name(check),
        verdict.error is None,
        known.sent(check) if known else "",
        hidden(verdict.received, key)[:SHOWN],
        round(time.monotonic() - began, 3),
        hidden(verdict.error, key) if verdict.error else None,
        verdict.hint,
        verdict.final,
    )


def _asked(asking: Asking) -> tuple[Check, Verdict]:
    """Make the check, and return which one it was and how it went."""
    kind = asking.check["type"]
    if kind == "fitting":
        return fitting(asking)
    if kind not in _TYPES:
        raise Failure(f'this host side knows no check "{kind}"')
    return asking.check, _TYPES[kind].ask(asking)
