"""The configuration of pip on this host, and the same for uv, which does not read it."""

from __future__ import annotations

import ast
import os
import re
from typing import Dict, Mapping, NamedTuple, Sequence
from urllib.parse import urlsplit

from provision.host.machine import Machine
from provision.host.python import inside
from provision.wire.specs.environment import EnvironmentSpec

Configuration = Dict[str, str]
"""Option of `pip install` ("index-url") -> its value, from the files and variables that pip reads."""


class NoCounterpart(Exception):
    """uv has no setting that does the same; the text names pip's."""


class Settings(NamedTuple):
    """How to make uv look where pip would."""

    lines: list[str]
    """Lines of a requirements file: they may hold passwords, so they are on no command line."""
    env: dict[str, str]
    """Variables for its process."""


def read(machine: Machine, environment: str) -> Configuration:
    """Return what holds for `pip install` in an environment, as its own pip says.

    Raises:
        Failure: this pip does not start.
    """
    # Told `user = true`, pip would list no more than the user's file.
    listed = machine.run(inside.command(environment, "pip", "config", "list"), env={"PIP_USER": "0"})
    return parse(listed.out)


def default_index(machine: Machine, environment: str) -> str:
    """Return the index that an environment's pip uses by default.

    Raises:
        Failure: this pip does not say.
    """
    return machine.run(inside.command(environment, "default-index")).out.strip()


def parse(listed: str) -> Configuration:
    """Read the output of `pip config list`; `[install]` outranks `[global]`, a variable outranks both."""
    levels: dict[str, Configuration] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.splitlines():
        key, equals, quoted = line.partition("=")
        section, _, option = key.rpartition(".")
        if equals and section in levels:
            levels[section][SYNONYMS.get(option, option)] = str(ast.literal_eval(quoted)).strip()
    return {**levels["global"], **levels["install"], **levels[":env:"]}


def with_options(configuration: Configuration, spec: EnvironmentSpec) -> Configuration:
    """Return the configuration with what an environment declares, except for its constraints."""
    added = dict(configuration)
    if spec.index_url:
        added["index-url"] = spec.index_url
    for key, more in (("extra-index-url", spec.extra_index_urls), ("find-links", spec.find_links)):
        if more:
            added[key] = " ".join([configuration.get(key, ""), *more]).strip()
    return added


def translate(configuration: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    """Return what makes uv do as pip's configuration says; pip finds certificates in some variables, too.

    Raises:
        NoCounterpart: uv cannot be made to do the same.
    """
    given = {key: value for key, value in configuration.items() if key not in _IRRELEVANT}
    unknown = sorted(set(given) - set(_UNDERSTOOD))
    if unknown:
        raise NoCounterpart(f"`{unknown[0]}` in pip's configuration")
    trusted = given.get("trusted-host", "").split()
    lines = ["--no-index"] if _true(given, "no-index") else _indexes(given, trusted)
    lines += [f"--find-links {place}" for place in _find_links(given.get("find-links", ""), trusted)]
    lines += _formats(given)
    lines += [f"-c {place}" for place in given.get("constraint", "").split()]
    if given.get("keyring-provider", "auto") not in ("auto", "disabled"):
        raise NoCounterpart("`keyring-provider` in pip's configuration")
    return Settings(lines, _variables(given, trusted, environ))


SYNONYMS = {"default-timeout": "timeout", "pypi-url": "index-url"}

_UNDERSTOOD = (
    "index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "cert", "proxy", "timeout",
    "retries", "constraint", "pre", "only-binary", "no-binary", "keyring-provider",
)  # fmt: skip

_IRRELEVANT = (
    # How pip looks and what it keeps, not what it installs.
    "disable-pip-version-check", "no-python-version-warning", "no-color", "quiet", "verbose", "progress-bar",
    "log", "cache-dir", "no-cache-dir", "no-warn-script-location", "no-warn-conflicts", "root-user-action",
    "debug", "config-file",
    # What we tell pip ourselves, or what means nothing inside an environment.
    "no-input", "user", "require-virtualenv", "break-system-packages",
)  # fmt: skip


def _true(given: Mapping[str, str], key: str) -> bool:
    return given.get(key, "").lower() in ("1", "y", "yes", "t", "true", "on")


def _indexes(given: Mapping[str, str], trusted: Sequence[str]) -> list[str]:
    lines = []
    for option in ("index-url", "extra-index-url"):
        for url in given.get(option, "").split():
            _check_url(url, option, trusted)
            lines.append(f"--{option} {url}")
    return lines


def _find_links(places: str, trusted: Sequence[str]) -> list[str]:
    """Return the places that exist: pip ignores a directory that is missing, uv does not."""
    found = []
    for place in places.split():
        path = place[len("file://") :] if place.startswith("file:///") else place
        if not path.startswith("/"):
            _check_url(place, "find-links", trusted)
            found.append(place)
        elif os.path.isdir(path):
            found.append(place)
        elif os.path.exists(path):
            raise NoCounterpart(f"a page on disk in `find-links` ({place})")
    return found


def _check_url(url: str, option: str, trusted: Sequence[str]) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http", "file") or "${" in url:
        raise NoCounterpart(f"`{option}` in pip's configuration that is not a plain URL")
    local = parts.hostname in ("localhost", "::1") or str(parts.hostname).startswith("127.")
    names = (parts.hostname, f"{parts.hostname}:{parts.port}")
    if parts.scheme == "http" and not local and not any(name in trusted for name in names):
        raise NoCounterpart(f"http://{parts.hostname}, which pip ignores, as it is not a `trusted-host`")


def _formats(given: Mapping[str, str]) -> list[str]:
    both = [option for option in ("only-binary", "no-binary") if given.get(option)]
    if len(both) == 2:
        raise NoCounterpart("`only-binary` beside `no-binary` in pip's configuration")
    names = [(option, name) for option in both for name in re.split(r"[\s,]+", given[option]) if name]
    if any(name == ":none:" for _, name in names):
        raise NoCounterpart(f"`{both[0]} = :none:` in pip's configuration")
    return [f"--{option} {name}" for option, name in names]


def _variables(
    given: Mapping[str, str], trusted: Sequence[str], environ: Mapping[str, str]
) -> dict[str, str]:
    env = {"UV_INDEX_STRATEGY": "unsafe-best-match"}  # pip takes the best of all indexes
    # In this order: the library under pip lets the variables win.
    certificates = environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE") or given.get("cert")
    if certificates and not os.path.isfile(certificates):
        raise NoCounterpart(f"certificates that are no single file ({certificates})")
    if certificates:
        env["SSL_CERT_FILE"] = certificates
    else:
        env["UV_SYSTEM_CERTS"] = env["UV_NATIVE_TLS"] = "1"  # as it is called now, and was before
    if trusted:
        env["UV_INSECURE_HOST"] = " ".join(trusted)
    if given.get("proxy"):
        names = ("http_proxy", "https_proxy", "all_proxy")
        env.update({name: given["proxy"] for low in names for name in (low, low.upper())})
        env["no_proxy"] = env["NO_PROXY"] = ""  # pip's own proxy is for every host
    if given.get("timeout"):
        env["UV_HTTP_TIMEOUT"] = given["timeout"].partition(".")[0]
    if given.get("retries"):
        env["UV_HTTP_RETRIES"] = given["retries"]
    if _true(given, "pre"):
        env["UV_PRERELEASE"] = "allow"
    if given.get("constraint"):
        env["UV_BUILD_CONSTRAINT"] = given["constraint"]
    return env
