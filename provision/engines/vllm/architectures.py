"""Which architectures vLLM has a class for, in which release.

`architectures.json` is made by `python -m tests.flags` from the registries of released packages
(`model_executor/models/registry.py`). For each architecture it holds the first of these that has it, and,
where it is gone, the first without it. What is gone, and what vLLM never had, may run by the Transformers
backend.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from packaging.version import Version


class Span(NamedTuple):
    """Where an architecture is.

    - `since`: the first release that has it, of those that were read
    - `lacking`: the last one before, which does not; None when the oldest one has it
    - `until`: the first one that has it no more; None when the newest one has it
    """

    since: Version
    lacking: Version | None
    until: Version | None

    def too_old(self, release: Version) -> bool:
        """Say whether a release is surely older than the architecture."""
        return self.lacking is not None and release <= self.lacking

    def gone(self, release: Version) -> bool:
        """Say whether a release has it no more."""
        return self.until is not None and release >= self.until


def span(name: str) -> Span | None:
    """Return where an architecture is; None when no release has it."""
    data = _data()
    found = data["architectures"].get(name)
    if found is None:
        return None
    before = data["releases"].index(found[0])
    return Span(
        Version(found[0]),
        Version(data["releases"][before - 1]) if before else None,
        Version(found[1]) if len(found) > 1 else None,
    )


@cache
def _data() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        files(__package__).joinpath("architectures.json").read_text(encoding="utf-8")
    )
    return found
