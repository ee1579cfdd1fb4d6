"""Templates of files: what they may do, and what is said of those that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provision.catalog.templates import Templates, render_text
from provision.config.problems import ConfigError

SESAME = "open-sesame"


def said(source: str, secret: bool = False, **values: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        render_text(source, Path("/srv/x.j2"), values, secret=secret)
    return str(caught.value)


@pytest.mark.parametrize(
    "expression",
    [
        "''.__class__.__mro__",
        "x.__init__.__globals__",
        "(x | attr('__class__')).__base__",
        "cycler.__init__.__globals__.os",
        "'{0.__class__.__init__.__globals__}'.format(x)",
        "'{a.__class__}'.format_map({'a': x})",
        "x.append(1)",
        "x.clear()",
        "{}.update({1: 2})",
    ],
)
def test_templates_reach_data_only(expression: str, tmp_path: Path) -> None:
    values = {"x": [1]}
    wrong = "it does something that templates are not allowed to do"
    assert said("line\n{{ " + expression + " }}", **values) == f"/srv/x.j2:2:1: in the template: {wrong}"
    (tmp_path / "own.j2").write_text("{{ " + expression + " }}")
    with pytest.raises(ConfigError, match=wrong):
        Templates([tmp_path]).render("own.j2", values)
    assert values == {"x": [1]}


def test_what_one_operator_computes_is_bounded() -> None:
    assert "more than" in said("{{ 'a' * n }}", n=10**9)
    assert "too large" in said("{{ 10 ** n }}", n=10**9)


def test_what_templates_use_works(tmp_path: Path) -> None:
    (tmp_path / "part.j2").write_text("{{ x }};")
    source = (
        "{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }};"
        "{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(x) }}{% include 'part.j2' %}"
        "{{ {'b': 1}.items() | list }}{{ 'a-b'.split('-') | join(',') }}{{ '%s' | format(x) }}\n"
    )
    found = render_text(source, tmp_path / "x.j2", {"x": "y"})
    assert found == "3;<y>y;[('b', 1)]a,by\n"


@pytest.mark.parametrize(
    "source",
    [
        "{{ {}[token] }}",
        "{{ {'a': 1}[token].b }}",
        "{{ token.nothing }}",
        "{% " + SESAME + " %}",
        "{{ token + 1 }}",
    ],
)
def test_an_error_in_a_secret_template_quotes_nothing(source: str) -> None:
    shown = said(f"\n{source}", secret=True, token=SESAME)
    assert SESAME not in shown
    assert "sesame" not in shown
    assert shown.startswith("/srv/x.j2:2:1: in the template: it cannot be rendered (")
    assert "undefined" in said("{{ tokn }}", secret=True, token=SESAME)


def test_a_template_that_is_not_there() -> None:
    assert said("{% include 'part.j2' %}") == "/srv/x.j2:1:1: in the template: there is no template part.j2"
