"""How an argument vector divides into flags with their values, as vLLM's parser divides it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from provision.engines.vllm import releases

_NUMBER = re.compile(r"-\d+(\.\d+)?|-\.\d+")
_LETTER = re.compile(r"(-[a-zA-Z])([^-=.].*)")


@dataclass
class Use:
    """A flag as it is used.

    Args:
        index: of the flag in the vector.
        name: as it is written, without a value.
        values: what follows, each with its index; of `--flag=value` the first has the index of the flag.
        attached: whether the first value is written in one with the flag.
    """

    index: int
    name: str
    values: list[tuple[int, str]] = field(default_factory=list)
    attached: bool = False

    @property
    def flag(self) -> str:
        """The long flag that vLLM reads."""
        return canonical(self.name)

    @property
    def keyed(self) -> bool:
        """Whether it sets one key of a JSON flag: `--x.key value`."""
        return "." in self.name


def is_value(argument: str) -> bool:
    """Say whether argparse takes `argument` for a value: no dash in front, or a negative number."""
    return not argument.startswith("-") or argument == "-" or _NUMBER.fullmatch(argument) is not None


def canonical(name: str) -> str:
    """Return the long flag that vLLM reads: underscores become dashes, `.key` of a JSON flag is cut off,
    short flags become long.
    """
    if not name.startswith("--"):
        short = name.partition(".")[0]
        return releases.short().get(short, name)
    return name.partition(".")[0].replace("_", "-")


def read(
    arguments: Sequence[str], wants: Callable[[Use], bool] = lambda use: False
) -> tuple[list[int], list[Use]]:
    """Return the indices of values that follow no flag, and the flags with their values.

    Args:
        arguments: the vector.
        wants: whether a flag still wants a value; it then also takes one with a dash and spaces in it.
    """
    stray: list[int] = []
    uses: list[Use] = []
    for index, argument in enumerate(arguments):
        spaced = " " in argument and "=" not in argument
        if is_value(argument) or (spaced and uses and wants(uses[-1])):
            if uses:
                uses[-1].values.append((index, argument))
            else:
                stray.append(index)
            continue
        name, values = _divided(argument)
        uses.append(Use(index, name, [(index, value) for value in values], bool(values)))
    return stray, uses


def _divided(argument: str) -> tuple[str, list[str]]:
    """Return a flag and the value that is written in one with it: `--x=1`, `-O3`, `-n4`."""
    if argument.startswith("-O") and len(argument) > 2 and argument[2] != ".":
        return "-O", [argument[2:].removeprefix("=")]
    name, equals, value = argument.partition("=")
    if equals:
        return name, [value]
    letter = _LETTER.fullmatch(argument)
    if letter and argument not in releases.short() and letter[1] in releases.short():
        return letter[1], [letter[2]]
    return argument, []
