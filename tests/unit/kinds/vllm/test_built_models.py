"""What is computed of each model is what vLLM's own classes have, on a GPU of some (`built.yml`)."""

from __future__ import annotations

import pytest
from packaging.version import Version

from provision.kinds.common.cards import GIB, card
from provision.kinds.vllm.fields import VllmService
from provision.kinds.vllm.memory import kv, weights
from provision.kinds.vllm.memory.architecture import read
from provision.kinds.vllm.memory.published import published
from provision.kinds.vllm.memory.settings import settings
from tests.unit.kinds.vllm.models import MODELS

BUILT = [(name, size) for name, about in MODELS.items() for size in about.get("built", ())]


def test_there_are_many() -> None:
    assert len({name for name, _ in BUILT}) > 30


@pytest.mark.parametrize(("name", "size"), BUILT)
def test_a_gpu_has_what_vllm_puts_on_it(name: str, size: int) -> None:
    real, needed, tokens = MODELS[name]["built"][size]
    service = VllmService.model_validate(
        {"kind": "vllm", "environment": "e", "model": "m", "tensor_parallel_size": size}
    )
    model, where = read(MODELS[name]["config"]), card("H100")
    assert where
    chosen = settings(service, model, where, Version("0.25.1"))
    parts = [
        weights._share(tensor, model, chosen)
        for tensor in published(model)
        if weights._places(tensor.name, model, [(0, len(model.layers))], chosen)
    ]
    # What each GPU has in full, such as norms, and what is padded weighs more the more GPUs there are.
    beside = 2 * model.positions + weights._repeated(model, chosen, 0, len(model.layers))
    assert sum(parts) + beside == pytest.approx(real, rel=0.005 if size < 8 else 0.015)
    cache = kv.cache(model, chosen, 0, len(model.layers))
    length = chosen.length or model.context
    assert (cache.needed(length), cache.tokens(20 * GIB, length)) == (needed, tokens)
