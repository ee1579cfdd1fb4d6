"""The order and the specifiers of versions, held against the reference implementation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import InvalidSpecifier, Specifier
from packaging.utils import canonicalize_name
from packaging.version import Version

from provision.host.python import versions

number = st.integers(0, 12).map(str)
part = st.one_of(st.just(""), number)
version = st.builds(
    "{}{}{}{}{}{}".format,
    st.sampled_from(["", "", "", "1!", "v"]),
    st.lists(number, min_size=1, max_size=4).map(".".join),
    st.one_of(
        st.just(""), st.builds("{}{}".format, st.sampled_from(["a", ".b", "rc", "-c", "preview"]), part)
    ),
    st.one_of(st.just(""), st.builds(".post{}".format, part), st.builds("-{}".format, number)),
    st.one_of(st.just(""), st.builds(".dev{}".format, part)),
    st.one_of(st.just(""), st.sampled_from(["+cpu", "+cu118", "+1", "+CPU.2", "+cu-1.x"])),
)
near = st.sampled_from(
    [
        "1",
        "1.0",
        "1.0.0",
        "1.0a1",
        "1.0a1.dev2",
        "1.0.dev1",
        "1.0.post1",
        "1.0-1",
        "1.0.post1.dev3",
        "1.0+cpu",
        "1.0+1",
        "1.0rc1",
        "1.0a1.post1",
        "1.0.1",
    ]
)
any_version = st.one_of(version, near)


@given(any_version, any_version)
def test_the_order_is_that_of_packaging(a: str, b: str) -> None:
    left, right = Version(a), Version(b)
    assert versions.compare(a, b) == (left > right) - (left < right)


@given(
    any_version, st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "~=", "==="]), any_version, st.booleans()
)
def test_a_specifier_allows_what_packaging_allows(
    have: str, operator: str, wanted: str, series: bool
) -> None:
    wanted += ".*" if series else ""
    try:
        reference = Specifier(operator + wanted)
    except InvalidSpecifier:
        return
    assert versions.matches(have, [[operator, wanted]]) == reference.contains(have, prereleases=True)


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True))
def test_names_are_canonical(name: str) -> None:
    assert versions.normalise(name) == canonicalize_name(name)


def test_all_specifiers_must_match() -> None:
    assert versions.matches("0.33.0", [[">=", "0.10"], ["<", "1"]])
    assert not versions.matches("0.33.0", [[">=", "0.10"], ["<", "0.33"]])
    assert versions.matches("2.13.0+cpu", [["==", "2.13.0"]])
    assert not versions.matches("2.13.0", [["==", "2.13.0+cpu"]])
    assert versions.matches("anything at all", [])


def test_an_unreadable_installed_version_satisfies_nothing_but_identity() -> None:
    assert not versions.matches("2004d-custom", [[">=", "0"]])
    assert versions.matches("2004d-custom", [["===", "2004d-custom"]])


@pytest.mark.parametrize("text", ["", "one", "1.", "1..2", "1.0+", "1.0+a_", "١.0"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a version"):
        versions.parse(text)


@pytest.mark.parametrize(
    ("operator", "wanted"), [("~=", "1"), ("=", "1.0"), ("==", "1.0a1.*"), (">=", "1.*")]
)
def test_what_is_no_specifier_is_refused(operator: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=r"specifier|version|numbers"):
        versions.matches("1.0", [[operator, wanted]])
