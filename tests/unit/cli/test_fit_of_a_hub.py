"""`provision fit` of a model on a hub: what is read of it, and what is said when it cannot be."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import REPOSITORY, Provision
from tests.lab.hub import Hub
from tests.unit.published.ggufs import METADATA, TENSORS, gguf

CONFIG: dict[str, Any] = json.loads(
    (REPOSITORY / "tests" / "gpu" / "records" / "memory-h200.json").read_text(encoding="utf-8")
)["configs"]["qwen2.5-0.5b"]
SHARDS = {
    "model-00001-of-00002.safetensors": {"model.embed_tokens.weight": [151936, 896]},
    "model-00002-of-00002.safetensors": {"model.layers.0.self_attn.q_proj.weight": [896, 896]},
}
PAYLOAD = bytes(5_000_000)


def put(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    names = {tensor: shard for shard, tensors in SHARDS.items() for tensor in tensors}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    for shard, tensors in SHARDS.items():
        about = {
            name: {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]} for name, shape in tensors.items()
        }
        text = json.dumps(about).encode()
        (folder / shard).write_bytes(struct.pack("<Q", len(text)) + text + PAYLOAD)


@pytest.fixture
def hubs(tmp_path: Path) -> Iterator[tuple[Hub, Hub]]:
    with Hub(tmp_path / "ms") as first, Hub(tmp_path / "hf") as second:
        yield first, second


@pytest.fixture
def here(tmp_path: Path, hubs: tuple[Hub, Hub]) -> Provision:
    first, second = hubs
    env = {"PYTHONPATH": str(REPOSITORY), "MODELSCOPE_ENDPOINT": first.url, "HF_ENDPOINT": second.url}
    return Provision(cwd=tmp_path, env=env)


def fit(here: Provision, *arguments: str) -> dict[str, Any]:
    answer = here.run("fit", "owner/tiny", "--gpu", "L4", "--vllm", "0.25.1", "--output", "json", *arguments)
    assert answer.code == 0, answer.err
    found: dict[str, Any] = json.loads(answer.out)
    return found


def sent(hub: Hub) -> int:
    return sum(request.sent for request in hub.downloads(""))


def test_only_the_beginnings_of_the_weights_are_read(
    here: Provision, hubs: tuple[Hub, Hub], tmp_path: Path
) -> None:
    put(tmp_path / "ms" / "owner" / "tiny")
    found = fit(here)
    assert found["weights_counted"]
    assert found["weights_bytes"] == pytest.approx(2 * 896 * (151936 + 896), rel=0.03)
    assert 0 < sent(hubs[0]) < 10_000
    assert not sent(hubs[1])


def test_a_file_in_gguf_is_named_behind_the_id(
    here: Provision, hubs: tuple[Hub, Hub], tmp_path: Path
) -> None:
    folder = tmp_path / "hf" / "owner" / "tiny" / "q4"
    folder.mkdir(parents=True)
    (folder / "tiny.gguf").write_bytes(gguf(METADATA, TENSORS) + PAYLOAD)
    answer = here.run("fit", "owner/tiny/q4/tiny.gguf", "--gpu", "L4", "--vllm", "0.23.0", "--output", "json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["weights_counted"]
    assert 0 < sent(hubs[1]) <= 2**20


@pytest.mark.parametrize("source", [[], ["--source", "huggingface"]])
def test_what_modelscope_does_not_have_is_read_from_hugging_face(
    here: Provision, hubs: tuple[Hub, Hub], tmp_path: Path, source: list[str]
) -> None:
    put(tmp_path / "hf" / "owner" / "tiny")
    assert fit(here, *source)["weights_counted"]
    assert 0 < sent(hubs[1]) < 10_000


def test_what_no_hub_has(here: Provision, hubs: tuple[Hub, Hub]) -> None:
    answer = here.run("fit", "owner/absent", "--gpu", "L4")
    assert answer.code == 1
    assert f'ModelScope at {hubs[0].url} has no model "owner/absent"' in answer.err
    assert f'Hugging Face at {hubs[1].url} has no model "owner/absent"' in answer.err
    assert answer.err.rstrip().endswith("[not-on-hub]")


def test_a_hub_that_does_not_answer(tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(REPOSITORY), "MODELSCOPE_ENDPOINT": "http://127.0.0.1:9"}
    answer = Provision(cwd=tmp_path, env=env).run(
        "fit", "owner/tiny", "--gpu", "L4", "--source", "modelscope"
    )
    assert answer.code == 1
    assert "ModelScope at http://127.0.0.1:9 cannot be reached: Connection refused" in answer.err
