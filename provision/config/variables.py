"""Variables of a host: where each value comes from, and their rendered values.

Five levels, the later wins: inventory, group (child over parent), host, play, command line (`-e`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provision.config.circles import circles
from provision.config.documents import Document, Part, load, parse
from provision.config.problems import ConfigError, Position, Problem, Problems, found, quoted
from provision.config.templating import SURROGATE, compile_template, is_template

COMMAND_LINE = "-e"
ANSIBLE = "ansible_"
"""How the names of Ansible's settings begin: understood in its inventories, and refused in ours."""
RESERVED = frozenset({"host", "hosts", "groups"})
"""Names that templates always know: facts of the inventory, which cannot be set."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Loc = tuple[Part, ...]
Where = Callable[[Loc], Position | None]
Facts = Mapping[str, Callable[[], Any]]
"""What templates know without a variable, by name: worked out when it is asked for."""


@dataclass(frozen=True)
class Variable:
    """A value as written, and where it was set: `origin` is the level and the position, as text."""

    value: Any
    level: str
    document: Document | None = field(default=None, repr=False, compare=False)
    loc: Loc = field(default=(), repr=False, compare=False)
    source: Position | None = field(default=None, repr=False, compare=False)

    @property
    def position(self) -> Position | None:
        """Where the value stands, when it stands in a file."""
        return self.at(())

    def at(self, loc: Loc, key: bool = False) -> Position | None:
        """Where the part `loc` of the value stands, or its key."""
        return self.document.where(self.loc + loc, key=key) if self.document else self.source

    @property
    def origin(self) -> str:
        """The level and the position, such as "group gpu (inventories/lab.yml:7:12)"."""
        return f"{self.level} ({self.position})" if self.position else self.level


def read_variables(
    data: Any, level: str, document: Document, loc: Loc, problems: Problems
) -> dict[str, Variable]:
    """The variables of one `vars:` mapping; what is wrong with their names goes to `problems`."""
    if data is None:
        return {}
    if not isinstance(data, dict):
        message = f"`vars`: expected a mapping of keys to values, found {found(data)}"
        problems.add("wrong-type", document.where(loc), message)
        return {}
    variables = {}
    for name, value in data.items():
        place = document.where((*loc, name), key=True)
        problem = name_problem(name, place)
        if problem is None and name.startswith(ANSIBLE) and level != COMMAND_LINE:
            from provision.config.ansible import own_key

            problem = own_key(name, place)
        if problem is not None:
            problems.append(problem)
        else:
            variables[name] = Variable(value, level, document, (*loc, name))
    return variables


def name_problem(name: str, position: Position | None) -> Problem | None:
    """What is wrong with a variable's name, if anything."""
    if not _NAME.fullmatch(name):
        return Problem(
            "variable-name",
            position,
            f"{quoted(name)} is not a variable name",
            "use letters, digits and _, beginning with a letter",
        )
    if name in RESERVED:
        return Problem(
            "variable-name", position, f"the variable name `{name}` is taken: it holds facts of the inventory"
        )
    return None


def parse_extra(assignments: Iterable[str]) -> dict[str, Any]:
    """The values of `-e name=value` and `-e @file.yml` options; raises `ConfigError`.

    A value is read as YAML, so that `port=8003` is a number; what is not YAML is taken as text.
    """
    values: dict[str, Any] = {}
    problems = Problems()
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if assignment.startswith("@"):
            with problems.gathered():
                document = load(Path(assignment[1:]))
                read = read_variables(document.data, COMMAND_LINE, document, (), problems)
                values.update({name: variable.value for name, variable in read.items()})
        elif SURROGATE.search(assignment):
            problems.add("wrong-usage", None, f"-e {quoted(name)}: the value is not UTF-8 text")
        elif not equals:
            message = f"-e {quoted(assignment)} is not an assignment"
            problems.add("wrong-usage", None, message, "write -e name=value or -e @file.yml")
        elif (problem := name_problem(name, None)) is not None:
            problems.append(problem)
        else:
            values[name] = _value(text)
    problems.raise_any()
    return values


def _value(text: str) -> Any:
    try:
        value = parse(text, COMMAND_LINE).data
    except ConfigError:
        return text
    return value if not isinstance(value, dict) or text.lstrip().startswith("{") else text


