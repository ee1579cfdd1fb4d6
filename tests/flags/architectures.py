"""Which architectures each release has a class for: `provision/engines/vllm/architectures.json`."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping

from tests.flags.wheels import Wheel

REGISTRY = "vllm/model_executor/models/registry.py"

NO_MODELS = ("_SPECULATIVE_DECODING_MODELS", "_PREVIOUSLY_SUPPORTED_MODELS")
"""Tables of the registry that are not of models that can be served."""


def architectures(version: str) -> set[str]:
    """Return the architectures that a release has a class for: the keys of the tables in its registry."""
    source = Wheel(version).read(REGISTRY) or ""
    found: set[str] = set()
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Dict):
            names = [each.id for each in statement.targets if isinstance(each, ast.Name)]
            if any(name.endswith("_MODELS") and name not in NO_MODELS for name in names):
                keys = statement.value.keys
                found |= {str(key.value) for key in keys if isinstance(key, ast.Constant)}
    return found


def text(releases: Mapping[str, set[str]]) -> str:
    """Return the file: for each architecture the first release with it, and the first without it again."""
    order = [*releases]
    lines = []
    for name in sorted(set().union(*releases.values())):
        having = [index for index, version in enumerate(order) if name in releases[version]]
        span = [order[index] for index in (having[0], having[-1] + 1) if index < len(order)]
        lines.append(f"  {json.dumps(name)}: {json.dumps(span)}")
    known = ",\n".join(lines)
    return f'{{\n "releases": {json.dumps(order)},\n "architectures": {{\n{known}\n }}\n}}\n'
