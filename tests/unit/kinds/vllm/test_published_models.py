"""The weights that are computed from a published `config.json` are those of the published files."""

from __future__ import annotations

import pytest

from provision.kinds.vllm.memory.architecture import read
from provision.kinds.vllm.memory.published import published
from provision.published.tensors import size
from tests.unit.kinds.vllm.models import MODELS

COUNTED = [name for name, about in MODELS.items() if about.keys() & {"parameters", "bytes"}]


@pytest.mark.parametrize("name", COUNTED)
def test_the_weights_are_those_of_the_published_files(name: str) -> None:
    about = MODELS[name]
    model = read(about["config"])
    assert model.family is not None
    tensors = published(model)
    if "bytes" in about:
        assert size(tensors) == pytest.approx(about["bytes"], rel=0.0002)
    else:
        parameters = sum(tensor.elements for tensor in tensors if "scale" not in tensor.name)
        assert parameters == pytest.approx(about["parameters"], rel=0.0002)
