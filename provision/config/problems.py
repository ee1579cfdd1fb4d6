"""What is wrong with an input, and where: a wrong input ends as one `ConfigError` with all its problems."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from provision.dataclass import dataclass
from provision.wire.finding import Finding

_CONTROL = r"[\x00-\x1f\x7f-\x9f\u2028\u2029]"


def is_one_line(text: str) -> bool:
    """Whether a text has only characters that a single line can hold."""
    # Compiled at its first use: a run that remembers what it has compiled needs it for nothing.
    return not re.search(_CONTROL, text)


class Position(NamedTuple):
    """A place in a file; lines and columns count from 1, columns in characters."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"

    @classmethod
    def parse(cls, text: str | None) -> Position | None:
        """Return the place that `file:line:column` names; None for any other text."""
        path, *numbers = (text or "").rsplit(":", 2)
        if len(numbers) != 2 or not all(number.isascii() and number.isdigit() for number in numbers):
            return None
        line, column = map(int, numbers)
        return cls(path, line, column)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: its code (see `provision explain`), where, what, and the way out if known."""

    code: str
    position: Position | None
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        where = f"{self.position}: " if self.position else ""
        hint = f"; {self.hint}" if self.hint else ""
        return where + "".join(_visible(character) for character in f"{self.message}{hint}")

    @classmethod
    def of(cls, finding: Finding) -> Problem:
        """Return a finding as a problem."""
        position = Position.parse(finding.where)
        return cls(finding.code, position, finding.message, finding.hint)

    def at(self, position: Position | None) -> Problem:
        """Return it with this position, unless it has one."""
        return self if self.position else replace(self, position=position)

    def finding(self) -> Finding:
        """Return it as a finding."""
        where = str(self.position) if self.position else None
        return Finding(code=self.code, message=self.message, hint=self.hint, where=where)


class ConfigError(Exception):
    """The input cannot be used. `problems` holds every problem found, sorted by position, without repeats."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: list[Problem] = sorted(dict.fromkeys(problems), key=_order)
        super().__init__(self.problems)

    def at(self, position: Position | None) -> ConfigError:
        """Return it with this position for the problems that have none."""
        return ConfigError(problem.at(position) for problem in self.problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


def _order(problem: Problem) -> tuple[bool, Position, str]:
    return problem.position is not None, problem.position or Position("", 0, 0), problem.message


def failure(
    code: str, message: str, position: Position | None = None, hint: str | None = None
) -> ConfigError:
    """A `ConfigError` of a single problem."""
    return ConfigError([Problem(code, position, message, hint)])


class Problems(list[Problem]):
    """What is wrong, gathered while the rest is still read."""

    def add(self, code: str, position: Position | None, message: str, hint: str | None = None) -> None:
        """Add one problem."""
        self.append(Problem(code, position, message, hint))

    @contextmanager
    def gathered(self, position: Position | None = None) -> Iterator[None]:
        """Add what a `ConfigError` in the block tells; `position` is for problems that have none."""
        try:
            yield
        except ConfigError as error:
            self += error.at(position).problems

    def raise_any(self) -> None:
        """Raise a `ConfigError` when there is any problem."""
        if self:
            raise ConfigError(self)


def unrepeated(findings: Iterable[Finding]) -> list[Finding]:
    """Findings without repeats, in their order."""
    kept: list[Finding] = []
    kept += (finding for finding in findings if finding not in kept)
    return kept


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, or None."""
    words = list(known)
    folded = {_fold(candidate): candidate for candidate in words}
    if _fold(word) in folded:
        return folded[_fold(word)]
    # Here, as only those who have mistyped something need it.
    import difflib

    matches = difflib.get_close_matches(word, words, n=1, cutoff=0.65)
    return matches[0] if matches else None


def _fold(word: str) -> str:
    return word.casefold().replace("-", "_")


def did_you_mean(word: str, known: Iterable[str], what: str = "known") -> str | None:
    """A hint naming the closest known word, or else the known words when they are few."""
    words = sorted(set(known))
    near = closest(word, words)
    if near is not None:
        return f"did you mean `{near}`?"
    if words and len(words) <= 16:
        return f"{what}: {', '.join(words)}"
    return None


def quoted(text: str, limit: int = 60) -> str:
    """A text as shown inside a message: on one line, in single quotes, cut when long."""
    shown = text if len(text) <= limit else text[:limit] + "…"
    safe = "".join(_visible(character) for character in shown)
    return f"'{safe}'"


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] == "C" or category in ("Zl", "Zp"):
        return character.encode("unicode_escape", "backslashreplace").decode()
    return character


def found(value: object) -> str:
    """What a value is, in a reader's words: "text 'abc'", "the number 3", "a list"."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"text {quoted(value)}"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f"a {type(value).__name__}"
