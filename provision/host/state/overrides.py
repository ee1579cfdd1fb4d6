"""Who has applied in spite of which findings, and when: `overrides.jsonl` of provision's directory."""

from __future__ import annotations

import os
import time
from typing import Sequence

from provision.host.state import durable
from provision.wire import plainjson
from provision.wire.finding import Finding

KEPT = 200
"""Lines that are kept, one a run."""


def note(state: str, who: str, ignored: Sequence[Finding]) -> None:
    """Add a line for a run that goes on in spite of findings."""
    path = os.path.join(state, "overrides.jsonl")
    line = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "who": who,
        "ignored": [{"code": each.code, "message": each.message} for each in ignored],
    }
    lines = [*(durable.read(path) or "").splitlines(), plainjson.dumps(line)]
    durable.write(path, "\n".join(lines[-KEPT:]) + "\n", mode=0o600)
