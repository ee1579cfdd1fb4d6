"""The weights that are computed from a published `config.json` are those of the published files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.kinds.vllm.memory.architecture import read
from provision.kinds.vllm.memory.published import published
from provision.published.tensors import size

MODELS: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "published.yml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODELS)
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
