"""The proof of a vLLM server that declares no checks: the cheapest request of a kind that it serves.

The flags of some servers tell that kind. The other servers refuse what their model cannot do.
"""

from __future__ import annotations

from provision.host.services.checks.asking import Asking, Verdict
from provision.host.services.checks.kinds import ask
from provision.host.services.checks.speech import silence
from provision.wire.checks import Check, Classify, Completion, Embed, Fitting, Pooling, Score

_WORD = "ping"


def candidates() -> list[Check]:
    """Return a check for each kind of request that a model may serve, the most usual one first."""
    return [
        Completion(prompt=_WORD, max_tokens=1),
        Embed(text=_WORD),
        Score(query=_WORD, documents=[_WORD, "pong"]),
        Classify(text=_WORD),
        silence(),
        Pooling(text=_WORD),
    ]


def fitting(asking: Asking, check: Fitting) -> tuple[Check, Verdict]:
    """Make one check after the other until the server offers what it asks; return it and its verdict."""
    tried: list[tuple[Check, Verdict]] = []
    for candidate in sorted(candidates(), key=lambda each: check.first != each.NAME):
        candidate = candidate.replace(model=check.model)
        verdict = ask(asking, candidate)
        if verdict.fits:
            return candidate, verdict
        tried.append((candidate, verdict))
    return tried[0]
