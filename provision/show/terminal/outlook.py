"""What is foreseen of hosts: a bar for each GPU, a line for each service that starts, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, floor

from provision.show.report import HostReport
from provision.show.terminal.style import BAD, OLD, QUIET, paint
from provision.show.words import clip, count, human_seconds, listing
from provision.wire.survey import Forecast, Load, Taker

CELLS = 70
"""Columns of a bar: with its frame and the margin it fits into 80."""

GIB = 2**30

WEIGHTS, CACHE, REST, WHOLE, FOREIGN, FREE = "█", "▓", "▒", "░", "x", "·"
"""The cells of a bar, which can be told apart without colours, too."""

NAME = 16
"""Columns of a name below a bar: so the longest line fits into 80, too."""

STEP = 5
"""An expected duration is rounded up to so many seconds."""


def outline(host: HostReport) -> list[str]:
    """Return what is alike on hosts that are shown as one: who is on which GPU and verdicts, but no bytes."""
    if host.outlook is None:
        return []
    loads = [
        f"{each.index} {each.name} {[taker.name for taker in each.takers]}" for each in host.outlook.loads
    ]
    return [*loads, *(f"{each.service} {each.verdict}" for each in host.outlook.forecasts)]


def outlook_lines(hosts: Sequence[HostReport]) -> Iterator[str]:
    """Return the bars and the forecasts of hosts that are alike: of each GPU the fullest, of each service the
    slowest start and the smallest cache.
    """
    known = [host.outlook for host in hosts if host.outlook is not None]
    if not known:
        return
    loads = [max(each, key=_taken) for each in zip(*(outlook.loads for outlook in known), strict=True)]
    for same in _alike(loads):
        yield from _load_lines(same)
    for forecasts in zip(*(outlook.forecasts for outlook in known), strict=True):
        again = forecasts[0].service in hosts[0].restarts
        if any(each.seconds or each.tokens or each.verdict != "fits" for each in forecasts):
            yield f"  {paint('→', QUIET)} {_consequence(forecasts, again)}"


def _taken(load: Load) -> int:
    return sum(taker.bytes for taker in load.takers)


def _alike(loads: Sequence[Load]) -> Iterator[list[Load]]:
    """Give GPUs that are taken alike together."""
    groups: dict[tuple[object, ...], list[Load]] = {}
    for load in loads:
        takers = [(each.name, _gib(each.bytes), _gib(each.weights or 0)) for each in load.takers]
        groups.setdefault((load.name, _gib(load.memory), tuple(takers)), []).append(load)
    yield from groups.values()


def _load_lines(loads: Sequence[Load]) -> Iterator[str]:
    first = loads[0]
    which = f"GPU{'s' if len(loads) > 1 else ''} {listing(str(each.index) for each in loads)}"
    yield f"  {which}: {first.name}, {_gib(first.memory)} GiB{' each' if len(loads) > 1 else ''}"
    yield f"    [{_bar(first)}]"
    left = first.memory - _taken(first)
    rows = [(clip(taker.name, NAME), _gib(taker.bytes), _parts(taker)) for taker in first.takers]
    rows.append(("free", _gib(left), FREE) if left >= 0 else ("too much", _gib(-left), ""))
    wide = max(len(name) for name, *_ in rows)
    for name, size, about in rows:
        line = f"    {name:<{wide}} {size:>6}  {about}".rstrip()
        yield paint(line, BAD) if name == "too much" else line


def _parts(taker: Taker) -> str:
    known = [("weights", taker.weights, WEIGHTS), ("cache", taker.cache, CACHE), ("rest", taker.rest, REST)]
    if taker.weights is None or taker.cache is None:
        return FOREIGN if taker.foreign else WHOLE
    said = " ".join(f"{mark} {name} {_gib(bytes_)}" for name, bytes_, mark in known if bytes_ is not None)
    return f"{said} (logged)" if taker.learned else said


def _bar(load: Load) -> str:
    """Return a bar whose length is the memory of the GPU; what is above it is cut off."""
    parts = [part for taker in load.takers for part in _segments(taker)]
    ends, total = [], 0
    for bytes_, _ in parts:
        total += bytes_
        ends.append(total)
    cells, at = "", 0
    for (_, mark), end in zip(parts, ends, strict=True):
        until = min(max(round(end / max(load.memory, 1) * CELLS), at + 1), CELLS)
        cells += mark * (until - at)
        at = until
    return cells + FREE * (CELLS - len(cells))


def _segments(taker: Taker) -> list[tuple[int, str]]:
    if taker.weights is None or taker.cache is None:
        return [(taker.bytes, FOREIGN if taker.foreign else WHOLE)]
    found = [(taker.weights, WEIGHTS), (taker.cache, CACHE), (taker.rest or 0, REST)]
    return [(bytes_, mark) for bytes_, mark in found if bytes_ > 0]


def _consequence(forecasts: Sequence[Forecast], again: bool) -> str:
    """Return what the start of one service means: how long it takes, and what it has room for."""
    first = forecasts[0]
    seconds = [each.seconds for each in forecasts if each.seconds is not None]
    words = ["restart" if again else "start"]
    if seconds:
        slowest = max(seconds)
        last = f"last time {'up to ' if len(set(seconds)) > 1 else ''}{human_seconds(round(slowest))}"
        words.append(f"about {human_seconds(ceil(slowest / STEP) * STEP)} ({last})")
    if again and first.drain:
        words.append(f"drains up to {human_seconds(first.drain)}")
    said = f"{first.service}: {', '.join(words)}"
    if first.verdict == "does_not_fit":
        return f"{said}; {paint('cannot run', BAD)}"
    smallest = min(forecasts, key=lambda each: each.tokens or 0)
    if smallest.tokens:
        said += f"; {_short(smallest.tokens)} KV tokens"
        if smallest.sequences and smallest.length:
            said += f" = {count(floor(smallest.sequences), 'sequence')} of {smallest.length:,}"
    return f"{said}; {paint('may not fit', OLD)}" if first.verdict == "uncertain" else said


def _short(number: int) -> str:
    if number >= 1_000_000:
        return f"{number / 1_000_000:.2f}M"
    return f"{number / 1000:.0f}k" if number >= 10_000 else f"{number:,}"


def _gib(bytes_: int) -> str:
    return f"{bytes_ / GIB:.1f}"
