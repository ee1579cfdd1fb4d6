"""Requirements of Python environments: what people write after `pip install`.

A form whose installed state can be compared with what is declared is taken as it is; every other one is
refused with what to write in its place.
"""

from __future__ import annotations

import re
from posixpath import basename, normpath
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Pep508
from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version
from pydantic_core import PydanticCustomError

from provision.config.model import reject
from provision.config.problems import quoted
from provision.wire.specs.environment import Requirement

_ARCHIVE = (".whl", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
_VCS = re.compile(r"(git|hg|svn|bzr)\+[a-z+]+:")
_EXTRAS = re.compile(r"(?P<place>[^\[\]]+)\[(?P<extras>[A-Za-z0-9._, -]+)\]")
_NOT_PLAIN = re.compile(r"[\s\\$`'\"<>|*?]")

_OPTIONS = {
    "-r": "write what the file lists as items of `packages`; mere limits go into `constraints`",
    "-c": "write the file into `constraints`",
    "-i": "write the address into `index_url`",
    "-f": "write the place into `find_links`",
    "--extra-index-url": "write the address into `extra_index_urls`",
    "--pre": 'name the release, such as "vllm==0.13.0rc1", or "vllm>=0.13.0rc0" for it and later ones',
    "-U": "leave the option out: the version written here is installed, and changed when it changes",
    "--hash": 'write "NAME @ URL#sha256=…": pip then checks that one file',
    "--no-deps": "name the packages that must not be installed in `exclude`",
    "--system-site-packages": "leave it out: an environment does not see the packages of the system",
}
_SYNONYMS = {
    "--requirement": "-r",
    "--constraint": "-c",
    "--index-url": "-i",
    "--find-links": "-f",
    "--upgrade": "-U",
    "--force-reinstall": "-U",
}


_RELATIVE = ("is not an absolute path", "write the whole path on the host, beginning with /")


class Wanted(NamedTuple):
    """One requirement.

    Args:
        raw: as written; what pip is given.
        name: the normalised name of the distribution; None when only its installation tells.
        extras: sorted.
        specifier: the versions allowed; that of the wheel when there is a URL of one.
        url: where to get it from, instead of an index: a URL, or a path on the host.
        editable: the directory itself is used, as by `pip install -e`.
        marker: it is asked for only on hosts for which its environment marker holds.
    """

    raw: str
    name: str | None
    extras: tuple[str, ...] = ()
    specifier: SpecifierSet = SpecifierSet()
    url: str | None = None
    editable: bool = False
    marker: bool = False

    @property
    def pin(self) -> Version | None:
        """The one version that is allowed, without its local part; None when there may be several."""
        for specifier in self.specifier:
            if specifier.operator in ("==", "===") and not specifier.version.endswith(".*"):
                try:
                    return Version(Version(specifier.version).public)
                except InvalidVersion:
                    return None
        return None

    @property
    def path(self) -> str | None:
        """The path on the host that it is installed from, if any."""
        if self.url is None:
            return None
        return unquote(urlsplit(self.url).path) if self.url.startswith(("/", "file:")) else None

    def spec(self) -> Requirement:
        """Return it as the host side wants it."""
        return Requirement(
            raw=self.raw,
            name=self.name,
            extras=list(self.extras),
            specifiers=sorted([item.operator, item.version] for item in self.specifier),
            url=self.url,
            editable=self.editable,
            marker=self.marker,
        )


def parse(raw: str) -> Wanted:
    """Return a requirement; one with a wheel's file name wants that wheel's version.

    Raises:
        PydanticCustomError: it is not a requirement, or its installed state could not be compared with it.
    """
    text = raw.strip()
    if "${" in text:
        hint = "write {{ name }} for one of `vars`"
        raise _refused(text, "holds a variable that pip would fill in", hint, "pip-option")
    if text.startswith("-"):
        return _option(text)
    if text.startswith(("pip ", "pip3 ", "uv ", "python ")):
        raise _refused(text, "is a command", "write the packages alone, each an item of the list")
    if text.startswith(("/", "file:")) or _VCS.match(text) or "://" in text.split("@")[0].split(" ")[0]:
        return _place(text)
    scp = re.fullmatch(r"(?:git\+)?(git@[\w.-]+):(\S+)", text)
    if scp:
        raise _refused(text, "is not a URL", f'write "git+ssh://{scp[1]}/{scp[2]}"')
    alone = "@" not in text and " " not in text
    if text.startswith(("./", "../", "~")) or text in (".", "..") or (alone and _is_path(text)):
        raise _refused(text, *_RELATIVE)
    if re.fullmatch(r"\S+\.(txt|in|toml|lock|cfg)", text):
        raise _refused(text, "is a file, not a package", _OPTIONS["-r"], "pip-option")
    return _named(text)


def _is_path(text: str) -> bool:
    return "/" in text or text.lower().endswith(_ARCHIVE)


def constraint(raw: str) -> Wanted | None:
    """Return a constraint; None for a file on the host, or a page, that lists some.

    Raises:
        PydanticCustomError: it is neither.
    """
    text = raw.strip()
    if text.startswith(("-c ", "--constraint")):
        raise _refused(text, "needs no option", "write the path alone", "pip-option")
    if re.fullmatch(r"(/|file://|https?://)\S+", text):
        return None
    if re.fullmatch(r"\S+\.(txt|in|lock)", text) or text.startswith(("./", "../", "~")):
        raise _refused(text, *_RELATIVE)
    wanted = parse(text)
    if wanted.name is None or wanted.editable:
        raise _refused(text, "names no package", 'write "NAME==VERSION" or "NAME @ URL"')
    if wanted.extras:
        hint = f"leave out [{','.join(wanted.extras)}]"
        raise _refused(text, "has extras, which pip does not take in a constraint", hint)
    return wanted


def _option(text: str) -> Wanted:
    option, _, value = text.partition("=") if re.match(r"--[a-z-]+=", text) else text.partition(" ")
    if option in ("-e", "--editable"):
        return _editable(value.strip())
    option = _SYNONYMS.get(option, option)
    hint = _OPTIONS.get(
        option, "let pip's own configuration on the host hold it: /etc/pip.conf, declared in `files`"
    )
    raise _refused(text, "is an option of pip, not a package", hint, "pip-option")


def _editable(place: str) -> Wanted:
    if _VCS.match(place):
        message = "would keep a working copy that nobody sees"
        raise _refused(f"-e {place}", message, f'write "{place}"', "pip-option")
    path = place[len("file://") :] if place.startswith("file:///") else place
    bare = _EXTRAS.fullmatch(path)
    path, extras = (bare["place"], bare["extras"]) if bare else (path, "")
    if not path.startswith("/") or _NOT_PLAIN.search(path):
        message = "is not a directory on the host"
        raise _refused(f"-e {place}", message, 'write "-e /src/app"', "pip-option")
    return Wanted(f"-e {place}", None, _sorted(extras), url=normpath(path), editable=True)


def _place(text: str) -> Wanted:
    """Return what is asked for by its place alone: a URL or a path."""
    text, semicolon, marker = text.partition(" ;")
    url, extras = text.strip(), ""
    found = _EXTRAS.fullmatch(url) if url.startswith("/") else None
    if found:
        url, extras = found["place"], found["extras"]
    _no_hash(text)
    if _NOT_PLAIN.search(url) or ".." in url.split("/"):
        hint = "write one place for each item, without spaces or *"
        raise _refused(text, "is not a plain path or URL", hint)
    egg = re.search(r"#(.*&)?egg=([A-Za-z0-9._-]+(\[[A-Za-z0-9._,-]+\])?)", url)
    if egg:
        place, _, fragment = url.partition("#")
        rest = re.sub(r"egg=[^&]*&?", "", fragment).rstrip("&")
        better = f"{egg[2]} @ {place}{f'#{rest}' if rest else ''}"
        raise _refused(text, "holds `#egg=`, which newer pips do not read", f'write "{better}"')
    _no_login(url)
    if url.startswith("http") and url.partition("#")[0].partition("@")[0].endswith(".git"):
        message = "is a git repository, which pip would take for an archive"
        raise _refused(text, message, f'write "git+{url}"')
    name, version = _by_file_name(url)
    if name is None and (semicolon or extras):
        raise _refused(text, "does not say which package it is", 'write "NAME[EXTRA] @ URL ; MARKER"')
    if semicolon:
        url_of = "file://" + quote(url, safe="/+") if url.startswith("/") else url
        return _named(f"{name}{f'[{extras}]' if extras else ''} @ {url_of} ;{marker}")
    if url.startswith("/"):
        url = url.rstrip("/")
    return Wanted(text.strip(), name, _sorted(extras), version, url)


def _named(text: str) -> Wanted:
    _no_hash(text)
    name, at, place = (part.strip() for part in text.partition("@"))
    if at and place.startswith("/"):  # pip wants a URL there
        path, semicolon, marker = place.partition(" ;")
        text = f"{name} @ file://{quote(path.strip(), safe='/+')}" + (f" ;{marker}" if semicolon else "")
    try:
        requirement = Pep508(text)
    except InvalidRequirement:
        raise _not_a_requirement(text) from None
    specifier = requirement.specifier
    if requirement.url is not None:
        if not re.match(r"[a-z+]+:", requirement.url):
            raise _not_a_requirement(text)
        _no_login(requirement.url)
        if re.match(r"[a-z]+\+file:", requirement.url):
            message = "has a name before it, which pip does not take"
            raise _refused(text, message, f'write "{requirement.url}"')
        specifier = _by_file_name(requirement.url)[1]
    canonical = canonicalize_name(requirement.name)
    extras = tuple(sorted(requirement.extras))
    return Wanted(text, canonical, extras, specifier, requirement.url, marker=requirement.marker is not None)


def _not_a_requirement(text: str) -> PydanticCustomError:
    """Return the error for what pip would not take, with what was probably meant."""
    misspelt = re.fullmatch(r"([A-Za-z0-9._-]+(?:\[[^\]]*\])?)(?:\s*=\s*|\s+v?|@v?)([0-9][\w.+*!-]*)", text)
    if misspelt:
        return _refused(text, "is not a requirement", f'did you mean "{misspelt[1]}=={misspelt[2]}"?')
    words = text.split()
    if len(words) > 1 and all(_is_requirement(word) for word in words):
        return _refused(text, "is more than one requirement", f"write each as an item: [{', '.join(words)}]")
    hint = 'write it as for pip, such as "vllm==0.33.0", "vllm[audio]>=0.30", or "NAME @ URL"'
    return _refused(text, "is not a requirement that pip would take", hint)


def _is_requirement(word: str) -> bool:
    try:
        Pep508(word)
    except InvalidRequirement:
        return False
    return True


def _refused(text: str, message: str, hint: str, code: str = "pip-requirement") -> PydanticCustomError:
    return reject(code, f"{quoted(text)} {message}", hint)


def _no_hash(text: str) -> None:
    if " --hash" in text:
        raise _refused(text, "holds --hash, an option of pip", _OPTIONS["--hash"], "pip-option")


def _no_login(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme.rpartition("+")[2] in ("http", "https") and "@" in parts.netloc:
        raise reject(
            "secret-in-yaml",
            "a name or token for a server does not belong in the YAML",
            "let ~/.netrc, git's or pip's own configuration on the host hold it",
        )


def _sorted(extras: str) -> tuple[str, ...]:
    return tuple(sorted(extra.strip() for extra in extras.split(",") if extra.strip()))


def _by_file_name(url: str) -> tuple[str | None, SpecifierSet]:
    """Return the name and version that a wheel's file name says; of all else only its installation tells."""
    file = unquote(basename(urlsplit(url).path))
    if _VCS.match(url) or not file.endswith(".whl"):
        return None, SpecifierSet()
    try:
        name, version, *_ = parse_wheel_filename(file)
    except (InvalidWheelFilename, InvalidVersion):
        hint = "keep the name that it was built with: NAME-VERSION-PYTHON-ABI-PLATFORM.whl"
        raise _refused(file, "is not the name of a wheel, and pip would refuse it", hint) from None
    return str(name), SpecifierSet(f"=={version}")
