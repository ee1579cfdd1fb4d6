"""From the text of YAML to the request: whatever stands there is used, or refused in words at its place."""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provision.catalog.render import render_tree
from provision.catalog.text import NotKeptError
from provision.config.model import Model
from provision.config.problems import ConfigError
from provision.connect import connection_to
from provision.project.load import load
from provision.project.project import Selection
from provision.project.saved import fingerprint
from provision.rollout.keyring import Keyring, foresee
from provision.rollout.request import build
from provision.wire.requests import Inspect

ROOT = Path(__file__).resolve().parents[3]
INVENTORY = {
    "hosts": {
        "h1": {"address": "192.0.2.1", "user": "root"},
        "h2": {"address": "192.0.2.5", "user": "root"},
        "h3": {"address": "192.0.2.6", "user": "root"},
        "gpu-1": {"address": "192.0.2.2", "user": "root"},
        "gpu-2": {"address": "192.0.2.3", "user": "root"},
        "front": {"address": "192.0.2.4", "user": "root"},
        "node1": {"address": "192.0.2.7", "user": "root"},
        "node2": {"address": "192.0.2.8", "user": "root"},
        "localhost": {"prefix": "/srv/p"},
        "inside": {"connection": "container", "container": "c", "on": "h1"},
    },
    "groups": {"gpu": {"hosts": ["h1"]}, "asr": {"hosts": ["h1"]}, "models": {"hosts": ["h1"]}},
    "vars": {"hub": "http://192.0.2.9:8440"},
}


def _seeds() -> Iterator[tuple[Any, Any]]:
    """Yield inventories and playbooks that are valid: those that are shipped, and those of the pages."""
    for path in sorted([*ROOT.glob("playbooks/*.yml"), *ROOT.glob("tests/lab/playbooks/*.yml")]):
        yield INVENTORY, yaml.safe_load(path.read_text())
    for path in sorted(ROOT.glob("inventories/*.yml")):
        yield yaml.safe_load(path.read_text()), [{"hosts": "all", "packages": ["git"]}]
    for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]):
        for text in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
            data = yaml.safe_load(text)
            if isinstance(data, dict) and isinstance(data.get("hosts"), dict):
                yield data, [{"hosts": "all", "files": {"/srv/x": {"content": "{{ host.name }}"}}}]
            else:
                yield INVENTORY, data if isinstance(data, list) else [{"hosts": "gpu", **data}]


SEEDS = list(_seeds())


def _fields(kind: type[Model]) -> set[str]:
    own = {field.alias or name for name, field in kind.model_fields.items()}
    return own.union(*map(_fields, kind.__subclasses__()))


KEYS = [*sorted(_fields(Model)), "<<", "x-mine", "", "a b", "é", "{{ host.name }}", "ansible_port"]

SCALARS = r"""
~ | true | 0 | -1 | 65536 | 99999999999999999999 | 1e308 | 1.5 | -0.0 | 1e400 | 0x10 | 0o17 | 0644
2026-01-01 | 12:30:00 | .nan | .inf | '' | ' ' | "\0" | "\x01" | "a\nb" | "\t" | "\u2028"
"\U0001F600" | "\x7f" | "\e[0m" | "\uFEFF" | é | 日本語 | '*' | '&' | '%' | '$HOME' | '`' | '\' | '"'
'~' | '~nobody9/x' | / | // | /.. | '/a/../b' | .. | . | -x | -- | a=b | '::1' | '[::1]'
'http://[' | http://a:b@c/ | 'https://x:99999/' | file:// | [] | {} | [[]] | [{}] | [~] | [1]
{a: {}} | {a: ~} | {'': ''} | {1: 2} | {env: X} | {env: 1} | {env: BYTES} | {env: LINES}
{file: ''} | {file: /} | {file: no.bin} | {file: '~nobody9/x'} | {command: []}
{command: [no-such-program]} | {model: mine} | {model: ~} | ? | > | '{{ hub }}' | '{{ nope }}'
'{{ 1 / 0 }}' | '{{ [1] }}' | '{{ {1: 2} }}' | '{{ {1: 2} | tojson }}' | '{{ none }}'
'{{ 10 ** 60 }}' | '{{ host }}' | '{{ hosts }}' | '{{ groups }}' | '{{ "nan" | float }}'
'{{ "inf" | float }}' | '{{ ("9" * 5000) | int }}' | '{{ "\ud800" }}' | '{{ "\x00" }}'
'{{ "a\nb" }}' | '{{ range(3) }}' | '{{ dict(a=1) }}' | '{% if %}' | '{{' | '{#' | '{{ x
nofilter }}' | '{{ self }}' | '{{ "".__class__ }}' | '{{ x() }}' | '{{ "%d" % "x" }}'
'{{ "a" * 2000000 }}' | !!str | !!int | !!binary | !x | &a | *a | !!set | all | localhost | '!gpu'
'[' | script | 90s | 1e9d | 9e99 | 999999999h | 16g | 1e999TiB | '80:80' | '/a:/b' | vllm
"""
"""What may stand at any place, as text of YAML."""

