# ruff: noqa: E501 (inputs and messages are easier to compare on one line)

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.config.documents import MAX_DEPTH, Document, load, parse
from provision.config.inventory import load_inventories
from provision.config.playbook import load_playbook
from provision.config.problems import ConfigError, Position


def errors(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.yml")
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0644", "0644"),
        ("644", 644),
        ("0", 0),
        ("-3", -3),
        ("0x1f", 31),
        ("0o17", 15),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1_000", "1_000"),
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("true", True),
        ("FALSE", False),
        ("22:22", "22:22"),
        ("2026-01-01", "2026-01-01"),
        (".inf", ".inf"),
        ("~", None),
        ("null", None),
        ("", None),
        ("'null'", "null"),
        ('"8002"', "8002"),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("!!float 5", 5.0),
        ("你好", "你好"),
    ],
)
def test_plain_values_follow_yaml_1_2(text: str, value: object) -> None:
    data = parse(f"a: {text}\n", "f.yml").data
    assert data == {"a": value}
    assert type(data["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1: the file is empty"),
        ("# only a comment\n", "1:1: the file is empty"),
        ("a: 1\n\tb: 2\n", "2:1: a tab is used for indentation; YAML allows only spaces there"),
        ("a:\n\tb: 2\n", "2:1: a tab is used for indentation; YAML allows only spaces there"),
        ("a: |\n\ttext\n", "2:1: a tab is used for indentation; YAML allows only spaces there"),
        ("a: 1\nb: 2\na: 3\n", "3:1: the key `a` is given twice; it was first given on line 1"),
        (
            "a: b: c\n",
            "1:5: a `:` is not allowed here; check the indentation, or put a text that holds `: ` in quotes",
        ),
        ("a: @x\n", "1:4: a text cannot begin with `@`; put it in quotes"),
        ("a: %x\n", "1:4: a text cannot begin with `%`; put it in quotes"),
        ("a: [1, 2\nb: 3\n", "2:2: a `,` or `]` is expected here"),
        ("a: 'x\nb: 2\n", "1:4: the quote that opens here is never closed"),
        ("a: 1\nb\n", "2:1: a key without its `:`; write `key: value`"),
        ("- a\nb: 1\n", "2:1: a list item must begin with `- ` here; check the indentation"),
        ("a: - b\n", "1:4: a list cannot begin on this line; begin it on a line of its own"),
        (
            'a: "\\q"\n',
            "1:5: an unknown escape in a double-quoted text; write `\\\\` for a backslash, or use single quotes",
        ),
        (
            "a: 1\n---\nb: 2\n",
            "2:1: the file holds more than one YAML document; keep one, or put the other into a file of its own",
        ),
        (
            "a: {{ port }}\n",
            "1:5: a key must be text, not a list or a mapping; "
            'a text that begins with `{{` must be quoted: "{{ name }}"',
        ),
        ("8080: a\n", "1:1: the key '8080' is not text; put it in quotes"),
        ("true: a\n", "1:1: the key 'true' is not text; put it in quotes"),
        ("? [a]\n: b\n", "1:3: a key must be text, not a list or a mapping"),
        (
            "a: !!python/object:os.system {}\n",
            "1:4: the YAML tag '!!python/object:os.system' is not supported; "
            "a text that begins with ! must be quoted",
        ),
        (
            "a: !vault x\n",
            "1:4: the YAML tag '!vault' is not supported; a text that begins with ! must be quoted",
        ),
        ("a: !!int x\n", "1:4: 'x' is not a value of the YAML type `int`"),
        (
            "a: *x\n",
            "1:4: the alias `*x` has no anchor before it; a text that begins with * must be quoted",
        ),
        ("a: &a [*a]\n", "1:4: the value contains an alias of itself"),
        ("a: &a 1\nb: &a 2\n", "2:4: the anchor `&a` is defined twice; give one of them another name"),
        ("a: 1e999\n", "1:4: the number '1e999' is too large; put it in quotes if it is a text"),
        (
            "a: " + "9" * 5000,
            "1:4: the number '99999999999999999999…' is too large; put it in quotes if it is a text",
        ),
        ("a:\n  <<: [1]\n", "2:8: `<<` merges mappings only; give it an alias of a mapping, `<<: *name`"),
        ("[" * 100 + "]" * 100, "1:65: nested deeper than 64 levels"),
        ("[" * 500_000, "1:1001: nested deeper than 64 levels"),
        ("- " * 200_000 + "a", "1:1999: nested deeper than 64 levels"),
        ("{a: " * 100_000, "1:4001: nested deeper than 64 levels"),
    ],
)
def test_each_mistake_has_one_clear_message(text: str, message: str) -> None:
    assert errors(text) == [f"f.yml:{message}"]


