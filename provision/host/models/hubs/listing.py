"""What a model hub is, and how it lists the files of a model."""

from __future__ import annotations

from typing import Callable, NamedTuple, Sequence


class RemoteFile(NamedTuple):
    """One file of a model as its hub lists it."""

    path: str
    """Relative, with "/" between its parts."""
    size: int
    sha256: str | None = None
    git_sha1: str | None = None
    """The id of the content as a git blob; Hugging Face gives this for small files."""


class Listing(NamedTuple):
    """The files of one revision of a model."""

    endpoint: str
    """The hub that has it."""
    commit: str | None
    files: Sequence[RemoteFile]


class Hub(NamedTuple):
    """One kind of hub."""

    title: str
    library: str
    """The package that downloads from it."""
    variable: str
    """The environment variable that names a mirror."""
    listing: Callable[[str, str, str | None, str | None, float], Listing]
    """(repo, revision, endpoint, token, timeout) -> Listing; raises `Failure`."""
    selects: Callable[[str, Sequence[str], Sequence[str]], bool]
    """(path, allow, ignore): whether the library would download this file."""
