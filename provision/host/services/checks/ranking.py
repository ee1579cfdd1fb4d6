"""Checks of models that tell how well documents answer a query: `rerank` and `score`."""

from __future__ import annotations

import math
from typing import Any

from provision.host.services.checks.asking import Asking, Verdict
from provision.host.services.checks.client import Reply
from provision.wire.checks import Ranked, Rerank, Score


def rerank(asking: Asking, check: Rerank) -> Verdict:
    """Have documents put in order; `expect` must be a part of the first.

    The request has the form of Cohere and Jina (vLLM, SGLang, llama.cpp, Infinity, Xinference), then TEI's.
    """
    request = asking.with_model({"query": check.query, "documents": check.documents})
    tei = {"query": check.query, "texts": check.documents}
    _, reply = asking.first_known(("/v1/rerank", request), ("/rerank", request), ("/rerank", tei))
    if reply.status != 200:
        return asking.refused("/v1/rerank", reply)
    answer = reply.json()
    found = answer.get("results", answer.get("data")) if isinstance(answer, dict) else answer
    return _judged(check, found, reply)


def score(asking: Asking, check: Score) -> Verdict:
    """Have documents compared with a query; `expect` must be a part of the best.

    The request has vLLM's form (`/score`; `/v1/score` in old releases), then TEI's.
    """
    request = asking.with_model({"text_1": check.query, "text_2": check.documents})
    tei = {"inputs": {"source_sentence": check.query, "sentences": check.documents}}
    _, reply = asking.first_known(("/score", request), ("/v1/score", request), ("/similarity", tei))
    if reply.status != 200:
        return asking.refused("/score", reply)
    answer = reply.json()
    if isinstance(answer, list):
        answer = {"data": [{"index": index, "score": value} for index, value in enumerate(answer)]}
    return _judged(check, answer.get("data") if isinstance(answer, dict) else None, reply)


def _judged(check: Ranked, found: Any, reply: Reply) -> Verdict:
    """Say whether all documents have a score, and whether the expected one has the best."""
    documents = check.documents
    try:
        scored = {
            int(each["index"]): float(each["relevance_score"] if "relevance_score" in each else each["score"])
            for each in found
        }
    except (TypeError, ValueError, LookupError):
        return Verdict("the answer contains no scores", received=reply.text())
    if sorted(scored) != list(range(len(documents))):
        return Verdict(f"{len(documents)} documents have {len(scored)} scores", received=reply.text())
    if not all(math.isfinite(value) for value in scored.values()):
        return Verdict("the answer contains scores that are not numbers", received=reply.text())
    order = sorted(scored, key=lambda index: -scored[index])
    received = "; ".join(f"{scored[index]:.4g} {documents[index]}" for index in order)
    if check.expect and check.expect not in documents[order[0]]:
        return Verdict(f'the document with "{check.expect}" does not come first', received=received)
    return Verdict(received=received)