def test_all_problems_of_a_file_come_at_once() -> None:
    assert errors("a: 1\na: 2\n3: x\nb: {c: 1, c: 2}\n") == [
        "f.yml:2:1: the key `a` is given twice; it was first given on line 1",
        "f.yml:3:1: the key '3' is not text; put it in quotes",
        "f.yml:4:11: the key `c` is given twice; it was first given on line 4",
    ]


def test_an_alias_bomb_is_refused_before_it_is_built() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    (message,) = errors("\n".join(lines))
    assert message == "f.yml:6:5: expands to more than 200000 values; use fewer aliases"


def test_depth_counts_through_aliases() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 500)]
    (message,) = errors("\n".join(lines))
    assert message.endswith(f"nested deeper than {MAX_DEPTH} levels")


def test_merge_keys() -> None:
    document = parse("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\nz: {<<: [*x, {c: 4, a: 5}]}\n", "f.yml")
    assert list(document.data["y"].items()) == [("b", 3), ("a", 1)]
    assert document.data["z"] == {"a": 1, "b": 2, "c": 4}
    assert document.where(("y", "a")) == Position("f.yml", 1, 11)
    assert document.where(("y", "b")) == Position("f.yml", 4, 6)


@pytest.mark.parametrize(
    ("loc", "key", "line", "column"),
    [
        ((), False, 1, 1),
        ((0,), False, 1, 3),
        ((0, "hosts"), False, 1, 10),
        ((0, "hosts"), True, 1, 3),
        ((0, "services"), False, 2, 3),
        ((0, "services", "r1"), False, 3, 5),
        ((0, "services", "r1", "port"), False, 4, 13),
        ((0, "services", "r1", "port"), True, 4, 7),
        ((0, "services", "r1", "nothing"), False, 3, 5),
        ((0, "services", "r1", "gpus"), False, 5, 13),
        ((0, "services", "r1", "gpus", 1), False, 5, 17),
        ((0, "services", "r1", "gpus", 7), False, 5, 13),
        ((0, "services", "r1", "empty"), False, 6, 7),
        ((3, "x"), False, 1, 1),
    ],
)
def test_where(loc: tuple[str | int, ...], key: bool, line: int, column: int) -> None:
    text = "- hosts: gpu\n  services:\n    r1:\n      port: 1\n      gpus: [0, 1]\n      empty:\n"
    assert parse(text, "f.yml").where(loc, key=key) == Position("f.yml", line, column)


class TestFiles:
    def messages(self, path: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            load(path)
        (problem,) = caught.value.problems
        assert problem.position is not None
        return str(problem).removeprefix(str(path))

    def test_missing(self, tmp_path: Path) -> None:
        assert self.messages(tmp_path / "x.yml") == ":1:1: there is no such file"

    def test_directory(self, tmp_path: Path) -> None:
        assert self.messages(tmp_path) == ":1:1: this is a directory, a YAML file is expected"

    def test_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "x.yml")
        assert self.messages(tmp_path / "x.yml") == ":1:1: this is not a regular file"

    def test_large(self, tmp_path: Path) -> None:
        (tmp_path / "x.yml").write_bytes(b"a" * 10_000_000)
        expected = ":1:1: the file is larger than 1 MB; a configuration is smaller"
        assert self.messages(tmp_path / "x.yml") == expected

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"\x7fELF\x02\x00\x01", ":1:1: this is a binary file, not YAML"),
            (b"\xff\xfea\x00", ":1:1: this is a binary file, not YAML"),
            (b"a: 1\nb: caf\xe9\n", ":2:7: the file is not UTF-8 text: byte 0xe9"),
            (b"a: 1\r\nb: \x1b[0m\n", ":2:4: the control character '\\x1b' is not allowed in YAML"),
        ],
    )
    def test_not_text(self, tmp_path: Path, data: bytes, message: str) -> None:
        (tmp_path / "x.yml").write_bytes(data)
        assert self.messages(tmp_path / "x.yml") == message

    def test_byte_order_mark(self, tmp_path: Path) -> None:
        (tmp_path / "x.yml").write_bytes(b"\xef\xbb\xbfa: 1\n")
        assert load(tmp_path / "x.yml").data == {"a": 1}

    def test_a_name_that_no_system_allows(self) -> None:
        with pytest.raises(ConfigError):
            load("a\0b")


