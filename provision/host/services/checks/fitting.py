"""The proof of a vLLM server that declares no checks: the cheapest request of a kind that it serves.

Flags tell the kind of some; of the others the server does, which refuses what its model cannot do.
"""

from __future__ import annotations

from typing import Callable

from provision.host.services.checks import completions, labels, ranking, speech, vectors
from provision.host.services.checks.asking import Asking, Check, Verdict

_WORD = "ping"

CANDIDATES: dict[str, Callable[[], Check]] = {
    "completion": lambda: {"type": "completion", "prompt": _WORD, "max_tokens": 1},
    "embed": lambda: {"type": "embed", "text": _WORD},
    "score": lambda: {"type": "score", "query": _WORD, "documents": [_WORD, "pong"]},
    "classify": lambda: {"type": "classify", "text": _WORD},
    "transcribe": speech.silence,
    "pooling": lambda: {"type": "pooling", "text": _WORD},
}
"""What a model may serve, and the check for it. The usual comes first."""

_ASK = {
    "completion": completions.completion,
    "embed": vectors.embed,
    "score": ranking.score,
    "classify": labels.classify,
    "transcribe": speech.transcribe,
    "pooling": vectors.pooling,
}


def fitting(asking: Asking) -> tuple[Check, Verdict]:
    """Ask for one thing after the other until the server offers it; `first` names what to begin with.

    Returns:
        The check that was made, and how it went.
    """
    first = asking.check.get("first")
    names = sorted(CANDIDATES, key=lambda name: name != first)
    tried: list[tuple[Check, Verdict]] = []
    for name in names:
        check = CANDIDATES[name]()
        verdict = _ASK[name](asking._replace(check=check))
        if verdict.fits:
            return check, verdict
        tried.append((check, verdict))
    return tried[0]
