"""How the fields of a vLLM service become flags of vLLM's command line.

A field is `--its-name VALUE` unless its type carries one of these marks: `Annotated[Count | None, NoFlag()]`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Flag:
    """A field that is the flag of its name, and how it differs from a usual one.

    Args:
        also: further flags that say the same, so they do not belong in `extra_args`.
        switch: it is off by default in every release: `false` needs no flag, and not every release has one.
        written: returns a value as vLLM reads it.
    """

    also: tuple[str, ...] = ()
    switch: bool = False
    written: Callable[[Any], str] = str


@dataclass(frozen=True)
class NoFlag:
    """A field that is not the flag of its name: `launch` or `render` handles it, or vLLM does not see it.

    Args:
        also: the flags that say the same, so they do not belong in `extra_args`.
    """

    also: tuple[str, ...] = ()
