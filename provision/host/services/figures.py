"""What a server has logged about its start: how much memory it took, and how many tokens it has room for.

It is kept in `figures/<service>` of provision's directory, beside the note of which process has answered.
"""

from __future__ import annotations

import os
import re
from typing import Any

from provision.host.state import durable
from provision.wire import plainjson
from provision.wire.figures import Figures
from provision.wire.record import Mismatch

LINES = 2000
"""Lines of a start's log that are searched; vLLM prints a hundred or two."""

GIB = 1024**3

# As vLLM 0.8.0 to 0.33.0 log them (gpu_model_runner.py, model_runner.py and gpu_worker.py in v1/worker,
# v1/core/kv_cache_utils.py); 0.8.0 says GB and means GiB. Several workers of one server say the same, each
# of its own GPU.
PATTERNS: dict[str, tuple[str, int | None]] = {
    "weights": (r"Model loading took ([\d.]+) Gi?B", GIB),
    "cache": (r"Available KV cache memory: (-?[\d.]+) GiB", GIB),
    "graphs": (r"Graph capturing finished in \d+ secs, took ([\d.]+) GiB", GIB),
    "tokens": (r"KV cache size: ([\d,]+) tokens", 1),
    "length": (r"Maximum concurrency for ([\d,]+) tokens per request", 1),
    "sequences": (r"Maximum concurrency for [\d,]+ tokens per request: ([\d.]+)x", None),
}
"""What tells a figure, and the unit of what it is a whole number of; None: it is no whole number."""


def read(log: str, seconds: float) -> Figures:
    """Return the figures in a log; of a line that comes several times the last counts.

    Args:
        log: what the server has printed since its start.
        seconds: how long that took.
    """
    found: dict[str, Any] = {"seconds": round(seconds, 1)}
    for name, (pattern, unit) in PATTERNS.items():
        told = re.findall(pattern, log)
        if told:
            number = float(told[-1].replace(",", ""))
            found[name] = number if unit is None else int(number * unit)
    return Figures(**found)


def keep(state: str, service: str, figures: Figures) -> None:
    """Note the figures of a start that was proven; `state` is provision's directory on the host."""
    durable.write(_path(state, service), plainjson.dumps(figures.plain()) + "\n")


def kept(state: str, service: str) -> Figures | None:
    """Return the figures of the last proven start, or None; those of another version count as none."""
    text = durable.read(_path(state, service))
    try:
        return Figures.parse(plainjson.loads(text)) if text else None
    except (ValueError, Mismatch):
        return None


def every(state: str) -> dict[str, Figures]:
    """Return the figures of all services that have them, by service."""
    try:
        names = sorted(os.listdir(os.path.join(state, "figures")))
    except FileNotFoundError:
        return {}
    known = ((name, kept(state, name)) for name in names if not name.startswith("."))
    return {name: figures for name, figures in known if figures is not None}


def _path(state: str, service: str) -> str:
    return os.path.join(state, "figures", service)
