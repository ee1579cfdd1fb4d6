"""How far the clock of a host is off, as far as the first word that it says can tell."""

from __future__ import annotations

from provision.wire.finding import Finding, warning

BEARABLE = 60.0
"""Seconds. Beyond, certificates and tokens that were just made are refused."""


def skew(told: float, begun: float, heard: float) -> float:
    """Return by how many seconds the clock of a host is ahead for certain; negative: behind.

    Args:
        told: the time that the host told.
        begun: the controller's time before it was asked.
        heard: the controller's time when that was heard. The way there and back lies between these two.
    """
    if told > heard:
        return told - heard
    return min(told - begun, 0.0)


def finding(ahead: float) -> Finding | None:
    """Return what to tell of a clock that is so many seconds ahead; None if that is bearable."""
    if abs(ahead) <= BEARABLE:
        return None
    which = "ahead of" if ahead > 0 else "behind"
    message = f"the clock of this host is {_words(abs(ahead))} {which} the controller's"
    return warning("clock-skew", message, "let it follow a time server: `timedatectl set-ntp true`")


def _words(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next(index for index, (number, _) in enumerate(parts) if number)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number)
