"""Filling a model's directory from its hub: only what is missing or wrong is downloaded."""

from __future__ import annotations

import fnmatch
import os
from typing import Iterable, Sequence

from provision.host.failure import Failure
from provision.host.files.paths import free_bytes, human, make_directories, mount_point
from provision.host.machine import Machine
from provision.host.models import beside, fetch, locking
from provision.host.models import manifest as manifests
from provision.host.models.contents import Contents
from provision.host.models.hubs import hub
from provision.host.models.hubs.listing import Listing, RemoteFile
from provision.host.models.manifest import Manifest, Record
from provision.host.state import durable
from provision.wire.specs.model import ModelSpec

TIMEOUT = 15.0
"""Seconds that the hub is waited for."""


class Snapshot:
    """One revision of a model on a hub, and the directory that is to have its files.

    Args:
        machine: where the directory is.
        id: the model's resource, in whose name progress is told.
        spec: what is declared.
        required: the files that its services cannot do without.
    """

    def __init__(self, machine: Machine, id: str, spec: ModelSpec, required: Sequence[str]) -> None:
        self._machine = machine
        self._id = id
        self._spec = spec
        self._required = required
        self._hub = hub(spec.source)
        self._contents = Contents(spec.path)

    def listing(self) -> Listing:
        """Return what the hub lists: of the locked commit, where the revision has moved on.

        Raises:
            Failure: it does not answer, or has no such model.
        """
        listing, lock = self._listing(self._spec.revision), self._spec.locked
        if lock is None or lock.commit in (None, listing.commit):
            return listing
        if not locking.differing(listing.files, lock):
            return listing
        try:
            earlier = self._listing(str(lock.commit))
        except Failure:
            return listing  # a hub that does not give commits
        return earlier if not locking.differing(earlier.files, lock) else listing

    def _listing(self, revision: str) -> Listing:
        spec = self._spec
        where = (spec.repo, revision, spec.endpoint, spec.token)
        found: Listing = self._machine.once(
            ("listing", spec.source, *where), lambda: self._hub.listing(*where, TIMEOUT)
        )
        return found._replace(revision=revision)

    def wanted(self, listing: Listing) -> list[RemoteFile]:
        """Return the files that the patterns leave; what is required must be among them.

        Raises:
            Failure: something required is not, or nothing is left.
        """
        spec, kind = self._spec, self._hub
        selected = [file for file in listing.files if kind.selects(file.path, spec.allow, spec.ignore)]
        self._contents.check_inside([file.path for file in selected], f"{kind.title} lists {spec.repo} with")
        if spec.locked:
            selected = locking.exactly(selected, spec.locked, spec.repo)
        if not selected:
            why = "every file is left out by allow and ignore" if listing.files else "it has no files"
            raise Failure("model-incomplete", f"nothing to download of {spec.repo}@{spec.revision}: {why}")
        missing = without(self._required, [file.path for file in selected])
        if missing:
            elsewhere = not without(missing, [file.path for file in listing.files])
            raise Failure(
                "model-incomplete",
                f"{spec.repo}@{spec.revision} has no {', '.join(missing)}, which its service needs",
                hint="allow or ignore leaves it out" if elsewhere else "is it the right model?",
            )
        return selected

    def lacking(self, bad: Iterable[str]) -> tuple[list[RemoteFile], list[RemoteFile]]:
        """Return what is to be downloaded, and what is linked from a model beside it, judged by size and
        record: a plan does not read whole models.

        Args:
            bad: files of which more is known: they are damaged.

        Raises:
            Failure: the hub does not tell.
        """
        damaged = set(bad)
        selected = self.wanted(self.listing())
        known, before = self._known(selected), manifests.load(self._spec.path)
        wrong = damaged | ((before.files.keys() if before else set()) - known.keys())
        missing = [file for file in selected if not self._contents.has(file) or file.path in wrong]
        near = beside.Beside(self._spec)
        links = [file for file in missing if near.twin(file)]
        return [file for file in missing if file not in links], links

    def _known(self, selected: Sequence[RemoteFile]) -> dict[str, Record]:
        """Return what is recorded of files that are as the hub lists them, as far as that tells."""
        before = manifests.load(self._spec.path)
        if before is None:
            return {}
        same = manifests.title(before) == manifests.title(self._spec)
        return {
            file.path: before.files[file.path]
            for file in selected
            if file.path in before.files
            and (before.files[file.path].sha256 == file.sha256 or (same and file.sha256 is None))
        }

    def obtain(self) -> None:
        """Download what is missing or damaged, and nothing else; what has arrived of a file is kept.

        Raises:
            Failure: the hub, the disk or the download does not allow it.
        """
        machine, spec, contents = self._machine, self._spec, self._contents
        listing = self.listing()
        selected = self.wanted(listing)
        before = manifests.load(spec.path)
        directories = before.directories if before else []
        known = self._known(selected)
        if not os.path.isdir(spec.path):
            directories = make_directories(spec.path)[:-1]
        good: dict[str, Record] = {}

        def save(complete: bool) -> None:
            manifests.save(
                spec.path,
                Manifest(
                    source=spec.source,
                    repo=spec.repo,
                    revision=spec.revision,
                    allow=list(spec.allow),
                    ignore=list(spec.ignore),
                    commit=listing.commit,
                    complete=complete,
                    files=good,
                    pending=[file.path for file in selected if file.path not in good],
                    directories=directories,
                ),
            )

        if before is None and beside.apart(spec):
            save(complete=False)  # it is known as ours from its first file on
        good.update(contents.verify(machine, self._id, filter(contents.has, selected), known))
        wanted = [file for file in selected if file.path not in good]
        contents.discard(wanted)
        linked = beside.Beside(spec).link(wanted)
        came = [file for file in wanted if file.path in linked]
        good.update(contents.verify(machine, self._id, came, linked))
        wanted = [file for file in selected if file.path not in good]
        contents.discard(wanted)
        # Files of another revision go: a loader would read every *.safetensors.
        contents.delete((before.files.keys() if before else set()) - {file.path for file in selected})
        self._check_space(wanted)
        save(complete=False)
        again = False
        while wanted:
            failure = self._download(listing, wanted, {*good, manifests.NAME})
            came = list(filter(contents.has, wanted))
            good.update(contents.verify(machine, self._id, came, {}))
            try:
                save(complete=False)
            except OSError:
                if failure is None:
                    raise  # otherwise the disk is full, and that has been found already
            contents.discard(file for file in came if file.path not in good)
            wanted = [file for file in wanted if file.path not in good]
            if failure is not None and not (isinstance(failure, fetch.Interrupted) and failure.progress):
                raise failure
            if failure is None and wanted:
                if again:
                    raise self._not_delivered(listing, wanted, came)
                again = True
        contents.clean()
        durable.settle(spec.path)
        save(complete=True)

    def _check_space(self, wanted: Sequence[RemoteFile]) -> None:
        path = self._spec.path
        need, free = self._contents.missing_bytes(wanted), free_bytes(path)
        if need > free and "disk-full" not in self._machine.ignored:
            raise Failure(
                "disk-full",
                f"{self._spec.repo} needs {human(need)}, {human(free)} free on {mount_point(path)}",
                hint="free some space there, or give the model another directory",
            )

    def _download(self, listing: Listing, wanted: Sequence[RemoteFile], kept: set[str]) -> Failure | None:
        path, total = self._spec.path, sum(file.size for file in wanted)
        watch = fetch.Download(self._machine, self._id, path, kept, total, self._spec.repo)
        before = fetch.arrived(path, kept)
        watch.start()
        try:
            fetch.fetch(self._machine, self._id, self._hub, listing, self._spec, wanted)
        except fetch.Interrupted as interrupted:
            interrupted.progress = fetch.arrived(path, kept) > before
            return interrupted
        except Failure as failure:
            return failure
        finally:
            watch.stop()
        return None

    def _not_delivered(
        self, listing: Listing, wanted: Sequence[RemoteFile], came: Sequence[RemoteFile]
    ) -> Failure:
        kind, repo = self._hub, self._spec.repo
        names = ", ".join(file.path for file in wanted[:5])
        if any(file in came for file in wanted):
            return Failure(
                "damaged-download",
                f"{names} of {repo} arrived damaged twice: the sha256 is not the one that {kind.title} lists",
                hint="the hub or a proxy on the way gives a wrong file; "
                f"try another endpoint ({kind.variable})",
            )
        return Failure(
            "download-failed",
            f"{kind.library} succeeded, but did not download {names} of {repo} from {listing.endpoint}",
        )


def without(patterns: Sequence[str], paths: Sequence[str]) -> list[str]:
    """Return the patterns that no path matches."""
    return [p for p in patterns if not any(fnmatch.fnmatchcase(path, p) for path in paths)]
