"""Strict YAML with positions.

Plain values follow the core schema of YAML 1.2, as editors read it: `on`, `yes`, `12:30:00` and
`2026-01-01` are text, so the traps of YAML 1.1 do not exist here. A number with a leading zero (`0644`) is
text, too, because the two versions disagree on what it means. Merge keys (`<<`) and aliases work; repeated
keys, keys that are not text, application tags and several documents in one file do not.
"""

from __future__ import annotations

import gc
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from provision.config import inputs
from provision.config.problems import ConfigError, Position, Problem, failure, quoted

MAX_BYTES = 1_000_000
"""A larger file is refused: it is not a configuration."""

MAX_DEPTH = 64
"""Deepest nesting of lists and mappings."""

MAX_TEXT = 1_000_000
"""Longest text that a template may give, in characters."""

MAX_VALUES = 200_000
"""Most values a file may expand to, aliases followed."""

Part = str | int
"""One step into a document: a key or an index."""

_CORE = "tag:yaml.org,2002:"
_FORMS = {
    "null": (re.compile(r"(~|null|Null|NULL|)\Z"), ["~", "n", "N", ""]),
    "bool": (re.compile(r"(true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")),
    "int": (re.compile(r"([-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+)\Z"), list("-+0123456789")),
    "float": (
        re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z"),
        list("-+.0123456789"),
    ),
    "merge": (re.compile(r"<<\Z"), ["<"]),
}
"""How a value of each type is written without quotes, and with which characters it can begin."""

_CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")

_Loader: Any = type("Loader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {})
_Loader.yaml_implicit_resolvers = {}
for _name, (_form, _first) in _FORMS.items():
    _Loader.add_implicit_resolver(_CORE + _name, _form, _first)


class _Value(NamedTuple):
    """A value, and where it stands: lighter than a node of PyYAML, as documents are kept."""

    data: Any
    line: int
    column: int
    by_key: bool = False
    """Whether it is best found by its key: a block mapping or list, or nothing at all."""
    children: dict[str, tuple[_Value, _Value]] | list[_Value] | None = None
    """The items of a list; of a mapping, key and value by the text of the key."""
    values: int = 1
    """How many values it holds, itself included, aliases followed."""
    height: int = 1
    """How many levels it has, aliases followed."""


class Document:
    """A loaded file: its plain data, and where each part of it stands."""

    def __init__(self, path: str, root: _Value) -> None:
        self.path = path
        self.data = root.data
        self._root = root

    def where(self, loc: Sequence[Part] = (), key: bool = False) -> Position:
        """The place of the value at `loc`, or of its key; of the nearest part above when `loc` is not there.

        A block mapping or list is best found by its key, so its key is the place given for it.
        """
        return self._place(self._root, self._root, loc, key)

    def below(self, position: Position, loc: Sequence[Part]) -> Position:
        """The place of the value at `loc` below the value whose place `where` has given as `position`.

        That is `position` itself when nothing of `loc` is there.
        """
        waiting = [(self._root, self._root)]
        while waiting:
            place, value = waiting.pop()
            if (place.line, place.column) == (position.line, position.column):
                return self._place(place, value, loc)
            children = value.children or []
            if isinstance(children, dict):
                waiting += [(name if each.by_key else each, each) for name, each in children.values()]
            else:
                waiting += [(each, each) for each in children]
        return position

    def _place(self, place: _Value, value: _Value, loc: Sequence[Part], key: bool = False) -> Position:
        for part in loc:
            children = value.children
            if isinstance(children, dict) and part in children:
                name, value = children[str(part)]
                place = name if key or value.by_key else value
            elif isinstance(children, list) and isinstance(part, int) and part < len(children):
                place = value = children[part]
            else:
                break
        return Position(self.path, place.line, place.column)


def _position(path: str, mark: yaml.Mark | None) -> Position:
    return Position(path, mark.line + 1, mark.column + 1) if mark else Position(path, 1, 1)


def load(path: Path | str) -> Document:
    """Read one YAML file; raises `ConfigError` with every problem that can be seen in it."""
    return parse(read(path), str(path))


def parse(text: str, path: str) -> Document:
    """Like `load`, for a text that was read already; `path` is what messages call it."""
    # The garbage collector would look again and again for circles among the new nodes, which have none.
    collects = gc.isenabled()
    gc.disable()
    try:
        return _parse(text, path)
    finally:
        if collects:
            gc.enable()


def _parse(text: str, path: str) -> Document:
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_problem(error, text, path)]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        message = f"not valid YAML: {str(error).splitlines()[0]}"
        raise failure("yaml-syntax", message, Position(path, 1, 1)) from None
    if root is None:
        raise failure("empty-file", "the file is empty", Position(path, 1, 1))
    builder = _Builder(path)
    value = builder.build(root)
    if builder.problems:
        raise ConfigError(builder.problems)
    return Document(path, value)


