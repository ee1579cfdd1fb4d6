# ruff: noqa: E501 (a list of pieces)
"""Strings as an attacker writes them, thousands for each process that reads them.

Each string stands alone: the shortest one that does not come out is the one to report. So a plain generator
does, which is a hundred times as fast as one that shrinks.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

SIZE = int(os.environ.get("FUZZ", "900"))
"""Strings for each program that reads them (`make fuzz` sets more)."""

SEED = int(os.environ.get("FUZZ_SEED", "20261128"))

SPECIAL = [
    *"\"'\\$`%;#&|<>(){}[]*?!~=-+@:,. \t/^",
    *("$(id)", "${HOME}", "$HOME", "`id`", "%h", "%n", "%%", "$$", "\\n", "\\x41", "\\", '\\"', "'\\''", "--", "-rf", "..", "../"),
    *("&&", "||", "<<EOF", ">/x", "2>&1", "*/", "# ", "; ", "%[src]", "%[var(txn.key)]", "\\ ", "~/", "{a,b}", "[a-z]", "@!", "+/bin/sh"),
    *("EOF", "null", "yes", "-", "=", "\u00a0", "\u2028", "\u202e", "\ufeff", "\u200b", "ä", "你好", "🙂", "\u0301", "\x80", "\x85"),
]  # fmt: skip
"""What shells, systemd, HAProxy, option parsers and terminals treat as special."""

FORBIDDEN = [
    "\0",
    "\n",
    "\r",
    "\x1b",
    "\x07",
    "\x7f",
    "\v",
    "\f",
    "\ud800",
    "\r\n",
    "\ufdd0",
    "\ufffe",
    "\U0001ffff",
]
"""What can stand in no script, unit or env file."""


def strings(count: int, salt: object = "", among: list[str] = SPECIAL) -> Iterator[str]:
    """Yield strings: of special pieces, with plain characters between; the same ones for the same salt."""
    chance = random.Random(f"{SEED} {salt}")
    yield ""
    for _ in range(count - 1):
        yield "".join(
            chance.choice(among) if chance.random() < 0.7 else plain(chance)
            for _ in range(int(chance.expovariate(0.25)) + 1)
        )


def plain(chance: random.Random) -> str:
    """Return any character but those that are forbidden."""
    while True:
        point = chance.choice(
            (chance.randrange(0x20, 0x7F), chance.randrange(0x80, 0x3000), chance.randrange(0x110000))
        )
        none = 0xD800 <= point < 0xE000 or 0xFDD0 <= point < 0xFDF0 or point & 0xFFFE == 0xFFFE
        if not none and point >= 0x20 and point != 0x7F:
            return chr(point)


def spoiled(count: int, salt: object = "") -> Iterator[str]:
    """Yield strings that nothing may accept."""
    chance = random.Random(f"{SEED} spoiled {salt}")
    for given in strings(count, salt):
        place = chance.randrange(len(given) + 1)
        yield given[:place] + chance.choice(FORBIDDEN) + given[place:]


def same(given: list[str], seen: list[str]) -> None:
    """Fail with the shortest string that came out as another.

    Raises:
        AssertionError: not all came out as they went in.
    """
    wrong = sorted(
        ((before, after) for before, after in zip(given, seen, strict=False) if before != after),
        key=lambda pair: len(pair[0]),
    )
    assert not wrong, (
        f"FUZZ_SEED={SEED}: {len(wrong)} of {len(given)}; {wrong[0][0]!r} came out as {wrong[0][1]!r}"
    )
    assert len(seen) == len(given), f"FUZZ_SEED={SEED}: {len(given)} went in, {len(seen)} came out"


def batches(given: list[str], size: int) -> Iterator[list[str]]:
    """Yield them in parts."""
    for first in range(0, len(given), size):
        yield given[first : first + size]