BYTES = [
    b"\t",
    b"\xef\xbb\xbf",
    b"\0",
    b"\x85",
    b"\xff",
    b"\xc2\x80",
    b"\r",
    b"---\n",
    b"...\n",
    b": ",
    b"- ",
]
BYTES += [
    b"? ",
    b"{",
    b"}",
    b"[",
    b'"',
    b"'",
    b"#",
    b"&a ",
    b"*a",
    b"%",
    b"@",
    b"<<: *a\n",
    b"\xed\xa0\x80",
    b"{{",
]


def _places(data: Any, loc: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield loc
    for key, value in (
        data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    ):
        yield from _places(value, (*loc, key))


def _at(data: Any, loc: tuple[Any, ...]) -> Any:
    for part in loc:
        data = data[part]
    return data


@st.composite
def damaged(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Return an inventory and a playbook, one of them with something strange in it."""
    both = list(copy.deepcopy(draw(st.sampled_from(SEEDS))))
    which = draw(st.sampled_from([0, 1, 1]))
    data = both[which]
    strange: list[str] = []
    for _ in range(draw(st.integers(1, 2))):
        loc = draw(st.sampled_from(list(_places(data))))
        mark = f"@@{len(strange)}@@"
        strange.append(draw(st.sampled_from(re.split(r"\n| \| ", SCALARS.strip()))))
        node = _at(data, loc)
        how = draw(st.sampled_from(["instead", "instead", "more", "key"]))
        if how == "more" and isinstance(node, dict):
            node[draw(st.sampled_from(KEYS))] = mark
        elif how == "more" and isinstance(node, list):
            node.append(mark)
        elif how == "key" and isinstance(node, dict) and node:
            node[mark] = node.pop(draw(st.sampled_from(list(node))))
        elif loc:
            _at(data, loc[:-1])[loc[-1]] = mark
        else:
            data = mark
    both[which] = data
    texts = [yaml.safe_dump(each, sort_keys=False, allow_unicode=True, width=10_000) for each in both]
    texts[which] = re.sub(r"'?@@(\d+)@@'?", lambda found: strange[int(found[1])], texts[which])
    inventory, playbook = (text.encode() for text in texts)
    if draw(st.integers(0, 9)) == 0:
        cut = draw(st.integers(0, len(playbook)))
        playbook = playbook[:cut] + draw(st.sampled_from(BYTES)) + playbook[cut:]
    return inventory, playbook


def go(folder: Path, inventory: bytes, playbook: bytes) -> str:
    """Go the whole way; return what is said where it ends before."""
    (folder / "i.yml").write_bytes(inventory)
    (folder / "p.yml").write_bytes(playbook)
    try:
        project = load(Selection((folder / "p.yml",), (folder / "i.yml",)))
        fingerprint(project)
        for problem in foresee(project):
            assert problem.position is not None
        try:
            pickle.dumps(project)
        except NotKeptError:
            pass
        for catalog in project.fleet.catalogs.values():
            render_tree(catalog)
            connection_to(catalog.host, project.hosts, ask_password=False).argv("true")
            json.loads(build(catalog, Inspect(playbooks=[], partial=False, deep=False), Keyring()))
    except ConfigError as error:
        for problem in error.problems:
            assert problem.position is not None or problem.message.startswith("no play is for"), problem
            assert str(problem).isprintable(), problem
        return str(error)
    return ""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "one")
    monkeypatch.setenv("LINES", "a\nb")
    monkeypatch.setitem(os.environb, b"BYTES", b"\xff\xfe")


@settings(max_examples=250)
@given(damaged())
def test_whatever_stands_there_is_no_fault_of_ours(files: tuple[bytes, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "no.bin").write_bytes(b"\xff\0")
        go(Path(folder), *files)


@pytest.mark.parametrize("seed", SEEDS, ids=range(len(SEEDS)))
def test_what_is_damaged_was_whole_before(seed: tuple[Any, Any], tmp_path: Path) -> None:
    said = go(tmp_path, *(yaml.safe_dump(each, sort_keys=False).encode() for each in seed))
    # Secrets of examples are not there, and neither are files beside them.
    assert not re.sub(
        r".*(secret|environment variable|cannot be run|cannot be read|asr-container|waves).*\n?",
        "",
        said + "\n",
    ).strip()


WRONG = {
    "a mapping with numbers as keys": ("files: {/x: {content: '{{ {1: 2} }}'}}", "a key that is not text"),
    "a number of many digits": (
        "vars: {n: 63}\n  commands: {c: {run: 'true', timeout: '{{ 10 ** n }}'}}",
        "too large",
    ),
    "no number": (
        "vars: {n: nan}\n  commands: {c: {run: 'true', timeout: '{{ n | float }}'}}",
        "too large, or not a number",
    ),
    "half a character": ("files: {/x: {content: '{{ \"\\ud800\" }}'}}", "half a surrogate pair"),
    "a key of two lines": ('"a\\nb": 1', "unknown key `a\\nb`"),
    "a secret that is no text": ("files: {/x: {content: {env: BYTES}}}", "BYTES is not UTF-8 text"),
    "a control character": ("packages: [\x80]", "the control character '\\x80' is not allowed"),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_was_a_fault_is_said(text: str, said: str, tmp_path: Path) -> None:
    inventory = yaml.safe_dump(INVENTORY).encode()
    assert said in go(tmp_path, inventory, f"- hosts: h1\n  {text}\n".encode())
