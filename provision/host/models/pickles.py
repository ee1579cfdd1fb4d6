"""Weights that are pickles: a format whose files can run code when they are loaded."""

from __future__ import annotations

import posixpath
from typing import Iterable

from provision.wire.finding import Finding, information

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
"""How files of torch and Python end that are pickles."""

SAFE = (".safetensors", ".gguf")
"""How weights end that hold only numbers. Engines prefer them to pickles in the same directory."""

NOT_WEIGHTS = ("training_args.bin", "optimizer.", "optimizer_", "scheduler.", "rng_state", "scaler.")
"""How files of a training begin, which no server loads."""

SHOWN = 3


def among(names: Iterable[str]) -> list[str]:
    """Return the files that are weights as pickles, where no safe ones are beside them."""
    files = sorted(names)
    safe = {posixpath.dirname(name) for name in files if name.endswith(SAFE)}
    return [
        name
        for name in files
        if name.endswith(PICKLES)
        and posixpath.dirname(name) not in safe
        and not posixpath.basename(name).startswith(NOT_WEIGHTS)
    ]


def note(names: Iterable[str], hub: bool, speech: bool) -> list[Finding]:
    """Return what to know of a model with these files.

    Args:
        names: its files, with `/` between directories.
        hub: whether it is of a hub, where it can be pinned.
        speech: whether a speech service uses it: FunASR has no other format.
    """
    found = among(names)
    if not found:
        return []
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    message = f"weights are pickles, which can contain code: {', '.join(found[:SHOWN])}{more}"
    ways = [] if speech else ["prefer a model with safetensors"]
    ways += ["pin a `revision`, or lock it"] if hub else ["take it only from somebody you trust"]
    return [information("pickled-weights", message, ", or ".join(ways))]
