"""Whether the package indexes of an environment answer on this host, asked as pip would ask them."""

from __future__ import annotations

import base64
import http.client
import netrc
import os
import socket
import ssl
import urllib.error
import urllib.request
from typing import Any, Mapping, NamedTuple, Sequence
from urllib.parse import unquote, urlsplit, urlunsplit

from provision.host.python import versions
from provision.host.python.pip_configuration import Configuration
from provision.host.threads import each
from provision.published.http import cause
from provision.wire.finding import Finding, fault, warning

PUBLIC = "https://pypi.org/simple"
"""The index of a pip that is told of none."""

TIMEOUT = 10.0
"""Seconds that an index is waited for; pip itself would try five times."""

REACH = "check the host's network and proxy, or set index_url to an index that it can reach"
ACCESS = "check the user name and password in the index's URL, or in ~/.netrc"
TRUST = "add the authority that signed it: `pip config --global set global.cert /path/ca.pem`"
YES = ("1", "y", "yes", "t", "true", "on")
"""What pip takes for yes."""

PLAIN = "use https, or name it as `trusted-host` in pip's configuration"


class _Trouble(NamedTuple):
    code: str
    said: str
    hint: str
    certain: bool = True
    """pip will fail by it, too."""


def findings(
    configuration: Configuration,
    names: Sequence[str],
    environ: Mapping[str, str],
    fields: Mapping[str, str] | None = None,
) -> Sequence[Finding]:
    """Return what is wrong with the indexes that pip would ask for packages.

    That is an error when no index is left, and `find-links` does not have all of the packages either.

    Args:
        configuration: of pip, with what the environment declares.
        names: of the packages that will be installed, canonical.
        environ: the variables that pip will have.
        fields: by address, the field of the environment that names it; else its packages ask for it.
    """
    if configuration.get("no-index", "").lower() in YES:
        return []
    urls = addresses(configuration)
    asked = [url for url in urls if urlsplit(url).scheme in ("http", "https")]
    troubles: list[tuple[str, _Trouble]] = []

    def ask(url: str) -> None:
        trouble = _ask(url, names[0], configuration, environ)
        if trouble:
            troubles.append((url, trouble))

    each(ask, asked, len(asked))
    left = len(troubles) < len(asked) or _local(configuration, urls, names)
    found = []
    for url, trouble in sorted(troubles):
        kind = fault if trouble.certain and not left else warning
        said = f"the package index {_shown(url)} {trouble.said}"
        found.append(kind(trouble.code, said, trouble.hint).at((fields or {}).get(url, "packages")))
    return found


def addresses(configuration: Configuration) -> list[str]:
    """Return the addresses of the indexes that pip would ask."""
    more = configuration.get("extra-index-url", "").split()
    return list(dict.fromkeys([configuration.get("index-url") or PUBLIC, *more]))


def _local(configuration: Configuration, urls: Sequence[str], names: Sequence[str]) -> bool:
    """Whether directories of this host may have all of these packages."""
    there: set[str] = set()
    links = configuration.get("find-links", "").split()
    for place in [*links, *urls]:
        path = place[len("file://") :] if place.startswith("file:///") else place
        if path.startswith("/") and os.path.isdir(path):
            # Wheels, or the pages of an index.
            for name in os.listdir(path):
                there.update((versions.normalise(name), versions.normalise(name.split("-")[0])))
        elif place in links and (not path.startswith("/") or os.path.exists(path)):
            return True  # a page of links: only reading it would tell
    return there.issuperset(names)


def _ask(url: str, name: str, configuration: Configuration, environ: Mapping[str, str]) -> _Trouble | None:
    parts = urlsplit(url)
    if parts.scheme == "http" and not _trusted(parts, configuration) and not _loopback(parts.hostname or ""):
        return _Trouble("index-refused", "is ignored by pip, as it is plain http", PLAIN)
    try:
        with reach(page(url, name), configuration, environ):
            return None
    except urllib.error.HTTPError as error:
        return _answered(error.code, configuration)
    except urllib.error.URLError as error:
        return _unreached(error.reason, configuration)
    except (OSError, http.client.HTTPException) as error:
        return _unreached(error, configuration)