class Scope(Mapping[str, Any]):
    """The variables that apply at one place, each rendered when it is first asked for.

    Looking one up raises `ConfigError` when it cannot be rendered or refers to itself.
    """

    def __init__(self, variables: Mapping[str, Variable], facts: Facts) -> None:
        self.variables = variables
        self._facts = facts
        self._rendered: dict[str, Any] = {}
        self._open: list[str] = []

    def __getitem__(self, name: str) -> Any:
        if name in self._rendered:
            return self._rendered[name]
        if name not in self.variables:
            return self._facts[name]()
        variable = self.variables[name]
        if name in self._open:
            chain = [*self._open[self._open.index(name) :], name]
            raise ConfigError([self._circular(chain)])
        self._open.append(name)
        try:
            rendering = Rendering(self, variable.at)
            value = rendering.render(variable.value)
        finally:
            self._open.pop()
        rendering.problems.raise_any()
        self._rendered[name] = value
        return value

    def __contains__(self, name: object) -> bool:
        return name in self.variables or name in self._facts

    def __iter__(self) -> Iterator[str]:
        yield from self.variables
        yield from (name for name in self._facts if name not in self.variables)

    def __len__(self) -> int:
        return len(set(self.variables) | set(self._facts))

    def circles(self) -> list[Problem]:
        """A problem for each circle of variables that refer to each other, or to themselves."""
        found = ((name, names_in(variable.value)) for name, variable in self.variables.items())
        return [self._circular(chain) for chain in circles({name: used for name, used in found if used})]

    def _circular(self, chain: list[str]) -> Problem:
        message = f"the variables {' → '.join(chain)} form a circle"
        return Problem("circular-reference", self.variables[chain[0]].position, message)


def names_in(value: Any) -> frozenset[str]:
    """The variables that the strings of a value use; strings that do not parse use none."""
    if isinstance(value, str):
        if not is_template(value):
            return frozenset()
        try:
            return compile_template(value).names
        except ConfigError:
            return frozenset()
    if isinstance(value, dict):
        return frozenset().union(*map(names_in, value), *map(names_in, value.values()))
    if isinstance(value, list):
        return frozenset().union(*map(names_in, value))
    return frozenset()


class Rendering:
    """One walk over plain data that renders its strings and keys, gathering problems with their positions."""

    def __init__(self, scope: Mapping[str, Any], where: Where, static: frozenset[int] = frozenset()) -> None:
        self.problems = Problems()
        self.failed: set[Loc] = set()
        """Where nothing could be rendered; the value there is None."""
        self.renamed: dict[Loc, str] = {}
        """The key as written, for each rendered key."""
        self._scope = scope
        self._where = where
        self._static = static

    def render(self, data: Any) -> Any:
        """The rendered copy of `data`; parts without templates are shared with it."""
        return self._render(data, (), ())

    def _render(self, data: Any, loc: Loc, written: Loc) -> Any:
        if isinstance(data, str):
            return self._text(data, loc, written) if is_template(data) else data
        if id(data) in self._static:
            return data
        if isinstance(data, list):
            return [self._render(item, (*loc, index), (*written, index)) for index, item in enumerate(data)]
        if isinstance(data, dict):
            return self._mapping(data, loc, written)
        return data

    def _mapping(self, data: dict[str, Any], loc: Loc, written: Loc) -> dict[str, Any]:
        rendered: dict[str, Any] = {}
        for key, value in data.items():
            name = self._text(key, loc, (*written, key)) if is_template(key) else key
            if name is None and loc in self.failed:
                continue
            name = str(name)
            if name in rendered:
                message = f"the key `{name}` is given twice"
                self.problems.add("duplicate-key", self._where((*written, key)), message)
                continue
            if name != key:
                self.renamed[(*loc, name)] = key
            rendered[name] = self._render(value, (*loc, name), (*written, key))
        return rendered

    def _text(self, text: str, loc: Loc, written: Loc) -> Any:
        try:
            return compile_template(text).render(self._scope)
        except ConfigError as error:
            self.problems += error.at(self._where(written)).problems
        self.failed.add(loc)
        return None


def static_parts(data: Any) -> frozenset[int]:
    """The identities of the lists and mappings in `data` that hold nothing to render."""
    parts: set[int] = set()
    _find_static(data, parts)
    return frozenset(parts)


def _find_static(data: Any, parts: set[int]) -> bool:
    if isinstance(data, str):
        return not is_template(data)
    if id(data) in parts:
        return True
    if isinstance(data, list):
        children = [_find_static(item, parts) for item in data]
    elif isinstance(data, dict):
        children = [_find_static(value, parts) and not is_template(key) for key, value in data.items()]
    else:
        return True
    static = all(children)
    if static:
        parts.add(id(data))
    return static
