"""The proof of a vLLM server that declares no checks: the cheapest request of a kind that it serves.

Flags tell the kind of some; of the others the server does, which refuses what its model cannot do.
"""

from __future__ import annotations

from provision.host.services.checks.asking import Asking, Verdict
from provision.host.services.checks.kinds import ask
from provision.host.services.checks.speech import silence
from provision.wire.checks import Check, Classify, Completion, Embed, Fitting, Pooling, Score

_WORD = "ping"


def candidates() -> list[Check]:
    """Return a check for each thing that a model may serve. The usual comes first."""
    return [
        Completion(prompt=_WORD, max_tokens=1),
        Embed(text=_WORD),
        Score(query=_WORD, documents=[_WORD, "pong"]),
        Classify(text=_WORD),
        silence(),
        Pooling(text=_WORD),
    ]


def fitting(asking: Asking, check: Fitting) -> tuple[Check, Verdict]:
    """Ask for one thing after the other until the server offers it.

    Returns:
        The check that was made, and how it went.
    """
    tried: list[tuple[Check, Verdict]] = []
    for candidate in sorted(candidates(), key=lambda each: check.first != each.NAME):
        verdict = ask(asking, candidate)
        if verdict.fits:
            return candidate, verdict
        tried.append((candidate, verdict))
    return tried[0]
