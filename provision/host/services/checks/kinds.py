"""How each type of check is made."""

from __future__ import annotations

from typing import Any, Callable

from provision.host.services.checks import bare, completions, labels, page, ranking, speech, vectors
from provision.host.services.checks.asking import Asking, Verdict
from provision.wire import checks

ASK: dict[type[checks.Check], Callable[[Asking, Any], Verdict]] = {
    checks.Chat: completions.chat,
    checks.Completion: completions.completion,
    checks.Embed: vectors.embed,
    checks.Pooling: vectors.pooling,
    checks.Rerank: ranking.rerank,
    checks.Score: ranking.score,
    checks.Classify: labels.classify,
    checks.Transcribe: speech.transcribe,
    checks.Http: page.http,
    checks.Port: bare.port,
}


def ask(asking: Asking, check: checks.Check) -> Verdict:
    """Make a check, and say how the server answered."""
    return ASK[type(check)](asking, check)