def read(path: Path | str) -> str:
    """The text of a file that is small, regular, and UTF-8; raises `ConfigError` otherwise."""
    name = str(path)
    start = Position(name, 1, 1)
    try:
        file = Path(path)
        if file.is_dir():
            raise failure("unreadable-file", "this is a directory, a YAML file is expected", start)
        if file.exists() and not file.is_file():
            raise failure("unreadable-file", "this is not a regular file", start)
        data = inputs.content(file, MAX_BYTES)
    except FileNotFoundError:
        raise failure("missing-file", "there is no such file", start) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise failure("unreadable-file", f"cannot be read: {reason}", start) from None
    if len(data) > MAX_BYTES:
        raise failure("yaml-limit", "the file is larger than 1 MB; a configuration is smaller", start)
    return decode(data, name)


def decode(data: bytes, path: str) -> str:
    """Bytes as UTF-8 text without control characters; raises `ConfigError` at the first bad byte."""
    if b"\0" in data:
        raise failure("unreadable-file", "this is a binary file, not YAML", Position(path, 1, 1))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        message = f"the file is not UTF-8 text: byte 0x{data[error.start]:02x}"
        raise failure("unreadable-file", message, _end_of(before, path)) from None
    control = _CONTROL.search(text)
    if control:
        message = f"the control character {quoted(control.group())} is not allowed in YAML"
        raise failure("unreadable-file", message, _end_of(text[: control.start()], path))
    return text


def _end_of(text: str, path: str) -> Position:
    lines = re.split(r"\r\n|\r|\n", text)
    return Position(path, len(lines), len(lines[-1]) + 1)


# -- text to nodes -----------------------------------------------------------------------------------------


class _Told(NamedTuple):
    """What to say of an error of libyaml.

    Args:
        message: may hold `{word}` and `{character}`, which stand at the error.
        hint: the way out.
        opening: whether the error is where libyaml began to read something, not where it stopped.
        code: of the problem.
    """

    message: str
    hint: str | None = None
    opening: bool = False
    code: str = "yaml-syntax"


_SYNTAX = {
    "cannot start any token": _Told("a text cannot begin with `{character}`", "put it in quotes"),
    "mapping values are not allowed": _Told(
        "a `:` is not allowed here", "check the indentation, or put a text that holds `: ` in quotes"
    ),
    "quoted scalar found unexpected end": _Told("the quote that opens here is never closed", opening=True),
    "could not find expected ':'": _Told("a key without its `:`", "write `key: value`", opening=True),
    "did not find expected '-' indicator": _Told(
        "a list item must begin with `- ` here", "check the indentation"
    ),
    "did not find expected key": _Told(
        "a `key: value` is expected here", "check the indentation and the quotes"
    ),
    "did not find expected ',' or ']'": _Told("a `,` or `]` is expected here"),
    "did not find expected ',' or '}'": _Told("a `,` or `}}` is expected here"),
    "block sequence entries are not allowed": _Told(
        "a list cannot begin on this line", "begin it on a line of its own"
    ),
    "unknown escape character": _Told(
        "an unknown escape in a double-quoted text", "write `\\\\` for a backslash, or use single quotes"
    ),
    "did not find expected node content": _Told(
        "a value is expected here", "put a text with special characters in quotes"
    ),
    "found undefined alias": _Told(
        "the alias `{word}` has no anchor before it", "a text that begins with * must be quoted"
    ),
    "found duplicate anchor": _Told("the anchor `{word}` is defined twice", "give one of them another name"),
    "found another document": _Told(
        "the file holds more than one YAML document", "keep one, or put the other into a file of its own"
    ),
    "nesting depth": _Told(f"nested deeper than {MAX_DEPTH} levels", code="yaml-limit"),
}


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, path: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    rest = text[mark.index :] if mark else ""
    problem = error.problem or "it cannot be read"
    if "tab" in problem.split() or rest.startswith("\t"):
        told = _Told("a tab is used for indentation", "YAML allows only spaces there")
    else:
        whole = f"{error.context} {problem}"
        told = next(
            (told for part, told in _SYNTAX.items() if part in whole), _Told("not valid YAML: {problem}")
        )
    if told.opening:
        mark = error.context_mark or mark
    (word,) = re.findall(r"\A[^\s,\[\]{}]*", rest)
    message = told.message.format(word=word, character=rest[:1], problem=problem)
    return Problem(told.code, _position(path, mark), message, told.hint)


# -- nodes to data -----------------------------------------------------------------------------------------


