"""Strict YAML with positions.

Plain values follow the core schema of YAML 1.2, as editors read it: `on`, `yes`, `12:30:00` and
`2026-01-01` are text, so the traps of YAML 1.1 do not exist here. A number with a leading zero (`0644`) is
text, too, because the two versions disagree on what it means. Merge keys (`<<`) and aliases work; repeated
keys, keys that are not text, application tags and several documents in one file do not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CORE = "tag:yaml.org,2002:"
_MERGE = "<<"


@dataclass(slots=True, eq=False)
class _Node:
    """A value as written: where it starts, how many values it holds (itself included), and how deep."""

    line: int
    column: int
    flow: bool = False
    values: int = 1
    height: int = 1

    def hold(self, *children: _Node) -> None:
        for child in children:
            self.values += child.values
            self.height = max(self.height, child.height + 1)


@dataclass(slots=True, eq=False)
class _Scalar(_Node):
    text: str = ""
    plain: bool = True
    tag: str | None = None


@dataclass(slots=True, eq=False)
class _List(_Node):
    items: list[_Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Map(_Node):
    pairs: list[tuple[_Node, _Node]] = field(default_factory=list)
    keys: dict[str, tuple[_Node, _Node]] = field(default_factory=dict)


class Document:
    """A loaded file: its plain data, and where each part of it stands."""

    def __init__(self, path: str, data: Any, root: _Node) -> None:
        self.path = path
        self.data = data
        self._root = root

    def where(self, loc: Sequence[Part] = (), *, key: bool = False) -> Position:
        """The place of the value at `loc`, or of its key; of the nearest part above when `loc` is not there.

        A block mapping or list is best found by its key, so its key is the place given for it.
        """
        node, place = self._root, self._root
        for part in loc:
            if isinstance(node, _Map) and isinstance(part, str) and part in node.keys:
                name, node = node.keys[part]
                by_key = key or (not isinstance(node, _Scalar) and not node.flow) or _is_empty(node)
                place = name if by_key else node
            elif isinstance(node, _List) and isinstance(part, int) and 0 <= part < len(node.items):
                node = place = node.items[part]
            else:
                break
        return Position(self.path, place.line, place.column)


def _is_empty(node: _Node) -> bool:
    return isinstance(node, _Scalar) and node.plain and not node.text


def load(path: Path | str) -> Document:
    """Read one YAML file; raises `ConfigError` with every problem that can be seen in it."""
    return parse(read(path), str(path))


def parse(text: str, path: str) -> Document:
    """Like `load`, for a text that was read already; `path` is what messages call it."""
    problems: list[Problem] = []
    root = _compose(text, path)
    data = _Builder(path, problems).build(root)
    if problems:
        raise ConfigError(problems)
    return Document(path, data, root)


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


# -- events to nodes ---------------------------------------------------------------------------------------


def _compose(text: str, path: str) -> _Node:
    """The tree of a text. Composed here, as PyYAML's own composer follows any depth until the stack ends."""
    if not text.strip():
        raise failure("empty-file", "the file is empty", Position(path, 1, 1))
    try:
        root = _Composer(path, yaml.parse(text, Loader=_LOADER)).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        if mark is not None and "nesting depth" in str(error.problem):
            # libyaml reads ahead to its own limit, far beyond ours: ours is found in what comes before.
            return _compose(text[: mark.index], path)
        raise ConfigError([_syntax_problem(error, text, path)]) from None
    except (yaml.YAMLError, ValueError) as error:
        raise failure(
            "yaml-syntax", f"not valid YAML: {str(error).splitlines()[0]}", Position(path, 1, 1)
        ) from None
    if root is None:
        raise failure("empty-file", "the file is empty", Position(path, 1, 1))
    return root


