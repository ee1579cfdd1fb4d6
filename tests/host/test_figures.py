"""What a server's log tells of its start, held against real logs and what was noted of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provision.host.services import figures
from provision.wire.figures import Figures

RECORDS = Path(__file__).resolve().parents[1] / "gpu" / "records"
LOGS = sorted(RECORDS.glob("logs/*/*.log"))
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
