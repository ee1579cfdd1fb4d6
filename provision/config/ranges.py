"""Ranges in the names of hosts: `gpu-[01:40]`, `rack[a:c]`, `n[0:10:2]`."""

from __future__ import annotations

import re
from itertools import product

from provision.config.problems import ConfigError, failure

MOST = 10_000
"""Names that one range may stand for."""

_ANY = re.compile(r"\[([^\[\]]*:[^\[\]]*)\]")
_NUMBERS = re.compile(r"([0-9]+):([0-9]+)(?::([1-9][0-9]*))?")
_LETTERS = re.compile(r"(?:([a-z]):(?=[a-z])|([A-Z]):(?=[A-Z]))([A-Za-z])(?::([1-9][0-9]*))?")


def is_range(text: str) -> bool:
    """Whether a text holds a range; a glob such as `gpu-[0-9]` has no colon and is none."""
    return _ANY.search(text) is not None


def expand(text: str) -> list[str]:
    """The names that a text stands for, in order; itself when it holds no range.

    Both ends belong to it. A first number with leading zeros gives its width to all.

    Raises:
        ConfigError: a range is not in one of the known forms, runs backwards, or is too long.
    """
    parts = _ANY.split(text)
    # Every second part is the inside of a pair of brackets.
    choices = [_values(part) if index % 2 else [part] for index, part in enumerate(parts)]
    total = 1
    for values in choices:
        total *= len(values)
    if total > MOST:
        raise _refused(f"the range stands for {total} names, more than {MOST}", "write a shorter one")
    return ["".join(name) for name in product(*choices)]


def _values(inside: str) -> list[str]:
    numbers, letters = _NUMBERS.fullmatch(inside), _LETTERS.fullmatch(inside)
    if numbers is not None:
        first, last, step = numbers[1], numbers[2], int(numbers[3] or 1)
        padded = first.startswith("0") and len(first) > 1
        if padded and len(first) != len(last):
            raise _refused(
                f"the range [{inside}] begins and ends with numbers of different width",
                f"write [{first.zfill(len(last))}:{last.zfill(len(first))}]",
            )
        if int(last) - int(first) >= MOST * step:
            raise _refused(f"the range [{inside}] stands for more than {MOST} names", "write a shorter one")
        width = len(first) if padded else 0
        found = [str(number).zfill(width) for number in range(int(first), int(last) + 1, step)]
    elif letters is not None:
        first, last, step = letters[1] or letters[2], letters[3], int(letters[4] or 1)
        found = [chr(code) for code in range(ord(first), ord(last) + 1, step)]
    else:
        raise _refused(f"[{inside}] is not a range", "write [01:40], [a:f] or, with a step, [0:40:2]")
    if not found:
        raise _refused(f"the range [{inside}] ends before it begins", "write the smaller end first")
    return found


def _refused(message: str, hint: str) -> ConfigError:
    return failure("host-range", message, hint=hint)