class _Composer:
    def __init__(self, path: str, events: Iterator[yaml.Event]) -> None:
        self.path = path
        self.events = events
        self.anchors: dict[str, _Node] = {}
        self.open: set[str] = set()

    def document(self) -> _Node | None:
        root: _Node | None = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise failure(
                        "yaml-syntax",
                        "the file holds more than one YAML document",
                        self._position(event),
                        "keep one, or put the other into a file of its own",
                    )
                root = self._node(next(self.events), 1)
        return root

    def _position(self, event: yaml.Event) -> Position:
        mark = event.start_mark
        return Position(self.path, mark.line + 1, mark.column + 1) if mark else Position(self.path, 1, 1)

    def _node(self, event: yaml.Event, depth: int) -> _Node:
        position = self._position(event)
        if depth > MAX_DEPTH:
            raise failure("yaml-limit", f"nested deeper than {MAX_DEPTH} levels", position)
        anchor: str | None = event.anchor  # type: ignore[attr-defined]
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(anchor), position)
        if anchor is not None:
            self.open.add(anchor)
        node = self._content(event, position, depth)
        if node.values > MAX_VALUES:
            raise failure(
                "yaml-limit", f"expands to more than {MAX_VALUES} values", position, "use fewer aliases"
            )
        if node.height > MAX_DEPTH:
            raise failure("yaml-limit", f"nested deeper than {MAX_DEPTH} levels", position)
        if anchor is not None:
            self.open.discard(anchor)
            self.anchors[anchor] = node
        return node

    def _alias(self, anchor: str, position: Position) -> _Node:
        if anchor in self.open:
            raise failure(
                "yaml-syntax", f"the alias `*{anchor}` stands inside the value that it repeats", position
            )
        if anchor not in self.anchors:
            raise failure(
                "yaml-syntax",
                f"the alias `*{anchor}` has no anchor `&{anchor}` before it",
                position,
                "a text that begins with * must be quoted",
            )
        return self.anchors[anchor]

    def _content(self, event: yaml.Event, position: Position, depth: int) -> _Node:
        line, column = position.line, position.column
        if isinstance(event, yaml.ScalarEvent):
            plain = bool(event.implicit[0]) and event.style in (None, "")
            tag = event.tag if event.tag not in (None, "!") else None
            self._check_tag(tag, ("null", "bool", "int", "float", "str"), position)
            return _Scalar(line, column, text=event.value, plain=plain, tag=tag)
        if isinstance(event, yaml.SequenceStartEvent):
            self._check_tag(event.tag, ("seq",), position)
            sequence = _List(line, column, flow=bool(event.flow_style))
            for item in self._until(yaml.SequenceEndEvent):
                child = self._node(item, depth + 1)
                sequence.items.append(child)
                sequence.hold(child)
            return sequence
        assert isinstance(event, yaml.MappingStartEvent)
        self._check_tag(event.tag, ("map",), position)
        mapping = _Map(line, column, flow=bool(event.flow_style))
        for item in self._until(yaml.MappingEndEvent):
            key = self._node(item, depth + 1)
            value = self._node(next(self.events), depth + 1)
            mapping.pairs.append((key, value))
            mapping.hold(key, value)
        return mapping

    def _until(self, end: type[yaml.Event]) -> Iterator[yaml.Event]:
        for event in self.events:
            if isinstance(event, end):
                return
            yield event

    def _check_tag(self, tag: str | None, core: tuple[str, ...], position: Position) -> None:
        if tag is None or tag == "!" or tag in {_CORE + name for name in core}:
            return
        shown = "!!" + tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag
        raise failure(
            "yaml-syntax",
            f"the YAML tag {quoted(shown)} is not supported",
            position,
            "a text that begins with ! must be quoted",
        )


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, path: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    position = Position(path, line + 1, column + 1)
    lines = text.splitlines()
    rest = lines[line][column:] if line < len(lines) else ""
    problem = error.problem or "it cannot be read"
    if "tab" in problem.split() or rest.startswith("\t"):
        return Problem(
            "yaml-syntax", position, "a tab is used for indentation", "YAML allows only spaces there"
        )
    if "cannot start any token" in problem and rest:
        return Problem("yaml-syntax", position, f"a text cannot begin with `{rest[0]}`", "put it in quotes")
    if "mapping values are not allowed" in problem:
        return Problem(
            "yaml-syntax",
            position,
            "a `:` is not allowed here",
            "check the indentation, or put a text that holds `: ` in quotes",
        )
    if "unexpected end of stream" in problem and error.context and "quoted" in error.context:
        start = error.context_mark
        if start is not None:
            position = Position(path, start.line + 1, start.column + 1)
        return Problem("yaml-syntax", position, "the quote that opens here is never closed")
    if "could not find expected ':'" in problem and error.context_mark is not None:
        start = error.context_mark
        position = Position(path, start.line + 1, start.column + 1)
        return Problem("yaml-syntax", position, "a key without its `:`", "write `key: value`")
    for told, said in _SYNTAX.items():
        if told in problem:
            return Problem("yaml-syntax", position, *said)
    return Problem("yaml-syntax", position, f"not valid YAML: {problem}")


