"""pip's configuration in the words of uv; tests/host/test_installers.py holds the two against each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.host.python.pip_configuration import NoCounterpart, parse, translate, with_options
from provision.wire.specs.environment import EnvironmentSpec

LISTED = """\
:env:.default-timeout='180'
:env:.find-links='/from/variable'
global.find-links='/from/file'
global.index-url='https://mirror.example/simple'
global.timeout='15'
install.index-url='https://other.example/simple'
install.trusted-host='a.example\\nb.example'
list.format='columns'
"""


def test_levels_outrank_each_other_as_in_pip() -> None:
    assert parse(LISTED) == {
        "timeout": "180",
        "find-links": "/from/variable",
        "index-url": "https://other.example/simple",
        "trusted-host": "a.example\nb.example",
    }


def test_what_an_environment_declares_is_added() -> None:
    options = EnvironmentSpec(
        path="/srv/env",
        requirements=[],
        index_url="https://own.example/simple",
        extra_index_urls=["https://more.example/simple"],
        find_links=["/wheels"],
    )
    told = {"index-url": "https://mirror.example/simple", "extra-index-url": "https://extra.example/simple"}
    assert with_options(told, options) == {
        "index-url": "https://own.example/simple",
        "extra-index-url": "https://extra.example/simple https://more.example/simple",
        "find-links": "/wheels",
    }


def lines(**told: str) -> list[str]:
    return translate({key.replace("_", "-"): value for key, value in told.items()}, {}).lines


def variables(**told: str) -> dict[str, str]:
    return translate({key.replace("_", "-"): value for key, value in told.items()}, {}).env


def test_nothing_told() -> None:
    assert lines() == []
    assert variables() == {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_SYSTEM_CERTS": "1",
        "UV_NATIVE_TLS": "1",
    }


def test_indexes() -> None:
    assert lines(
        index_url="https://me:secret@mirror.example/simple",
        extra_index_url="https://a.example/simple\nfile:///srv/simple",
    ) == [
        "--index-url https://me:secret@mirror.example/simple",
        "--extra-index-url https://a.example/simple",
        "--extra-index-url file:///srv/simple",
    ]


def test_no_index_leaves_indexes_out(tmp_path: Path) -> None:
    found = lines(no_index="true", index_url="https://mirror.example/simple", find_links=str(tmp_path))
    assert found == ["--no-index", f"--find-links {tmp_path}"]


def test_a_directory_that_is_not_there_is_passed_over(tmp_path: Path) -> None:
    places = f"{tmp_path} file://{tmp_path} {tmp_path}/gone file://{tmp_path}/gone https://a.example/wheels/"
    assert lines(find_links=places) == [
        f"--find-links {tmp_path}",
        f"--find-links file://{tmp_path}",
        "--find-links https://a.example/wheels/",
    ]


def test_a_mirror_that_is_not_encrypted_counts_when_it_is_trusted() -> None:
    told = {"index_url": "http://mirror.example/simple", "trusted_host": "mirror.example"}
    assert lines(**told) == ["--index-url http://mirror.example/simple"]
    assert variables(**told)["UV_INSECURE_HOST"] == "mirror.example"
    assert lines(index_url="http://127.0.0.1:8080/simple")
    with pytest.raises(NoCounterpart, match=r"http://mirror\.example, which pip ignores"):
        lines(index_url="http://mirror.example/simple", trusted_host="other.example")


def test_formats_and_constraints() -> None:
    assert lines(only_binary=":all:") == ["--only-binary :all:"]
    assert lines(no_binary="a,b") == ["--no-binary a", "--no-binary b"]
    assert lines(constraint="/etc/c.txt") == ["-c /etc/c.txt"]
    assert variables(constraint="/etc/c.txt")["UV_BUILD_CONSTRAINT"] == "/etc/c.txt"


def test_certificates(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    assert variables(cert=str(bundle))["SSL_CERT_FILE"] == str(bundle)
    assert translate({}, {"REQUESTS_CA_BUNDLE": str(bundle)}).env["SSL_CERT_FILE"] == str(bundle)
    with pytest.raises(NoCounterpart, match="no single file"):
        variables(cert=str(tmp_path))


def test_the_network() -> None:
    found = variables(proxy="http://u:p@proxy.example:3128", timeout="180.0", retries="7", pre="yes")
    assert {found[name] for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY")} == {
        "http://u:p@proxy.example:3128"
    }
    assert found["NO_PROXY"] == ""
    assert (found["UV_HTTP_TIMEOUT"], found["UV_HTTP_RETRIES"]) == ("180", "7")
    assert found["UV_PRERELEASE"] == "allow"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("client-cert", "/etc/client.pem"),
        ("prefer-binary", "true"),
        ("require-hashes", "true"),
        ("use-feature", "fast-deps"),
        ("target", "/elsewhere"),
        ("uploaded-prior-to", "2026-01-01"),
        ("keyring-provider", "import"),
        ("some-key-of-the-future", "1"),
    ],
)
def test_what_uv_cannot_do_is_named(key: str, value: str) -> None:
    with pytest.raises(NoCounterpart, match=f"`{key}` in pip's configuration"):
        translate({key: value}, {})


@pytest.mark.parametrize(
    "url", ["git+https://a.example/x", "/srv/simple", "https://${TOKEN}@a.example/simple"]
)
def test_an_index_that_is_no_plain_url(url: str) -> None:
    with pytest.raises(NoCounterpart, match="not a plain URL"):
        translate({"index-url": url}, {})


def test_what_does_not_concern_an_installation_is_passed_over() -> None:
    for key in ("no-color", "cache-dir", "disable-pip-version-check", "user", "no-input", "root-user-action"):
        assert translate({key: "1"}, {}) == translate({}, {})


def test_a_password_is_in_no_message() -> None:
    for url in ("http://me:secret@mirror.example/simple", "ftp://me:secret@mirror.example/simple"):
        with pytest.raises(NoCounterpart) as caught:
            translate({"index-url": url}, {})
        assert "secret" not in str(caught.value)
