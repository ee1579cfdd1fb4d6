"""The wheel of uv, fetched without pip: a host that has no environment yet has no pip either."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import time
import zipfile
from functools import partial
from typing import Any, Iterator, Mapping, NamedTuple
from urllib.parse import unquote, urldefrag

from provision.host.python import indexes, libc, listings, versions
from provision.host.python.pip_configuration import Configuration

LEAST = "0.8"
"""The oldest release that knows all that is asked of it here."""

SECONDS = 40.0
"""How long the wheel, of about 20 MB, may take to come."""

BLOCK = 1 << 20

_WHEEL = re.compile(r"uv-([0-9.]+)-py3-none-(\S+)\.whl$")


class _Wheel(NamedTuple):
    version: str
    place: str
    """A path, or an address; its fragment may hold the hash of the file."""


def fetch(configuration: Configuration, environ: Mapping[str, str], directory: str) -> str | None:
    """Put the newest uv that runs here into a directory; return its path, or None where there is none.

    Args:
        configuration: of pip, with what the environment declares: where it may come from.
        environ: the variables that pip would have.
        directory: of our own.

    Raises:
        OSError: it does not come, or it is damaged.
    """
    newest: _Wheel | None = None
    for wheel in _offered(configuration, environ):
        if newest is None or versions.compare(wheel.version, newest.version) > 0:
            newest = wheel
    if newest is None or versions.compare(newest.version, LEAST) < 0:
        return None
    packed, path = os.path.join(directory, "uv.whl"), os.path.join(directory, "uv")
    try:
        _copy(newest.place, packed, configuration, environ)
        with zipfile.ZipFile(packed) as archive:
            name = next(each for each in archive.namelist() if each.endswith("/scripts/uv"))
            with archive.open(name) as source, open(path, "wb") as target:
                shutil.copyfileobj(source, target, BLOCK)
    except (zipfile.BadZipFile, http.client.HTTPException, StopIteration):
        raise OSError(f"{newest.place} is damaged") from None
    os.unlink(packed)
    os.chmod(path, 0o755)
    return path


def _offered(configuration: Configuration, environ: Mapping[str, str]) -> Iterator[_Wheel]:
    """Give the wheels of uv for this machine, of all directories and indexes."""
    for page in listings.pages(configuration, "uv"):
        for place in listings.links(page, configuration, environ):
            found = _WHEEL.match(unquote(urldefrag(place)[0].rpartition("/")[2]))
            if found and any(map(_runs_here, found[2].split("."))):
                yield _Wheel(found[1], place)


def _runs_here(tag: str) -> bool:
    """Whether a wheel with a platform tag such as `manylinux_2_17_x86_64` is for this machine."""
    found = re.fullmatch(r"(many|musl)linux_(\d+)_(\d+)_(\w+)", tag)
    if found is None or found[4] != os.uname().machine:
        return False
    here = libc.glibc()
    if here is None or found[1] == "musl":
        return here is None and found[1] == "musl"
    return versions.compare(here, f"{found[2]}.{found[3]}") >= 0


def _copy(place: str, target: str, configuration: Configuration, environ: Mapping[str, str]) -> None:
    """Write what is at a place to a path, and hold it against the hash that the place names."""
    address, named = urldefrag(place)
    path, digest, ends = listings.path_of(address), hashlib.sha256(), time.monotonic() + SECONDS
    reading: Any = (
        partial(open, path, "rb") if path else partial(indexes.reach, address, configuration, environ)
    )
    with reading() as source, open(target, "wb") as file:
        for block in iter(lambda: source.read(BLOCK), b""):
            if time.monotonic() > ends:
                raise OSError(f"it takes longer than {SECONDS:.0f} s")
            digest.update(block)
            file.write(block)
    kind, _, wanted = named.partition("=")
    if kind == "sha256" and wanted != digest.hexdigest():
        raise OSError(f"{address} is damaged")
