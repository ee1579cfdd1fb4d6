"""Data as a host may send it: each field has its type, and any value."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from provision.transport.typed import declared
from provision.wire.finding import SEVERITIES
from provision.wire.record import Record

WORDS = """
    ok changed failed skipped error warning info file:/a unit:s probe:s environment:e service s a h1 b
    seconds bytes restart started proof running stopped before other current active content proven kind
    --flag=1 chat completion http models /srv/a provision-s.service 32 → 64
""".split()  # noqa: SIM905

TEXTS = st.one_of(
    st.sampled_from([*WORDS, "", "\n", "\x1b[2J", "a\nb", "%s {} [x]", "[/red]"]), st.text(max_size=8)
)

NUMBERS = st.sampled_from([0, 1, -1, 2, 1000, 10**15, -(10**15)])

ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.floats(-1e9, 1e9), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(TEXTS, inner, max_size=2)),
    max_leaves=5,
)

PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "str": TEXTS,
    "bool": st.booleans(),
    "int": NUMBERS,
    "float": st.one_of(NUMBERS, st.floats(-1e12, 1e12)),
    "Any": ANYTHING,
    "Severity": st.sampled_from(SEVERITIES),
    "Changes": st.dictionaries(TEXTS, st.tuples(ANYTHING, ANYTHING), max_size=3),
    "Capability": st.tuples(st.integers(0, 20), st.integers(0, 20)),
    "Link": st.tuples(st.integers(0, 3), st.integers(0, 3), TEXTS),
    "TensorRow": st.tuples(TEXTS, TEXTS, st.lists(st.integers(0, 10**6), max_size=3), st.integers(0, 100)),
    "Options": st.lists(st.lists(TEXTS, min_size=1, max_size=2), max_size=2),
}


def values(annotation: str, nested: type[Record] | None) -> st.SearchStrategy[Any]:
    """Return values that have the type of an annotation, as a host would send them."""
    if annotation.endswith(" | None"):
        return st.none() | values(annotation.removesuffix(" | None"), nested)
    name, _, arguments = annotation.removesuffix("]").partition("[")
    if name == "list":
        return st.lists(values(arguments, nested), max_size=2)
    if name == "dict":
        return st.dictionaries(TEXTS, values(arguments.partition(", ")[2], nested), max_size=2)
    if name == "tuple":
        return st.tuples(*(values(each, nested) for each in arguments.split(", ")))
    if name in PLAIN:
        return PLAIN[name]
    assert nested is not None, annotation
    return record(nested)


def record(kind: type[Record]) -> st.SearchStrategy[dict[str, Any]]:
    """Return plain data of a record."""
    nested = {name: each.of for name, each in kind.NESTED.items()}
    fields = {
        name: values(annotation, nested.get(name))
        for name, annotation in declared(kind).items()
        if not (kind.NAME and name == "host")
    }
    return st.fixed_dictionaries(fields).map(lambda made: {"event": kind.NAME, **made} if kind.NAME else made)