_SYNTAX: dict[str, tuple[str, str | None]] = {
    "did not find expected '-' indicator": ("a list item must begin with `- ` here", "check the indentation"),
    "did not find expected key": ("a `key: value` is expected here", "check the indentation and the quotes"),
    "did not find expected ',' or ']'": ("a `,` or `]` is expected here", None),
    "did not find expected ',' or '}'": ("a `,` or `}` is expected here", None),
    "block sequence entries are not allowed": (
        "a list cannot begin on this line",
        "begin it on a line of its own",
    ),
    "unknown escape character": (
        "an unknown escape in a double-quoted text",
        "write `\\\\` for a backslash, or use single quotes",
    ),
    "did not find expected node content": (
        "a value is expected here",
        "put a text with special characters in quotes",
    ),
}


# -- nodes to data -----------------------------------------------------------------------------------------


class _Builder:
    """Turns nodes into plain data, gathering problems instead of stopping at the first."""

    def __init__(self, path: str, problems: list[Problem]) -> None:
        self.path = path
        self.problems = problems
        self.built: dict[int, Any] = {}

    def build(self, node: _Node) -> Any:
        if isinstance(node, _Scalar):
            return self._scalar(node)
        if id(node) not in self.built:
            if isinstance(node, _List):
                self.built[id(node)] = [self.build(item) for item in node.items]
            else:
                assert isinstance(node, _Map)
                self._read_keys(node)
                self.built[id(node)] = {key: self.build(value) for key, (_, value) in node.keys.items()}
        return self.built[id(node)]

    def _problem(self, code: str, node: _Node, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(code, Position(self.path, node.line, node.column), message, hint))

    def _read_keys(self, node: _Map) -> None:
        """Fill `node.keys`: own keys first, then what merge keys add."""
        if node.keys:
            return
        merged: list[_Node] = []
        for key, value in node.pairs:
            if isinstance(key, _Scalar) and key.text == _MERGE and key.plain:
                merged += value.items if isinstance(value, _List) else [value]
                continue
            name = self._key(key)
            if name is None:
                continue
            if name in node.keys:
                first = node.keys[name][0]
                self._problem(
                    "duplicate-key",
                    key,
                    f"the key `{name}` is given twice",
                    f"it was first given on line {first.line}",
                )
                continue
            node.keys[name] = (key, value)
        for source in merged:
            if not isinstance(source, _Map):
                self._problem(
                    "yaml-syntax",
                    source,
                    "`<<` merges mappings only",
                    "give it an alias of a mapping, `<<: *name`",
                )
                continue
            self._read_keys(source)
            for name, pair in source.keys.items():
                node.keys.setdefault(name, pair)

    def _key(self, key: _Node) -> str | None:
        if not isinstance(key, _Scalar):
            hint = (
                'a text that begins with `{{` must be quoted: "{{ name }}"' if isinstance(key, _Map) else None
            )
            self._problem("wrong-type", key, "a key must be text, not a list or a mapping", hint)
            return None
        value = self._scalar(key)
        if isinstance(value, str):
            return value
        self._problem("wrong-type", key, f"the key {quoted(key.text)} is not text", "put it in quotes")
        return None

    def _scalar(self, node: _Scalar) -> Any:
        if node.tag is not None:
            return self._tagged(node, node.tag.removeprefix(_CORE))
        if not node.plain:
            return node.text
        text = node.text
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text[0] in "tT"
        if _INT.fullmatch(text):
            return self._number(node, _integer)
        if _FLOAT.fullmatch(text):
            return self._number(node, float)
        return text

    def _tagged(self, node: _Scalar, tag: str) -> Any:
        if tag == "str":
            return node.text
        expected = {"null": _NULL, "bool": _BOOL, "int": _INT, "float": _FLOAT}[tag]
        if not expected.fullmatch(node.text):
            self._problem("yaml-syntax", node, f"{quoted(node.text)} is not a value of the YAML type `{tag}`")
            return None
        if tag == "float":
            return self._number(node, float)
        return self._scalar(_Scalar(node.line, node.column, text=node.text))

    def _number(self, node: _Scalar, convert: Callable[[str], int | float]) -> Any:
        value = convert(node.text) if len(node.text) <= 40 else float("inf")
        if abs(value) > 1e300:
            self._problem(
                "yaml-limit",
                node,
                f"the number {quoted(node.text, 20)} is too large",
                "put it in quotes if it is a text",
            )
            return None
        return value


def _integer(text: str) -> int:
    if text[:2] in ("0x", "0o"):
        return int(text, 0)
    return int(text)