# -- properties --------------------------------------------------------------------------------------------

KEYS = st.text(alphabet="abcdefgh_-", min_size=1, max_size=6).filter(lambda key: not key.startswith("-"))
SCALARS = st.one_of(
    st.integers(-1000, 1000), st.booleans(), st.none(), st.text("abc xyz'\"#:{}%", max_size=8)
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4), st.dictionaries(KEYS, inner, min_size=1, max_size=4)
    ),
    max_leaves=15,
)


def _leaves(tree: Any, loc: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Any]]:
    if isinstance(tree, dict):
        return [leaf for key, value in tree.items() for leaf in _leaves(value, (*loc, key))]
    if isinstance(tree, list):
        return [leaf for index, value in enumerate(tree) for leaf in _leaves(value, (*loc, index))]
    return [(loc, tree)]


def _written(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)


def _block(tree: Any, indent: int = 0) -> str:
    """The tree in block style, scalars as JSON."""
    pad = " " * indent
    if isinstance(tree, dict):
        return "".join(
            f"{pad}{key}:"
            + (
                f"\n{_block(value, indent + 2)}"
                if isinstance(value, (dict, list))
                else f" {_written(value)}\n"
            )
            for key, value in tree.items()
        )
    return "".join(
        f"{pad}-"
        + (f"\n{_block(value, indent + 2)}" if isinstance(value, (dict, list)) else f" {_written(value)}\n")
        for value in tree
    )


@given(st.dictionaries(KEYS, TREES, min_size=1, max_size=5), st.booleans())
def test_what_is_written_is_loaded_and_found_where_it_stands(tree: dict[str, Any], block: bool) -> None:
    text = _block(tree) if block else _written(tree).replace(", ", ",\n  ")
    document: Document = parse(text, "f.yml")
    assert document.data == tree
    lines = text.split("\n")
    for loc, value in _leaves(tree):
        place = document.where(loc)
        assert lines[place.line - 1][place.column - 1 :].startswith(_written(value).split("\n")[0][:3])
    for key in tree:
        place = document.where((key,), key=True)
        assert lines[place.line - 1][place.column - 1 :].lstrip('"').startswith(key)


YAMLISH = st.lists(
    st.sampled_from(
        ["- ", "hosts: ", "all", "services:\n", "  ", "    ", "\n", "{{ x }}", "{{", "{", "}", "[", "]", "&a ", "*a", ": ",
         "<<: ", "kind: vllm", "'", '"', "|", ">", "!!int ", "? ", "#", "\t", "---\n", "...", "0644", "1e9", "x-y: ", "vars: ",
         "files: ", "/a: ", "checks: ", "~", "port: ", "%YAML 1.1\n", "\u2028", "é", "{% for %}", "environments: "]
    ),
    max_size=40,
).map(lambda parts: "".join(parts).encode())  # fmt: skip


def _one_line_each(error: ConfigError) -> None:
    assert error.problems
    assert all("\n" not in str(problem) for problem in error.problems)


@given(
    st.one_of(st.binary(max_size=200), YAMLISH, YAMLISH.map(lambda tail: b"- hosts: localhost\n  " + tail))
)
def test_any_bytes_are_a_playbook_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yml"
    path.write_bytes(data)
    inventory = load_inventories([], Path("/nonexistent"))
    for attempt in (lambda: load_inventories([path], Path()), lambda: load_playbook(path)):
        try:
            loaded = attempt()
        except ConfigError as error:
            _one_line_each(error)
            continue
        for raw in getattr(loaded, "plays", []):
            try:
                raw.for_host(inventory.host("localhost"))
            except ConfigError as error:
                _one_line_each(error)
