"""`signal` without its enumerations."""

from __future__ import annotations

from _signal import signal  # type: ignore[import-not-found]

__all__ = ["signal"]


def __getattr__(name: str) -> object:
    import signal

    return getattr(signal, name)
