"""Compares the class that a model's own configuration names with what its services expect."""

from __future__ import annotations

import os
from typing import Iterable

from provision.host.failure import Failure
from provision.wire.specs.model import Expectation


def class_of(path: str) -> str | None:
    """Return the class that a model's `config.yaml` names, empty for none; None without the file."""
    try:
        with open(os.path.join(path, "config.yaml"), encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    named = [line[len("model:") :] for line in lines if line.startswith("model:")]
    return named[0].partition("#")[0].strip().strip("\"'") if named else ""


def check(path: str, expectations: Iterable[Expectation]) -> None:
    """Raise `Failure` when a model is not what a service expects; without a `config.yaml` it passes."""
    found = class_of(path)
    if found is None:
        return
    for expected in expectations:
        if found not in expected.files:
            says = expected.misfits.get(found) or expected.otherwise.replace("{class}", found)
            raise Failure(
                "wrong-model",
                f"{path} {says}",
                hint=f"name another model in service {expected.service}, or another kind",
            )


def files(path: str, expectations: Iterable[Expectation]) -> list[str]:
    """Return the files that a model's class cannot do without."""
    found = class_of(path)
    return sorted({name for expected in expectations for name in expected.files.get(found or "", [])})
