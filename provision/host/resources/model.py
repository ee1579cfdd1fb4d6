"""A model's files on the host: fetched from a hub and held against a manifest, or already there."""

from __future__ import annotations

import fnmatch
import os
from typing import Sequence

from provision.host.failure import Failure
from provision.host.files.paths import free_bytes, human, make_directories, mount_point, remove_empty
from provision.host.machine import Machine
from provision.host.models import classes, fetch
from provision.host.models import manifest as manifests
from provision.host.models.contents import FILLED, Contents
from provision.host.models.hubs import hub
from provision.host.models.hubs.listing import Hub, Listing, RemoteFile
from provision.host.models.manifest import Manifest
from provision.host.preflight import needs
from provision.host.resource import Changes, Resource, State
from provision.wire.events import Work
from provision.wire.finding import Finding, information, warning
from provision.wire.specs.model import ModelSpec

TIMEOUT = 15.0
"""Seconds that the hub is waited for."""

SHOWN = 20
"""Files listed by name in a plan; a model may have thousands."""


class Model(Resource):
    """A directory with a model: a snapshot of one revision in a hub, or a directory that somebody else fills.

    `actual` asks no hub: it compares the files with the manifest that was written when they were correct. A
    file whose modification time is not the recorded one is read again; a deep run reads all. Files that are
    not part of the model are never touched.
    """

    type = "model"
    Spec = ModelSpec
    spec: ModelSpec
    identity = ("path", "source")
    waits = True

    def __init__(self, id: str, spec: ModelSpec) -> None:
        super().__init__(id, spec)
        self.path = spec.path
        self._contents = Contents(spec.path)
        self._seen: tuple[State, State] | None = None
        self._differs = False
        """The last look has found something to do."""
        self._bad: set[str] = set()
        """The files of the manifest that it has found to be wrong."""

    # -- looking ------------------------------------------------------------------------------------------

    def expected(self, machine: Machine) -> State:
        """Return what is declared; `files` is there only when some are wrong: the size each should have."""
        self._seen = self._look(machine)
        self._differs = self._seen[0] != self._seen[1]
        return self._seen[0]

    def actual(self, machine: Machine) -> State:
        """Return what is there, with the same keys."""
        (_, actual), self._seen = self._seen or self._look(machine), None
        return actual

    def _look(self, machine: Machine) -> tuple[State, State]:
        if self.spec.expects:
            classes.check(self.path, self.spec.expects)
        if self.spec.source == "path":
            expected: State = {"directory": FILLED}
            actual: State = {"directory": self._contents.state()}
            missing = self._missing_required() if actual == expected else []
            _put_files(expected, actual, dict.fromkeys(missing, ("missing", "required")))
            if expected != actual and not self.spec.made_by:
                raise self._unusable()  # nothing in the play can repair it
            return expected, actual
        wanted = _title(self.spec)
        manifest = manifests.load(self.path)
        if manifest is None:
            found = self._contents.names()
            there = f"{len(found)} files, not known to be this model" if found else None
            return {"snapshot": wanted}, {"snapshot": there}
        expected, actual = {"snapshot": wanted}, {"snapshot": _title(manifest)}
        if not manifest.complete:
            total = len(manifest.files) + len(manifest.pending)
            actual["snapshot"] = f"{actual['snapshot']}, incomplete: {len(manifest.files)} of {total} files"
        bad = manifests.wrong(self.path, manifest.files, machine.deep)
        self._bad = set(bad)
        files = {name: (what, human(manifest.files[name].size)) for name, what in bad.items()}
        if manifest.complete:
            files.update({n: ("missing", "required") for n in self._missing_required() if n not in files})
        _put_files(expected, actual, files)
        return expected, actual

    def edition(self, machine: Machine) -> str | None:
        """Return which snapshot is there; None for a directory that somebody else fills."""
        manifest = None if self.spec.source == "path" else manifests.load(self.path)
        return _title(manifest) if manifest else None

    def _missing_required(self) -> list[str]:
        required = self._required()
        return _without(required, self._contents.names()) if required else []

    def _required(self) -> list[str]:
        """Return the files that its services need; more are known once its configuration is there."""
        more = classes.files(self.path, self.spec.expects) if self.spec.expects else []
        return sorted({*self.spec.required, *more})

    def work(self, machine: Machine, changes: Changes) -> Work | None:
        """Return the bytes to download, when the hub tells them in time."""
        try:
            wanted = self._foresee(machine)
        except Failure:
            return None  # `unobtainable` tells it
        return Work(bytes=sum(file.size for file in wanted)) if wanted else None

    def notes(self, machine: Machine) -> list[Finding]:
        """Return what somebody else has yet to bring, and what no rollback would bring back."""
        if not self._differs:
            return []
        if self.spec.source != "path":
            former, wanted = self.edition(machine), _title(self.spec)
            if former is None or former == wanted:
                return []
            message = (
                f"{wanted} takes the place of {former} in {self.path}; a rollback does not bring it back"
            )
            return [information("replaced-in-place", message, "give it another `directory` to keep both")]
        may = f"{', '.join(self.spec.made_by)} may bring it"
        return [warning("model-incomplete", self._unusable().message, may)]

    def fetches(self, machine: Machine, changes: Changes) -> Sequence[needs.Fetch]:
        """Return the room that the download takes, when the hub tells."""
        try:
            wanted = self._foresee(machine)
        except Failure:
            return []
        size = self._contents.missing_bytes(wanted)
        return [needs.Fetch(self.path, size, size, self.spec.source, len(wanted))]

    def unobtainable(self, machine: Machine, changes: Changes) -> Sequence[Finding]:
        """Return why the hub will not give it."""
        try:
            self._foresee(machine)
        except Failure as failure:
            moved = failure.code == "hub-unreachable" and self.spec.endpoint
            return [failure.finding.at("endpoint" if moved else self.spec.source)]
        return []

    def _foresee(self, machine: Machine) -> list[RemoteFile]:
        """Return what is to be downloaded, judged by size and record: a plan does not read whole models."""
        if self.spec.source == "path":
            return []
        selected = machine.attempt(("foreseen", self.id), lambda: self._select(self._listing(machine)))
        if isinstance(selected, Failure):
            raise selected
        manifest = manifests.load(self.path)
        known = manifest.files if manifest else {}
        return [
            file
            for file in selected
            if not self._contents.has(file)
            or file.path in self._bad
            or (file.path in known and file.sha256 not in (None, known[file.path].sha256))
        ]

    # -- fixing -------------------------------------------------------------------------------------------

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Download what is missing or damaged, and nothing else; what has arrived of a file is kept.

        Raises:
            Failure: the hub, the disk or the download does not allow it.
        """
        if self.spec.source == "path":
            raise self._unusable()
        kind = hub(self.spec.source)
        listing = self._listing(machine)
        selected = self._select(listing)
        before = manifests.load(self.path)
        known = before.files if before else {}
        directories = before.directories if before else []
        if not os.path.isdir(self.path):
            directories = make_directories(self.path)[:-1]
        good = self._contents.verify(machine, self.id, filter(self._contents.has, selected), known)
        wanted = [file for file in selected if file.path not in good]
        self._contents.discard(wanted)
        # Files of another revision go: a loader would read every *.safetensors.
        self._contents.delete(known.keys() - {file.path for file in selected})
        self._check_space(machine, wanted)

        def save(complete: bool) -> None:
            manifests.save(
                self.path,
                Manifest(
                    source=self.spec.source,
                    repo=self.spec.repo,
                    revision=self.spec.revision,
                    allow=list(self.spec.allow),
                    ignore=list(self.spec.ignore),
                    commit=listing.commit,
                    complete=complete,
                    files=good,
                    pending=[file.path for file in selected if file.path not in good],
                    directories=directories,
                ),
            )

        save(complete=False)
        again = False
        while wanted:
            failure = self._download(machine, kind, listing, wanted, set(good) | {manifests.NAME})
            came = list(filter(self._contents.has, wanted))
            good.update(self._contents.verify(machine, self.id, came, {}))
            try:
                save(complete=False)
            except OSError:
                if failure is None:
                    raise  # otherwise the disk is full, and that has been found already
            self._contents.discard(file for file in came if file.path not in good)
            wanted = [file for file in wanted if file.path not in good]
            if failure is not None and not (isinstance(failure, fetch.Interrupted) and failure.progress):
                raise failure
            if failure is None and wanted:
                if again:
                    raise _not_delivered(kind, listing, self.spec.repo, wanted, came)
                again = True
        self._contents.clean()
        save(complete=True)

    def _unusable(self) -> Failure:
        """Return what is wrong with a directory that somebody else fills."""
        state = self._contents.state()
        if state == FILLED:
            missing = ", ".join(self._missing_required())
            return Failure(
                "model-incomplete", f"{self.path} has no {missing}", hint="the model there is incomplete"
            )
        what = {None: "does not exist", "empty": "is empty"}.get(state, f"is {state}")
        return Failure(
            "model-incomplete",
            f"{self.path} {what} on this host",
            hint="put the model there, or name it by modelscope: or huggingface: to have it downloaded",
        )

    def _listing(self, machine: Machine) -> Listing:
        spec = self.spec
        kind = hub(spec.source)
        where = (spec.repo, spec.revision, spec.endpoint, spec.token)
        return machine.once(("listing", spec.source, *where), lambda: kind.listing(*where, TIMEOUT))

    def _select(self, listing: Listing) -> list[RemoteFile]:
        """Return the files that the patterns leave; what is required must be among them."""
        spec = self.spec
        kind = hub(spec.source)
        selected = [file for file in listing.files if kind.selects(file.path, spec.allow, spec.ignore)]
        for file in selected:
            if os.path.isabs(file.path) or ".." in file.path.split("/"):
                raise Failure(
                    "download-failed",
                    f"{kind.title} lists a file outside of the directory of {spec.repo}: {file.path}",
                )
        if not selected:
            why = "every file is left out by allow and ignore" if listing.files else "it has no files"
            raise Failure("model-incomplete", f"nothing to download of {spec.repo}@{spec.revision}: {why}")
        missing = _without(self._required(), [file.path for file in selected])
        if missing:
            elsewhere = not _without(missing, [file.path for file in listing.files])
            raise Failure(
                "model-incomplete",
                f"{spec.repo}@{spec.revision} has no {', '.join(missing)}, which its service needs",
                hint="allow or ignore leaves it out" if elsewhere else "is it the right model?",
            )
        return selected

    def _check_space(self, machine: Machine, wanted: Sequence[RemoteFile]) -> None:
        need, free = self._contents.missing_bytes(wanted), free_bytes(self.path)
        if need > free and "disk-full" not in machine.ignored:
            raise Failure(
                "disk-full",
                f"{self.spec.repo} needs {human(need)}, {human(free)} free on {mount_point(self.path)}",
                hint="free some space there, or give the model another directory",
            )

    def _download(
        self, machine: Machine, kind: Hub, listing: Listing, wanted: Sequence[RemoteFile], kept: set[str]
    ) -> Failure | None:
        watch = fetch.Download(
            machine, self.id, self.path, kept, sum(file.size for file in wanted), self.spec.repo
        )
        before = fetch.arrived(self.path, kept)
        watch.start()
        try:
            fetch.fetch(machine, self.id, kind, listing, self.spec, wanted)
        except fetch.Interrupted as interrupted:
            interrupted.progress = fetch.arrived(self.path, kept) > before
            return interrupted
        except Failure as failure:
            return failure
        finally:
            watch.stop()
        return None

    # -- removing -----------------------------------------------------------------------------------------

    def remove(self, machine: Machine) -> bool:
        """Delete the files that the manifest lists, and directories left empty; nothing of a local path."""
        manifest = manifests.load(self.path)
        if self.spec.source == "path" or manifest is None:
            return False
        self._contents.delete([*manifest.files, *manifest.pending])
        self._contents.clean(".msc", ".mv", manifests.NAME)
        if remove_empty(self.path):
            for directory in reversed(manifest.directories):
                remove_empty(directory)
        return True


def _title(of: ModelSpec | Manifest) -> str:
    """Return a snapshot in a few words: "modelscope owner/name@master, only *.json, without *.bin"."""
    only = ", only " + " ".join(sorted(of.allow)) if of.allow else ""
    without = ", without " + " ".join(sorted(of.ignore)) if of.ignore else ""
    return f"{of.source} {of.repo}@{of.revision}{only}{without}"


def _put_files(expected: State, actual: State, files: dict[str, tuple[str, str]]) -> None:
    """Add the key `files` to both states when some are wrong, the first few by name."""
    if not files:
        return
    shown = sorted(files)[:SHOWN]
    actual["files"] = {name: files[name][0] for name in shown}
    expected["files"] = {name: files[name][1] for name in shown}
    if len(files) > SHOWN:
        actual["files"]["..."] = f"{len(files) - SHOWN} more are missing or damaged"
        expected["files"]["..."] = "whole"


def _without(patterns: Sequence[str], paths: Sequence[str]) -> list[str]:
    """Return the patterns that no path matches."""
    return [p for p in patterns if not any(fnmatch.fnmatchcase(path, p) for path in paths)]


def _not_delivered(
    kind: Hub, listing: Listing, repo: str, wanted: Sequence[RemoteFile], came: Sequence[RemoteFile]
) -> Failure:
    names = ", ".join(file.path for file in wanted[:5])
    if any(file in came for file in wanted):
        return Failure(
            "damaged-download",
            f"{names} of {repo} arrived damaged twice: the sha256 is not the one that {kind.title} lists",
            hint=f"the hub or a proxy on the way gives a wrong file; try another endpoint ({kind.variable})",
        )
    return Failure(
        "download-failed",
        f"{kind.library} succeeded, but did not download {names} of {repo} from {listing.endpoint}",
    )
