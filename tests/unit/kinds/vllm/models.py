"""The published models of `published.yml`, `built.yml` and `counted.yml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

MODELS: dict[str, dict[str, Any]] = {}

for _file in ("published.yml", "built.yml", "counted.yml"):
    _found = yaml.safe_load((Path(__file__).parent / _file).read_text(encoding="utf-8"))
    MODELS |= {name: {**MODELS.get(name, {}), **about} for name, about in _found.items()}
