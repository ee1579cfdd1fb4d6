"""How the fields of a vLLM service are said on vLLM's command line.

A field is `--its-name VALUE` unless its type carries one of these marks: `Annotated[Count | None, NoFlag()]`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Flag:
    """A field that is the flag of its name, and what is particular about it.

    Args:
        also: further flags that say what the field says, so they do not belong in `extra_args`.
        switch: it is off by default in every release: `false` needs no flag, and not every release has one.
        written: returns a value as vLLM reads it.
    """

    also: tuple[str, ...] = ()
    switch: bool = False
    written: Callable[[Any], str] = str


@dataclass(frozen=True)
class NoFlag:
    """A field that is no flag of its name: `lower` or `render` says it otherwise, or vLLM does not see it.

    Args:
        also: the flags that say what the field says, so they do not belong in `extra_args`.
    """

    also: tuple[str, ...] = ()
