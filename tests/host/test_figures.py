"""What a server's log tells of its start, held against real logs and what was noted of them."""

from __future__ import annotations

import json
import re
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from provision.host.services import figures
from provision.wire.figures import Figures

RECORDS = Path(__file__).resolve().parents[1] / "gpu" / "records"
LOGS = sorted(path for path in RECORDS.glob("logs/*/*.log") if not path.stem.endswith("-cpu"))
ON_CPU = sorted(RECORDS.glob("logs/*/*-cpu.log"))
STARTS: dict[tuple[str, str], Any] = {
    (run["release"], run["name"]): run
    for path in RECORDS.glob("memory-h100-*.json")
    for run in json.loads(path.read_text())["runs"]
}
GIB = 1024**3


def named(log: Path) -> str:
    """Return a log's name."""
    return f"{log.parent.name}-{log.stem}"


@pytest.mark.parametrize("log", LOGS, ids=named)
def test_a_real_log_tells_its_figures(log: Path) -> None:
    known = STARTS[log.parent.name, log.stem]
    found = figures.read(log.read_text(encoding="utf-8"), 43.21)
    assert found.seconds == 43.2
    assert found.weights == int(known["model_loading_gib"] * GIB)
    assert found.cache == int(known["available_kv_cache_gib"] * GIB)
    assert found.tokens == known.get("kv_cache_tokens")
    assert found.sequences == known.get("concurrency")
    captured = known.get("graph_capture_gib")
    assert found.graphs == (int(captured * GIB) if captured else None)


def test_there_are_logs_of_five_releases() -> None:
    assert len({log.parent.name for log in (*LOGS, *ON_CPU)}) >= 5


@pytest.mark.parametrize("log", ON_CPU, ids=named)
def test_a_real_log_on_a_cpu_tells_its_tokens(log: Path) -> None:
    found = figures.read(log.read_text(encoding="utf-8"), 20)
    assert (found.tokens, found.length, found.sequences) == (1048576, 512, 2048.0)
    assert found.graphs is None


MESSAGES = json.loads((RECORDS / "messages.json").read_text(encoding="utf-8"))
"""What 33 releases from 0.8.0 to 0.33.0 log of their memory: the texts of these calls in their source."""

TOLD = {
    "Model": (["14.2931", "3.4"], {"weights": int(14.2931 * GIB)}),
    "Available": (["24.77"], {"cache": int(24.77 * GIB)}),
    "GPU": (["473,216", "8,192", "57.77"], {"tokens": 473216}),
    "Maximum": (["8,192", "57.77"], {"length": 8192, "sequences": 57.77}),
    "Graph": (["21", "0.57"], {"graphs": int(0.57 * GIB)}),
}
"""By the first word of a message: values for it, and the figures that are read from it."""


@pytest.mark.parametrize("said", MESSAGES, ids=lambda said: f"{said['first']}-{said['message'][:20]}")
def test_the_messages_of_all_releases_are_read(said: dict[str, str]) -> None:
    message = said["message"].replace("%s KV cache", "GPU KV cache")
    values, known = TOLD[message.split()[0]]
    if "tokens, Maximum" in message:
        known = {**known, "length": 8192, "sequences": 57.77}
    parts = re.split(r"%[.\d]*[sdf]", message)
    line = "".join(part + value for part, value in zip_longest(parts, values[: len(parts) - 1], fillvalue=""))
    told = figures.read(f"(EngineCore pid=2447) INFO 11-27 14:39:34 [file.py:12] {line}\n", 43)
    assert {name: value for name, value in told.plain().items() if value is not None} == {
        "seconds": 43,
        **known,
    }


def test_a_server_on_a_cpu_tells_its_tokens() -> None:
    line = "CPU KV cache size: 1,048,576 tokens, Maximum concurrency for 512 tokens per request: 2048.00x"
    found = figures.read(line, 20)
    assert (found.tokens, found.length, found.sequences) == (1048576, 512, 2048.0)
    assert found.weights is None


def test_figures_are_kept_and_those_of_another_version_are_none(tmp_path: Path) -> None:
    told = Figures(seconds=43.2, tokens=473216, length=8192, sequences=57.8)
    assert figures.kept(str(tmp_path), "chat") is None
    figures.keep(str(tmp_path), "chat", told)
    assert figures.kept(str(tmp_path), "chat") == told
    for other in ('{"seconds": 1, "moon": 2}', "not JSON", ""):
        (tmp_path / "figures" / "chat").write_text(other)
        assert figures.kept(str(tmp_path), "chat") is None