def page(url: str, name: str) -> str:
    """Return the address of the page that an index has of a package."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/{name}/", parts.query, ""))


def reach(url: str, configuration: Configuration, environ: Mapping[str, str], accept: str = "*/*") -> Any:
    """Open an address as pip would; what it answers can be read, and is closed as a context.

    Raises:
        OSError: also for an HTTP error.
        http.client.HTTPException: its answer is no HTTP.
    """
    parts = urlsplit(url)
    bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
    request = urllib.request.Request(bare, headers={"User-Agent": "provision", "Accept": accept})
    password = _password(parts, parts.hostname or "", environ)
    if password:
        request.add_unredirected_header("Authorization", password)
    opener = _opener(configuration, _trusted(parts, configuration), environ)
    return opener.open(request, timeout=TIMEOUT)


def _trusted(parts: Any, configuration: Configuration) -> bool:
    names = {parts.hostname or "", f"{parts.hostname}:{parts.port}"}
    return not names.isdisjoint(configuration.get("trusted-host", "").split())


def _answered(status: int, configuration: Configuration) -> _Trouble | None:
    if status in (401, 403):
        keyring = configuration.get("keyring-provider", "auto") not in ("auto", "disabled")
        return _Trouble("index-refused", f"refused access (HTTP {status})", ACCESS, not keyring)
    if status == 407:
        return _Trouble("index-unreachable", "is behind a proxy that wants a password (HTTP 407)", REACH)
    if status >= 500:
        return _Trouble("index-unreachable", f"answered HTTP {status}", "try again later")
    return None  # another index may have the package


def _unreached(error: Any, configuration: Configuration) -> _Trouble:
    if isinstance(error, ssl.SSLCertVerificationError):
        # pip brings authorities of its own; those of a host without any say nothing.
        own = ssl.get_default_verify_paths()
        known = bool(configuration.get("cert")) or any(map(_filled, (own.cafile, own.capath)))
        return _Trouble("index-refused", f"is not trusted: {cause(error)}", TRUST, known)
    if "407" in str(error):
        return _Trouble("index-unreachable", "is behind a proxy that wants a password (HTTP 407)", REACH)
    return _Trouble("index-unreachable", f"cannot be reached: {cause(error)}", REACH)


def _filled(path: str | None) -> bool:
    try:
        return bool(path) and (os.path.isfile(str(path)) or bool(os.listdir(str(path))))
    except OSError:
        return False


def _opener(
    configuration: Configuration, trusted: bool, environ: Mapping[str, str]
) -> urllib.request.OpenerDirector:
    bundle = environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE") or configuration.get("cert")
    context = ssl.create_default_context(
        cafile=bundle if bundle and os.path.isfile(bundle) else None,
        capath=bundle if bundle and os.path.isdir(bundle) else None,
    )
    if trusted:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    proxy = configuration.get("proxy")
    handlers: list[Any] = [urllib.request.HTTPSHandler(context=context)]
    handlers += [urllib.request.ProxyHandler({"http": proxy, "https": proxy})] if proxy else []
    return urllib.request.build_opener(*handlers)


def _password(parts: Any, host: str, environ: Mapping[str, str]) -> str | None:
    """Return the header with the user and password of the URL, or of ~/.netrc."""
    user, secret = parts.username, parts.password
    if user is None:
        try:
            known = netrc.netrc(environ.get("NETRC")).authenticators(host)
        except (OSError, netrc.NetrcParseError):
            known = None
        if known is None:
            return None
        user, secret = known[0], known[2]
    text = f"{unquote(user)}:{unquote(secret or '')}"
    return "Basic " + base64.b64encode(text.encode()).decode()


def _shown(url: str) -> str:
    """Return a URL without the password in it."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _loopback(host: str) -> bool:
    if host in ("localhost", "::1"):
        return True
    try:
        return socket.inet_aton(host)[0] == 127
    except OSError:
        return False
