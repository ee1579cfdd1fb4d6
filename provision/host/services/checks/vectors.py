"""Checks of models that turn text into vectors: `embed`, and `pooling` for what else vLLM pools.

Embeddings are requested in OpenAI's form (vLLM, SGLang, llama.cpp, Infinity, Xinference), then in TEI's.
"""

from __future__ import annotations

import math
from typing import Any

from provision.host.services.checks.asking import Asking, Verdict
from provision.wire.checks import Embed, Pooling


def embed(asking: Asking, check: Embed) -> Verdict:
    """Have a text embedded."""
    request = asking.with_model({"input": check.text})
    path, reply = asking.first_known(
        ("/v1/embeddings", request), ("/embeddings", request), ("/embed", {"inputs": check.text})
    )
    if reply.status != 200:
        return asking.refused("/v1/embeddings", reply)
    answer = reply.json()
    try:
        vector = answer[0] if path == "/embed" else answer["data"][0]["embedding"]
    except (TypeError, LookupError):
        vector = None
    return _judged(vector, reply.text())


def pooling(asking: Asking, check: Pooling) -> Verdict:
    """Have a text pooled, which is what reward models and token embeddings do."""
    reply = asking.client.post("/pooling", asking.with_model({"input": check.text}), asking.limit)
    if reply.status != 200:
        return asking.refused("/pooling", reply)
    try:
        vector = _flat(reply.json()["data"][0]["data"])
    except (TypeError, LookupError):
        vector = None
    return _judged(vector, reply.text())


def _judged(vector: Any, received: str) -> Verdict:
    """Tell whether a vector is usable."""
    if not isinstance(vector, list) or not vector:
        return Verdict("the answer contains no embedding", received=received)
    if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in vector):
        return Verdict("the embedding contains values that are not numbers", received=received)
    if not any(vector):
        return Verdict("the embedding contains only zeros", received=received)
    first = ", ".join(f"{value:.4g}" for value in vector[:3])
    numbers = f"{len(vector)} numbers" if len(vector) > 1 else "1 number"
    return Verdict(received=f"{numbers}: {first}{', …' if len(vector) > 3 else ''}")


def _flat(value: Any) -> list[Any]:
    """Return the numbers of a list of lists."""
    if not isinstance(value, list):
        return [value]
    return [number for item in value for number in _flat(item)]