class _Builder:
    """Turns nodes into plain data, gathering problems instead of stopping at the first.

    A tree that is too deep, that is too large or that contains itself ends it with a `ConfigError`.
    """

    def __init__(self, path: str) -> None:
        self.problems: list[Problem] = []
        self._path = path
        self._built: dict[yaml.Node, _Value] = {}
        self._open: set[yaml.Node] = set()

    def build(self, node: yaml.Node, depth: int = 1) -> _Value:
        built = self._built.get(node)
        if depth + (built.height if built else 1) > MAX_DEPTH + 1:
            raise self._failure("yaml-limit", node, f"nested deeper than {MAX_DEPTH} levels")
        if built is not None:
            return built
        mark = node.start_mark
        if isinstance(node, yaml.ScalarNode):
            data = self._scalar(node)
            return _Value(data, mark.line + 1, mark.column + 1, data is None and not node.value)
        if node in self._open:
            raise self._failure("yaml-syntax", node, "the value contains an alias of itself")
        self._open.add(node)
        children: dict[str, tuple[_Value, _Value]] | list[_Value]
        if isinstance(node, yaml.SequenceNode):
            children = inside = [self.build(item, depth + 1) for item in node.value]
            data = [child.data for child in children]
            values = 1
        else:
            inside = [self.build(value, depth + 1) for _, value in node.value]
            children = self._mapping(node, inside)
            data = {name: value.data for name, (_, value) in children.items()}
            values = 1 + len(inside)
        if node.tag not in (_CORE + "seq", _CORE + "map"):
            self._unknown_tag(node)
        height = 1
        for child in inside:
            values += child.values
            height = max(height, child.height + 1)
        if values > MAX_VALUES:
            message = f"expands to more than {MAX_VALUES} values"
            raise self._failure("yaml-limit", node, message, "use fewer aliases")
        by_key = isinstance(node, yaml.CollectionNode) and not node.flow_style
        built = _Value(data, mark.line + 1, mark.column + 1, by_key, children, values, height)
        self._built[node] = built
        return built

    def _mapping(self, node: yaml.Node, values: list[_Value]) -> dict[str, tuple[_Value, _Value]]:
        """Return the keys and values of a mapping: its own first, then what merge keys add."""
        children: dict[str, tuple[_Value, _Value]] = {}
        merged: list[yaml.Node] = []
        for (key, node_of_value), value in zip(node.value, values, strict=True):
            if key.tag == _CORE + "merge":
                is_list = isinstance(node_of_value, yaml.SequenceNode)
                merged += node_of_value.value if is_list else [node_of_value]
                continue
            name = self._key(key)
            if name in children:
                first = children[name][0].line
                message = f"the key `{name}` is given twice"
                self._problem("duplicate-key", key, message, f"it was first given on line {first}")
            elif name is not None:
                mark = key.start_mark
                children[name] = _Value(name, mark.line + 1, mark.column + 1), value
        for source in merged:
            if isinstance(source, yaml.MappingNode):
                more = self._built[source].children
                assert isinstance(more, dict)
                children |= {name: pair for name, pair in more.items() if name not in children}
            else:
                hint = "give it an alias of a mapping, `<<: *name`"
                self._problem("yaml-syntax", source, "`<<` merges mappings only", hint)
        return children

    def _key(self, key: yaml.Node) -> str | None:
        if not isinstance(key, yaml.ScalarNode):
            is_map = isinstance(key, yaml.MappingNode)
            hint = 'a text that begins with `{{` must be quoted: "{{ name }}"' if is_map else None
            self._problem("wrong-type", key, "a key must be text, not a list or a mapping", hint)
            return None
        value = self._scalar(key)
        if isinstance(value, str):
            return value
        self._problem("wrong-type", key, f"the key {quoted(key.value)} is not text", "put it in quotes")
        return None

    def _scalar(self, node: yaml.Node) -> Any:
        text, kind = node.value, node.tag.removeprefix(_CORE)
        if kind in ("str", "merge"):
            return text
        if kind not in _FORMS:
            return self._unknown_tag(node)
        if not _FORMS[kind][0].match(text):
            return self._problem(
                "yaml-syntax", node, f"{quoted(text)} is not a value of the YAML type `{kind}`"
            )
        if kind == "null":
            return None
        if kind == "bool":
            return text[0] in "tT"
        value = math.inf if len(text) > 40 else float(text) if kind == "float" else _integer(text)
        if abs(value) > 1e300:
            message = f"the number {quoted(text, 20)} is too large"
            return self._problem("yaml-limit", node, message, "put it in quotes if it is a text")
        return value

    def _unknown_tag(self, node: yaml.Node) -> None:
        tag = node.tag
        shown = "!!" + tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag
        hint = "a text that begins with ! must be quoted"
        self._problem("yaml-syntax", node, f"the YAML tag {quoted(shown)} is not supported", hint)

    def _problem(self, code: str, node: yaml.Node, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(code, _position(self._path, node.start_mark), message, hint))

    def _failure(self, code: str, node: yaml.Node, message: str, hint: str | None = None) -> ConfigError:
        return failure(code, message, _position(self._path, node.start_mark), hint)


def _integer(text: str) -> int:
    return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
