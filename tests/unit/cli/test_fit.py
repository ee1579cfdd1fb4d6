"""`provision fit`: the words of its command line, its table and its JSON."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import REPOSITORY, Provision
from tests.unit.published.ggufs import METADATA, TENSORS, gguf
from tests.unit.published.test_mistral import SMALL

RECORDS = REPOSITORY / "tests" / "gpu" / "records"
CONFIGS: dict[str, Any] = json.loads((RECORDS / "memory-h200.json").read_text(encoding="utf-8"))["configs"]


@pytest.fixture
def here(tmp_path: Path) -> Provision:
    for name, config in CONFIGS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    return Provision(cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)})


def found(here: Provision, *arguments: str, release: str = "0.25.1") -> dict[str, Any]:
    answer = here.run("fit", *arguments, "--vllm", release, "--output", "json")
    parsed: dict[str, Any] = json.loads(answer.out)
    assert answer.code == (parsed["verdict"] == "does_not_fit")
    return parsed


def test_what_fits(here: Provision) -> None:
    fit = found(here, "qwen2.5-7b", "--gpu", "H100", "--set", "max_model_len=8k")
    assert fit["verdict"] == "fits"
    assert fit["max_model_len"] == 32768
    assert fit["kv_tokens"] == pytest.approx(fit["kv_bytes"] / 57344, rel=0.001)
    assert fit["findings"] == fit["remedies"] == []


def test_what_does_not_fit_comes_with_changes_that_make_it_fit(here: Provision) -> None:
    fit = found(here, "qwen2.5-7b", "--gpu", "H100", "--set", "gpu_memory_utilization=0.2")
    assert fit["verdict"] == "does_not_fit"
    assert [each["code"] for each in fit["findings"]] == ["gpu-memory"]
    assert fit["remedies"][0] == {"gpu_memory_utilization": 0.25}
    changed = found(here, "qwen2.5-7b", "--gpu", "H100", "--set", "gpu_memory_utilization=0.25")
    assert changed["verdict"] == "fits"


def test_several_gpus_share_the_model(here: Provision) -> None:
    one, two = (found(here, "llama-3.1-8b", "--gpu", gpu) for gpu in ("H200", "2xH200"))
    assert two["gpus"] == 2
    assert two["weights_bytes"] == pytest.approx(one["weights_bytes"] / 2, rel=0.01)
    assert two["kv_tokens"] > 2 * one["kv_tokens"]
    assert two["files_bytes"] == one["files_bytes"] == 2 * 8_030_261_248


def test_several_hosts_share_the_model(here: Provision) -> None:
    one = found(here, "llama-3.1-8b", "--gpu", "4xH200")
    two = found(here, "llama-3.1-8b", "--gpu", "2xH200", "--hosts", "2")
    assert (two["gpus"], two["hosts"]) == (4, 2)
    assert two["weights_bytes"] == pytest.approx(one["weights_bytes"], rel=0.1)
    assert found(here, "llama-3.1-8b", "--gpu", "H200", "--hosts", "3")["gpus"] == 3
    data = found(here, "llama-3.1-8b", "--gpu", "H200", "--hosts", "2", "--set", "data_parallel_size=2")
    assert data["weights_bytes"] == found(here, "llama-3.1-8b", "--gpu", "H200")["weights_bytes"]
    said = here.run("fit", "llama-3.1-8b", "--gpu", "2xH200", "--hosts", "2").out
    assert said.startswith("llama-3.1-8b on 4 x H200 on 2 hosts with vLLM")


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (["tensor_parallel_size=3"], "tensor 3 × pipeline 1 × data 1 is 3 GPUs, which 2 nodes cannot share"),
        (["tensor_parallel_size=8"], "the parallel sizes need 4 GPUs on each host, and --gpu names 2"),
    ],
)
def test_sizes_that_the_hosts_cannot_share(here: Provision, sizes: list[str], message: str) -> None:
    words = [word for size in sizes for word in ("--set", size)]
    answer = here.run("fit", "llama-3.1-8b", "--gpu", "2xH200", "--hosts", "2", *words)
    assert answer.code == 1
    assert message in answer.err


def test_the_table_shows_the_arithmetic(here: Provision) -> None:
    answer = here.run("fit", "qwen2.5-7b", "--gpu", "H100", "--vllm", "0.25.1")
    assert answer.code == 0
    assert answer.out.startswith("qwen2.5-7b on H100 with vLLM 0.25.1: fits\n")
    assert "weights                      14.29   computed from config.json" in answer.out


def test_where_no_change_helps_it_is_said(here: Provision) -> None:
    answer = here.run("fit", "llama-3.1-8b", "--gpu", "T4", "--vllm", "0.25.1", "--set", "max_num_seqs=7")
    assert answer.code == 1
    assert "What makes it fit" in answer.out
    config = json.loads((here.cwd / "llama-3.1-8b" / "config.json").read_text())
    (here.cwd / "llama-3.1-8b" / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2000}))
    answer = here.run("fit", "llama-3.1-8b", "--gpu", "T4", "--vllm", "0.25.1")
    assert answer.code == 1
    assert "No change of one field makes it fit" in answer.out


def weights(path: Path, **shapes: list[int]) -> None:
    """Write the header of a file of weights, in bfloat16."""
    tensors = {
        name.replace("__", "."): {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]}
        for name, shape in shapes.items()
    }
    header = json.dumps(tensors).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


TABLE, NORM = [151936, 896], [896]


def test_weights_are_counted_where_the_files_are_there(here: Provision) -> None:
    folder = here.cwd / "qwen2.5-0.5b"
    weights(folder / "model.safetensors", model__embed_tokens__weight=TABLE, model__norm__weight=NORM)
    fit = found(here, "qwen2.5-0.5b", "--gpu", "L4")
    assert fit["weights_counted"]
    assert fit["weights_bytes"] == pytest.approx(151936 * 896 * 2 + 32768 * 64 * 2, rel=0.01)


def test_files_without_an_index_are_all_counted_and_nothing_twice(here: Provision) -> None:
    folder = here.cwd / "qwen2.5-0.5b"
    weights(folder / "model-00001-of-00002.safetensors", model__embed_tokens__weight=TABLE)
    weights(folder / "model-00002-of-00002.safetensors", model__layers__0__mlp__up_proj__weight=TABLE)
    both = found(here, "qwen2.5-0.5b", "--gpu", "L4")
    assert both["weights_counted"]
    assert both["weights_bytes"] == pytest.approx(2 * 151936 * 896 * 2 + 32768 * 64 * 2, rel=0.01)
    # Mistral publishes the same weights once more in its own format.
    weights(folder / "consolidated.safetensors", tok_embeddings__weight=TABLE, other__weight=TABLE)
    assert found(here, "qwen2.5-0.5b", "--gpu", "L4") == both
    for path in folder.glob("model-*"):
        path.unlink()
    assert found(here, "qwen2.5-0.5b", "--gpu", "L4")["weights_counted"]


def test_weights_in_pickles_are_computed(here: Provision) -> None:
    (here.cwd / "qwen2.5-0.5b" / "pytorch_model.bin").write_bytes(b"PK")
    fit = found(here, "qwen2.5-0.5b", "--gpu", "L4")
    assert not fit["weights_counted"]
    assert fit["weights_bytes"] == pytest.approx(494_032_768 * 2, rel=0.01)


def test_gguf_is_counted_where_it_is_named_or_the_only_model(here: Provision) -> None:
    folder = here.cwd / "other"
    folder.mkdir()
    (folder / "a-Q4_K_M.gguf").write_bytes(gguf(METADATA, TENSORS))
    named = found(here, "./other/a-Q4_K_M.gguf", "--gpu", "L4", release="0.23.0")
    assert named["weights_counted"]
    assert named["verdict"] == "fits"
    assert found(here, "other", "--gpu", "L4", release="0.23.0") == {**named, "model": "other"}
    later = found(here, "other", "--gpu", "L4", release="0.25.1")
    assert later["verdict"] == "uncertain"
    assert "plugin-needed" in [each["code"] for each in later["findings"]]
    (folder / "b-Q8_0.gguf").touch()
    answer = here.run("fit", "./other", "--gpu", "L4")
    assert answer.code == 1
    assert "several models in GGUF: a-Q4_K_M.gguf, b-Q8_0.gguf" in answer.err
    empty = here.run("fit", "./other/b-Q8_0.gguf", "--gpu", "L4")
    assert (empty.code, "Traceback" in empty.err) == (1, False)
    assert "b-Q8_0.gguf is no GGUF file: it is cut off" in empty.err


def test_mistrals_own_format_is_read_where_there_is_no_other(here: Provision) -> None:
    (here.cwd / "other").mkdir()
    (here.cwd / "other" / "params.json").write_text(json.dumps(SMALL))
    fit = found(here, "other", "--gpu", "H100")
    assert (fit["verdict"], fit["max_model_len"]) == ("fits", 32768)


def test_a_folder_without_a_model_is_said(here: Provision) -> None:
    (here.cwd / "other").mkdir()
    (here.cwd / "other" / "README.md").touch()
    answer = here.run("fit", "./other", "--gpu", "L4")
    assert answer.code == 1
    assert "other has no config.json" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["qwen2.5-7b", "--gpu", "H1"], "no GPU 'H1' is known; did you mean `H100`? [unknown-gpu]"),
        (
            ["qwen2.5-7b", "--gpu", "H100", "--set", "max_num_seq=3"],
            "did you mean `max_num_seqs`? [unknown-key]",
        ),
        (["qwen2.5-7b", "--gpu", "H100", "--set", "port=99999"], "[out-of-range]"),
        (["qwen2.5-7b", "--gpu", "H100", "--set", "dtype=flaot16"], "did you mean float16? [flag-value]"),
        (
            ["qwen2.5-7b", "--gpu", "H100", "--vllm", "0.17.1", "--set", "shutdown_timeout=9s"],
            "shutdown_timeout (--shutdown-timeout) needs vLLM 0.18.0 or later",
        ),
        (["qwen2.5-7b", "--gpu", "H100", "--vllm", "newest"], "--vllm 'newest' is no version"),
        (["qwen2.5-7b", "--gpu", "H100", "--set", "tensor_parallel_size=2"], "[gpu-count]"),
        (["qwen2.5-7b", "--gpu", "8xH100"], "cannot be divided among tensor_parallel_size 8"),
        (["qwen2.5-7b", "--gpu", "H100", "--set", "max_model_len=65536"], "[context-length]"),
        (["qwen2.5-7b", "--gpu", "T4", "--set", "dtype=bfloat16"], "has no bfloat16"),
        (["nowhere", "--gpu", "H100"], "nowhere has no config.json"),
    ],
)
def test_what_cannot_be(here: Provision, arguments: list[str], said: str) -> None:
    answer = here.run("fit", *arguments)
    assert answer.code == 1
    assert said in answer.out + answer.err
    assert "Traceback" not in answer.err
