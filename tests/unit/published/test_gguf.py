"""What a GGUF file tells of its model, and what vLLM makes of its matrices."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.version import Version

from provision.kinds.common.cards import card
from provision.kinds.vllm.fields import VllmService
from provision.kinds.vllm.memory import weights
from provision.kinds.vllm.memory.architecture import read
from provision.kinds.vllm.memory.settings import settings
from provision.published import models
from provision.published.gguf import parts
from provision.published.models import Absent, Unreadable
from provision.published.tensors import size
from tests.unit.published.ggufs import METADATA, TENSORS, gguf

NAME = "tiny-Q4_K_M.gguf"
ROW4, ROW6, ROW8 = 1024 // 256 * 144, 1024 // 256 * 210, 1024 // 32 * 34
NORMS = 2 * 1024 * 4
BYTES = (
    2048 * ROW8 + NORMS + (1024 + 128 + 1024 + 4096 + 4096) * ROW4 + 128 * ROW6 + 1024 * (4096 // 256) * 210
)


def written(folder: Path, data: bytes, name: str = NAME) -> models.Model:
    (folder / name).write_bytes(data)
    return models.gguf_model(models.folder(str(folder)), name)


def test_the_header_tells_shape_and_weights(tmp_path: Path) -> None:
    found = written(tmp_path, gguf(METADATA, TENSORS))
    assert found.config["architectures"] == ["Qwen2ForCausalLM"]
    assert found.config["tie_word_embeddings"]
    assert found.config["vocab_size"] == 2048
    assert found.tensors
    assert size(found.tensors) == BYTES
    model = read(found.config)
    assert (model.hidden, model.context, len(model.layers)) == (1024, 32768, 1)


def test_rows_that_are_kept_as_one_matrix_are_as_wide_as_the_widest(tmp_path: Path) -> None:
    found = written(tmp_path, gguf(METADATA, TENSORS))
    model, where = read(found.config), card("L4")
    assert where
    assert found.tensors
    service = VllmService.model_validate({"kind": "vllm", "environment": "e", "model": "m"})
    chosen = settings(service, model, where, Version("0.23.0"))
    (stage,) = weights.stages(found.tensors, model, chosen)
    widened = (1024 + 128) * (ROW6 - ROW4)  # queries and keys, beside values of six bits
    halved = NORMS // 2  # in 16 bits
    assert stage.weights == BYTES + widened - halved + model.positions * 2


def test_only_the_beginning_is_read(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(gguf(METADATA, TENSORS) + bytes(20_000_000))
    asked = []

    def reading(name: str, first: int, last: int | None) -> bytes:
        asked.append(last or 0)
        return models.folder(str(tmp_path))(name, first, last)

    models.gguf_model(reading, NAME)
    assert max(asked) <= 2**20


def test_a_long_vocabulary_is_read_in_parts(tmp_path: Path) -> None:
    long = {**METADATA, "tokenizer.ggml.merges": [f"merge {number}" for number in range(200_000)]}
    found = written(tmp_path, gguf(long, TENSORS))
    assert found.tensors
    assert size(found.tensors) == BYTES


def test_parts_are_added(tmp_path: Path) -> None:
    first, second = (
        {name: TENSORS[name] for name in list(TENSORS)[part]} for part in (slice(4), slice(4, 99))
    )
    names = list(parts("big-00002-of-00002.gguf"))
    assert names == ["big-00001-of-00002.gguf", "big-00002-of-00002.gguf"]
    (tmp_path / names[0]).write_bytes(gguf(METADATA, first))
    found = written(tmp_path, gguf({}, second), names[1])
    assert found.tensors
    assert size(found.tensors) == BYTES
    (tmp_path / names[0]).unlink()
    with pytest.raises(Absent):
        models.gguf_model(models.folder(str(tmp_path)), names[1])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"PK\x03\x04" + bytes(40), "does not begin as GGUF does"),
        (b"", "cut off"),
        (gguf(METADATA, TENSORS)[:5000], "cut off"),
        (gguf(METADATA, TENSORS, version=1), "version 1"),
        (b"GGUF\x03\x00\x00\x00" + b"\xff" * 40, "too long"),
    ],
)
def test_what_is_no_gguf_is_said(tmp_path: Path, data: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        written(tmp_path, data)


def test_an_architecture_that_is_not_known_keeps_its_name(tmp_path: Path) -> None:
    found = written(tmp_path, gguf({**METADATA, "general.architecture": "new"}, TENSORS))
    assert found.config["architectures"] == ["new"]
