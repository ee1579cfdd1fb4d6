"""What the ways have made, read without the help of any of them, and held against each other."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from tests.lab import LabError, LabHost

from .arms import Place

Outcome = dict[str, Any]

_QUESTION = {
    "model": "r1-1.5b",
    "messages": [{"role": "user", "content": "hello"}],
    "max_tokens": 32,
    "temperature": 0,
}


def outcome(host: LabHost, place: Place) -> Outcome:
    """Return packages, their files, the model's files and the answer to a question."""
    script = Path(__file__).with_name("end_state.py").read_text(encoding="utf-8")
    found: Outcome = json.loads(host.exec([place.python, "-I", "-", place.model], input=script).stdout)
    found["answer"] = _ask(f"http://{host.address}:8002/v1/chat/completions")
    return found


def compare(name: str, found: Outcome, other: str, reference: Outcome) -> None:
    """Hold two outcomes against each other.

    Raises:
        LabError: they are not the same; the first few differences are named.
    """
    wrong = [
        f"{key}: {what}"
        for key in ("packages", "files", "model", "answer")
        for what in _differences(found[key], reference[key])
    ]
    if not found["bytecode"] or not reference["bytecode"]:
        wrong.append("bytecode: there is none")
    if wrong:
        raise LabError(f"{name} has not made the same as {other}: {'; '.join(wrong[:10])}")


def _differences(ours: Any, theirs: Any) -> list[str]:
    if not isinstance(ours, dict):
        return [] if ours == theirs else [f"{ours!r} and not {theirs!r}"]
    names = sorted({*ours, *theirs})
    return [
        f"{name} {ours.get(name)} and not {theirs.get(name)}"
        for name in names
        if ours.get(name) != theirs.get(name)
    ]


def _ask(url: str) -> str:
    body = json.dumps(_QUESTION).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return str(json.load(answer)["choices"][0]["message"]["content"])
