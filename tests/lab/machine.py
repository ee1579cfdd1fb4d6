"""How *this* machine reaches packages, so that the hosts of a lab can reach them the same way.

Nothing here names a mirror: everything is read from the configuration of the controller machine.
"""

from __future__ import annotations

import ast
import functools
import re
import shutil
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
"""Where Debian keeps the certificates that a host trusts."""


@dataclass(frozen=True)
class AptSource:
    """One line of apt's sources: an archive and one of its suites."""

    uri: str
    suite: str
    components: tuple[str, ...]

    def line(self) -> str:
        """The entry in the one-line format."""
        return f"deb {self.uri} {self.suite} {' '.join(self.components)}\n"


def apt_sources(suite: str, directory: Path = Path("/etc/apt"), own: str | None = None) -> list[AptSource]:
    """The machine's sources of its own distribution, turned to another ``suite`` of it.

    ``own`` is the codename that the machine's sources use (default: of the running system). Third-party
    sources are left out. Empty when the machine is no Debian: debootstrap's default archive then serves.
    """
    release = _os_release()
    own = own or release.get("VERSION_CODENAME")
    if own is None or release.get("ID") != "debian":
        return []
    found: list[AptSource] = []
    for path in [directory / "sources.list", *sorted((directory / "sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        entries = _deb822(text) if path.suffix == ".sources" else _one_line(text)
        for source in entries:
            base, dash, pocket = source.suite.partition("-")
            if base == own and pocket in ("", "updates", "security"):
                found.append(AptSource(source.uri, suite + dash + pocket, source.components))
    return found


def _os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}


def _one_line(text: str) -> list[AptSource]:
    found = []
    for line in text.splitlines():
        words = re.sub(r"\[[^]]*\]", "", line.partition("#")[0]).split()
        if len(words) >= 4 and words[0] == "deb":
            found.append(AptSource(words[1], words[2], tuple(words[3:])))
    return found


def _deb822(text: str) -> list[AptSource]:
    found = []
    text = re.sub(r"^#.*\n?", "", text, flags=re.M)
    for stanza in re.split(r"\n\s*\n", text):
        fields = {
            key.lower(): value.split()
            for key, value in re.findall(r"^([\w-]+):((?:.*)(?:\n[ \t]+.*)*)", stanza, re.M)
        }
        if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
            continue
        for uri in fields.get("uris", []):
            for suite in fields.get("suites", []):
                found.append(AptSource(uri, suite, tuple(fields.get("components", []))))
    return found


@functools.cache
def apt_options() -> str:
    """The machine's apt settings about *fetching* (proxies, time checks, languages), as an apt.conf."""
    if shutil.which("apt-config") is None:
        return ""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    wanted = re.compile(r"Acquire::(http|https|Check-|Retries|GzipIndexes|Languages|By-Hash)", re.I)
    lines = [line for line in dump.splitlines() if wanted.match(line) and not line.endswith(' "";')]
    return "".join(line + "\n" for line in lines)


def nameservers() -> str:
    """A resolv.conf whose servers can be reached from another network namespace."""
    text = Path("/etc/resolv.conf").read_text(encoding="utf-8")
    upstream = Path("/run/systemd/resolve/resolv.conf")
    if re.search(r"^nameserver\s+127\.", text, re.M) and upstream.is_file():
        return upstream.read_text(encoding="utf-8")
    return text


@functools.cache
def certificates(extra: tuple[str, ...]) -> tuple[str, ...]:
    """Every CA certificate that the machine trusts, and those of the ``extra`` bundles, sorted."""
    default = ssl.get_default_verify_paths()
    bundles = {CA_BUNDLE, "/etc/pki/tls/certs/ca-bundle.crt", default.cafile, *extra}
    pem = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.S)
    found: set[str] = set()
    for bundle in bundles:
        if bundle and Path(bundle).is_file():
            text = Path(bundle).read_text(encoding="utf-8", errors="replace")
            found.update(certificate + "\n" for certificate in pem.findall(text))
    return tuple(sorted(found))


_PIP_LISTS = frozenset({"extra-index-url", "find-links", "trusted-host", "constraint"})
_PIP_OPTIONS = _PIP_LISTS | {
    "index-url",
    "no-index",
    "proxy",
    "timeout",
    "default-timeout",
    "retries",
    "prefer-binary",
    "only-binary",
    "no-binary",
    "pre",
    "disable-pip-version-check",
}


@dataclass(frozen=True)
class PipConfiguration:
    """What pip on this machine has been told about where packages come from."""

    options: dict[str, str]
    """``section.option`` to value; several values are separated by newlines."""
    certificates: tuple[str, ...]
    """Bundles that pip trusts besides the system's."""

    def text(self, cache: str) -> str:
        """A pip.conf with these options, the system's certificates and a cache directory."""
        options = {**self.options, "global.cert": CA_BUNDLE, "global.cache-dir": cache}
        sections: dict[str, list[str]] = {}
        for key, value in sorted(options.items()):
            section, _, option = key.partition(".")
            joined = "\n    ".join(value.split("\n"))
            sections.setdefault(section, []).append(f"{option} = {joined}\n")
        return "".join(f"[{name}]\n{''.join(lines)}" for name, lines in sections.items())

    def paths(self) -> list[Path]:
        """The local files and directories that the options name and that exist.

        Of a ``file:`` index its parent: the pages of an index may link to files beside it.
        """
        found = set()
        for value in self.options.values():
            for word in value.split():
                url = urlsplit(word)
                path = Path(unquote(url.path)).parent if url.scheme == "file" else Path(word)
                if path.is_absolute() and path.exists():
                    found.add(path)
        return sorted(found)


@functools.cache
def pip_configuration() -> PipConfiguration:
    """The configuration of this machine's pip, files and environment variables merged as pip merges them."""
    for command in ([sys.executable, "-m", "pip"], ["pip3"], ["python3", "-m", "pip"]):
        if shutil.which(command[0]) is None:
            continue
        listed = subprocess.run([*command, "config", "list"], capture_output=True, text=True, check=False)
        if listed.returncode == 0:
            return parse_pip_configuration(listed.stdout)
    return PipConfiguration({}, ())


def parse_pip_configuration(listed: str) -> PipConfiguration:
    """Read the output of ``pip config list``: ``global.find-links='/wheels'``, ``:env:.cert='/ca.crt'``."""
    options: dict[str, str] = {}
    bundles: list[str] = []
    environment: dict[str, str] = {}
    for line in listed.splitlines():
        key, equals, quoted = line.partition("=")
        section, _, option = key.rpartition(".")
        if not equals or option not in _PIP_OPTIONS | {"cert"}:
            continue
        value = str(ast.literal_eval(quoted))
        if option == "cert":
            bundles.append(value)
            continue
        if option in _PIP_LISTS:
            value = "\n".join(value.split())
        if section == ":env:":
            environment[option] = value
        else:
            options[key] = value
    # a variable outranks every section of every file
    kept = {key: value for key, value in options.items() if key.rpartition(".")[2] not in environment}
    kept.update({f"global.{option}": value for option, value in environment.items()})
    return PipConfiguration(kept, tuple(bundles))
