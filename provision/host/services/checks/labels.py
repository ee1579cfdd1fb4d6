"""The check of models that sort text into classes."""

from __future__ import annotations

from typing import Any

from provision.host.services.checks.asking import Asking, Verdict
from provision.wire.checks import Classify


def classify(asking: Asking, check: Classify) -> Verdict:
    """Have a text classified; `expect` must be the most likely class.

    The request has the form of vLLM and Infinity, then TEI's.
    """
    request = asking.with_model({"input": [check.text]})
    _, reply = asking.first_known(("/classify", request), ("/predict", {"inputs": check.text}))
    if reply.status != 200:
        return asking.refused("/classify", reply)
    label, likely = _best(reply.json())
    if likely is None:
        return Verdict("the answer contains no class", received=reply.text())
    received = f"{label} ({likely:.4g})"
    if check.expect and check.expect != label:
        return Verdict(f'the class is "{label}" instead of "{check.expect}"', received=received)
    return Verdict(received=received)


def _best(answer: Any) -> tuple[str, float | None]:
    """Return the most likely class, and how likely it is."""
    try:
        found = answer["data"][0] if isinstance(answer, dict) else answer
        if isinstance(found, dict):  # vLLM
            likely = max(float(value) for value in found["probs"])
            return str(found.get("label") or found["probs"].index(likely)), likely
        found = found[0] if isinstance(found[0], list) else found
        best = max(found, key=lambda each: float(each["score"]))
        return str(best["label"]), float(best["score"])
    except (TypeError, ValueError, LookupError):
        return "", None
