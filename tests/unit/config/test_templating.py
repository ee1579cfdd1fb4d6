# ruff: noqa: E501 (inputs and messages are easier to compare on one line)

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.config.problems import ConfigError
from provision.config.templating import compile_template, is_template
from provision.config.variables import parse_extra

VARIABLES: dict[str, Any] = {
    "port": 8002,
    "names": ["a", "b"],
    "gpu": {"index": 1},
    "nothing": None,
    "yes": True,
    "text": "x",
    "number_text": "007",
}


def render(text: str) -> Any:
    return compile_template(text).render(VARIABLES)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ port }}", 8002),
        ("{{port}}", 8002),
        ("{{- port -}}", 8002),
        ("{{ port + 1 }}", 8003),
        ("{{ names }}", ["a", "b"]),
        ("{{ gpu }}", {"index": 1}),
        ("{{ gpu.index }}", 1),
        ("{{ nothing }}", None),
        ("{{ yes }}", True),
        ("{{ number_text }}", "007"),
        ("{{ names | map('upper') }}", ["A", "B"]),
        ("{{ (1, 2) }}", [1, 2]),
        ("{{ absent | default(5) }}", 5),
        ("{{ '}}' }}", "}}"),
        ("{{ text | escape }}", "x"),
        ("p{{ port }}", "p8002"),
        ("{{ port }}{{ port }}", "80028002"),
        ("{{ port }} ", "8002 "),
        ("is {{ yes }}", "is true"),
        ("{% if yes %}on{% endif %}", "on"),
        ("{% for n in names %}{{ n }},{% endfor %}", "a,b,"),
        ("{{ text }}\n", "x\n"),
        ("{# note #}", ""),
        ("{{ names | join(' ') }}!", "a b!"),
    ],
)
def test_values(text: str, value: object) -> None:
    assert is_template(text)
    assert render(text) == value
    assert type(render(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ prot }}", "undefined variable `prot`"),
        ("a {{ prot }}", "undefined variable `prot`"),
        ("{{ gpu.nam }}", "the template cannot be rendered: 'dict object' has no attribute 'nam'"),
        ("{{ ", "the template has a syntax error: unexpected 'end of template'"),
        ("{% include 'x' %}", "the template cannot be rendered: no loader for this environment specified"),
        ("a{{ names }}", "a list cannot be part of a text"),
        ("a{{ gpu }}", "a mapping cannot be part of a text"),
        ("a{{ nothing }}", "null cannot be part of a text"),
        ("{{ range }}", "the template gives a function, which is not data"),
        ("{{ ''.__class__ }}", "the template does something that templates are not allowed to do"),
        ("{{ names.append(1) }}", "the template does something that templates are not allowed to do"),
        ("{{ 'a' * 10 ** 10 }}", "the template gives more than 1000000 characters"),
        ("{{ 10 ** 10 ** 10 }}", "the power in the template is too large"),
        ("{{ 1 / 0 }}", "the template cannot be rendered: division by zero"),
        ("{{ lipsum() }}", "undefined variable `lipsum`"),
        (
            "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
            "the template cannot be read: maximum recursion depth exceeded",
        ),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        render(text)
    assert caught.value.problems[0].message.startswith(message)


@given(st.text(alphabet="{}%#-+*/ abport'\"|.()[],:=", max_size=30))
def test_any_text_gives_data_or_an_error(text: str) -> None:
    try:
        value = render("{{" + text)
    except ConfigError as error:
        value = error.problems[0].message.partition("\n")[0]
    assert value is None or isinstance(value, (str, int, float, bool, list, dict))


class TestExtra:
    def test_values(self) -> None:
        assert parse_extra(["a=1", "b=x", "c=true", "d=[1, 2]", "e=", "f={k: v}", "g=a: b", "h=[", "i=x=y", "j=0644"]) == {
            "a": 1,
            "b": "x",
            "c": True,
            "d": [1, 2],
            "e": "",
            "f": {"k": "v"},
            "g": "a: b",
            "h": "[",
            "i": "x=y",
            "j": "0644",
        }  # fmt: skip

    def test_wrong(self) -> None:
        with pytest.raises(ConfigError) as caught:
            parse_extra(["a", "a-b=1", "host=x", "=1", "@nowhere.yml"])
        assert str(caught.value).splitlines() == [
            "'' is not a variable name; use letters, digits and _, beginning with a letter",
            "'a-b' is not a variable name; use letters, digits and _, beginning with a letter",
            "-e 'a' is not an assignment; write -e name=value or -e @file.yml",
            "the variable name `host` is taken: it holds facts of the inventory",
            "nowhere.yml:1:1: there is no such file",
        ]
