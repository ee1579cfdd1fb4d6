"""Real starts of vLLM on GPUs (`records/memory-*.json`), and what is foreseen of each.

A file holds the starts of one release on one kind of GPU: `about.engine`, `about.gpu`, `configs` by the
names of models, and `runs` with `model`, `args` (fields of a service of kind vllm), `started`, and what the
log of the engine says: `model_loading_gib`, `available_kv_cache_gib`, `kv_cache_tokens`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from packaging.version import Version

from provision.kinds.common.cards import card
from provision.kinds.vllm.fields import VllmService
from provision.kinds.vllm.memory.architecture import Architecture, read
from provision.kinds.vllm.memory.fit import Fit, foresee

RECORDS = Path(__file__).resolve().parent / "records"


class Start(NamedTuple):
    """A start: what was started, what became of it, what is foreseen, and the `config.json` of its model."""

    name: str
    gpu: str
    release: str
    run: dict[str, Any]
    model: Architecture
    fit: Fit
    config: dict[str, Any]


def starts() -> Iterator[Start]:
    """Return all recorded starts."""
    for path in sorted(RECORDS.glob("memory-*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        about = data["about"]
        release = Version(about["engine"].removeprefix("vllm "))
        known = card(about["gpu"])
        assert known, about["gpu"]
        for number, run in enumerate(data["runs"]):
            model = read(data["configs"][run["model"]])
            service = VllmService.model_validate(
                {"kind": "vllm", "environment": "e", "model": "m", **run["args"]}
            )
            found = foresee(model, None, service, known, release)
            yield Start(
                f"{path.stem}-{number}-{run.get('name', run['model'])}",
                known.name,
                str(release),
                run,
                model,
                found,
                data["configs"][run["model"]],
            )
