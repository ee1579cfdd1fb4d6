"""Models side by side: each declaration of a model has a directory of its own.

`models/owner/.3f9a2c1b/name` is filled beside `models/owner/.91d0c7aa/name`, from which a server runs. That
one stays as it is, whatever becomes of the download, and of the service with the new one. What both have is
on the disk once: a file of a model is replaced, never written to.

Versions before this had one directory, `models/owner/name`. It stays in use until it differs from what is
declared.
"""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING, Iterable, Iterator

from provision.host.files import paths
from provision.host.models import contents
from provision.host.models import manifest as manifests

if TYPE_CHECKING:
    from provision.host.models.hubs.listing import RemoteFile
    from provision.host.models.manifest import Manifest, Record
    from provision.wire.specs.model import ModelSpec


def in_use(spec: ModelSpec) -> str:
    """Return the directory that a model has on this host: as declared, or that of an older version."""
    stem = spec.stem
    if stem is None or os.path.islink(stem) or manifests.load(spec.path):
        return spec.path
    if os.path.ismount(stem):
        return stem  # a disk for this model: beside it would be another disk
    found = manifests.load(stem)
    if found is None:
        # Somebody may have copied the files there: they are read, not fetched again.
        return stem if os.path.isdir(stem) and os.listdir(stem) else spec.path
    return stem if manifests.title(found) == manifests.title(spec) else spec.path


def apart(spec: ModelSpec) -> bool:
    """Whether a model has a directory of its own declaration: nothing else is ever in it."""
    return spec.stem is not None and spec.path != spec.stem


class Beside:
    """The models near a model's directory, of which it may have files.

    Args:
        spec: the model.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._by_hash: dict[tuple[str, int], tuple[str, Record]] = {}
        self._by_name: dict[tuple[str, int], list[tuple[str, Record]]] = {}
        for directory, manifest in self._models():
            for name, record in manifest.files.items():
                found = (os.path.join(directory, name), record)
                self._by_hash[record.sha256, record.size] = found
                self._by_name.setdefault((name, record.size), []).append(found)

    def _models(self) -> Iterator[tuple[str, Manifest]]:
        if not apart(self._spec):
            return
        above = glob.escape(os.path.dirname(self._spec.stem or ""))
        for path in glob.glob(f"{above}/*/{manifests.NAME}") + glob.glob(f"{above}/.*/*/{manifests.NAME}"):
            directory = os.path.dirname(path)
            manifest = manifests.load(directory)
            if manifest and directory != self._spec.path and not os.path.islink(directory):
                yield directory, manifest

    def twin(self, file: RemoteFile) -> tuple[str, Record] | None:
        """Return a file with the content that the hub lists, and what is recorded of it."""
        if file.sha256:
            found = self._by_hash.get((file.sha256, file.size))
            return found if found and _untouched(*found) else None
        for path, record in self._by_name.get((file.path, file.size), ()):
            if file.git_sha1 and _untouched(path, record) and manifests.git_sha1(path) == file.git_sha1:
                return path, record
        return None

    def link(self, files: Iterable[RemoteFile]) -> dict[str, Record]:
        """Make links for files of which there is a twin; return what is recorded of each."""
        linked = {}
        for file in files:
            found = self.twin(file)
            if found:
                path = os.path.join(self._spec.path, file.path)
                paths.make_directories(os.path.dirname(path))
                try:
                    os.link(found[0], path)
                except OSError:
                    continue  # another disk, or one without links: it is downloaded
                linked[file.path] = found[1]
        return linked


def _untouched(path: str, record: Record) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (record.size, record.mtime_ns)


def lead(spec: ModelSpec, only_first: bool = False) -> None:
    """Let the name of a model lead to this directory, for people and their scripts.

    Args:
        spec: the model.
        only_first: not if it already leads to another one.
    """
    if apart(spec) and spec.stem:
        paths.lead(spec.stem, spec.path, only_first)


def remove(path: str) -> bool:
    """Delete a model's directory: the files of its manifest, and what is empty then; True when it was there.

    A file that somebody else has put there stays, and the directory with it.
    """
    manifest = manifests.load(path)
    if manifest is None:
        return False
    found = contents.Contents(path)
    found.delete([*manifest.files, *manifest.pending])
    found.clean(".msc", ".mv", manifests.NAME)
    if paths.remove_empty(path):
        _unlead(path)
        for directory in reversed(manifest.directories):
            paths.remove_empty(directory)
    return True


def _unlead(path: str) -> None:
    """Remove the name of a model whose directory is gone."""
    above, name = os.path.split(path)
    link = os.path.join(os.path.dirname(above), name)
    if os.path.islink(link) and os.path.realpath(link) == path:
        os.unlink(link)
