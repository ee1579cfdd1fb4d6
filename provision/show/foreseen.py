"""Whether a model fits on a GPU, as `provision fit` tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provision.kinds.common.demand import Range
    from provision.project.question import Answer


@dataclass(frozen=True)
class Foreseen:
    """What is foreseen of a model, under the name that was typed for it."""

    model: str
    answer: Answer

    def plain(self) -> dict[str, Any]:
        """Return the fields; bytes are those of each GPU."""
        fit = self.answer.fit
        unknown = fit.weights is None
        return {
            "event": "fit",
            "verdict": fit.verdict,
            "model": self.model,
            "gpu": fit.card.name,
            "gpus": fit.settings.gpus,
            "hosts": self.answer.hosts,
            "vllm": str(fit.settings.release),
            "memory_bytes": fit.card.total,
            "weights_bytes": fit.weights,
            "weights_counted": fit.counted,
            "files_bytes": fit.files,
            "activation_bytes": _three(fit.overhead.activation),
            "graphs_bytes": _three(fit.overhead.graphs),
            "other_bytes": _three(fit.overhead.other),
            "kv_bytes": None if unknown else max(fit.cache.usual, 0),
            "kv_bytes_range": None if unknown else [max(fit.cache.least, 0), max(fit.cache.most, 0)],
            "kv_tokens": fit.tokens,
            "sequences": fit.sequences,
            "max_model_len": fit.longest,
            "needed_bytes": fit.needed,
            "findings": [finding.plain() for finding in fit.findings],
            "remedies": [remedy.fields for remedy in self.answer.remedies],
        }


def _three(found: Range) -> list[int]:
    return [found.least, found.usual, found.most]
