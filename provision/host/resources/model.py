"""A model's files on the host: fetched from a hub and held against a manifest, or already there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable, Iterable, Sequence

from provision.host import kind
from provision.host.failure import Failure
from provision.host.files.paths import human
from provision.host.machine import Machine
from provision.host.models import beside, classes, locking, pickles, snapshot
from provision.host.models import manifest as manifests
from provision.host.models.contents import FILLED, Contents
from provision.host.preflight import needs
from provision.host.resource import Changes, Resource, State
from provision.wire.events import Work
from provision.wire.finding import Finding, information, warning
from provision.wire.specs.model import LockedModel, ModelSpec

if TYPE_CHECKING:
    from provision.host.models.hubs.listing import RemoteFile

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
    identity = ("path", "stem", "source")
    waits = True

    def __init__(self, id: str, spec: ModelSpec) -> None:
        super().__init__(id, spec)
        self.path = spec.path
        self._contents = Contents(spec.path)
        self._seen: tuple[State, State] | None = None
        self._apart = beside.apart(spec)
        self._was_whole = False
        """At the last look it had all its files, right or wrong: services may run from it."""
        self._differs = False
        """The last look has found something to do."""
        self._bad: dict[str, str] = {}
        """The files that it has found to be wrong, and how they are."""

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
        wanted = manifests.title(self.spec)
        manifest = manifests.load(self.path)
        self._was_whole = manifest is not None and manifest.complete
        if manifest is None:
            found = self._contents.names()
            there = f"{len(found)} files, not known to be this model" if found else None
            return {"snapshot": wanted}, {"snapshot": there}
        expected, actual = {"snapshot": wanted}, {"snapshot": manifests.title(manifest)}
        if not manifest.complete:
            total = len(manifest.files) + len(manifest.pending)
            actual["snapshot"] = f"{actual['snapshot']}, incomplete: {len(manifest.files)} of {total} files"
        bad = manifests.wrong(self.path, manifest.files, machine.deep)
        if self.spec.locked and manifest.complete:
            bad.update(locking.wrong(manifest.files, self.spec.locked))
        self._bad = bad
        files = {name: (what, _whole(what, manifest.files.get(name))) for name, what in bad.items()}
        if manifest.complete:
            files.update({n: ("missing", "required") for n in self._missing_required() if n not in files})
        _put_files(expected, actual, files)
        return expected, actual

    def moved(self, machine: Machine) -> dict[str, str]:
        """Return the directory of an older version, as long as nothing else is declared."""
        path = beside.in_use(self.spec)
        return {self.spec.path: path} if path != self.spec.path else {}

    def restarts(self, changes: Changes) -> bool:
        """Whether it changes where services run from it: what is filled beside that, they do not notice."""
        return self._was_whole or not self._apart

    def edition(self, machine: Machine) -> str | None:
        """Return which snapshot is there; None for a directory that somebody else fills."""
        manifest = None if self.spec.source == "path" else manifests.load(self.path)
        return manifests.title(manifest) if manifest else None

    def taken(self, machine: Machine) -> LockedModel | None:
        """Return its files, as its manifest has them; None for a directory that somebody else fills.

        Raises:
            Failure: it is not there.
        """
        if self.spec.source == "path":
            return None
        manifest = manifests.load(self.path)
        if manifest is None:
            raise kind.not_as_declared()
        files = {name: record.sha256 for name, record in sorted(manifest.files.items())}
        return LockedModel(commit=manifest.commit, files=files)

    def _missing_required(self) -> list[str]:
        required = self._required()
        return snapshot.without(required, self._contents.names()) if required else []

    def _required(self) -> list[str]:
        """Return the files that its services need; more are known once its configuration is there."""
        more = classes.files(self.path, self.spec.expects) if self.spec.expects else []
        return sorted({*self.spec.required, *more})

    def work(self, machine: Machine, changes: Changes) -> Work | None:
        """Return the bytes to download, when the hub tells them in time, and what is here already."""
        try:
            missing, linked = self._lacking(machine)
        except Failure:
            return None  # `unobtainable` tells it
        if not missing and not linked:
            return None
        former = os.path.realpath(self.spec.stem or self.path)
        return Work(
            bytes=_size(missing) or None,
            linked=_size(linked) or None,
            beside=former if self._apart and former != self.path and os.path.isdir(former) else None,
        )

    def told(self, machine: Machine, changes: Changes) -> list[str]:
        """Return which snapshot comes."""
        return [manifests.title(self.spec)] if "snapshot" in changes and self.spec.source != "path" else []

    def notes(self, machine: Machine) -> list[Finding]:
        """Return what somebody else has yet to bring, what no rollback brings back, and pickles."""
        hub = self.spec.source != "path"
        return [*self._changed(machine), *pickles.note(self._names(machine), hub, bool(self.spec.expects))]

    def _names(self, machine: Machine) -> Iterable[str]:
        """Return its files: those that it has, or, before a download, those that the hub lists."""
        if self.spec.source == "path":
            return self._contents.names()
        manifest = manifests.load(self.path)
        if manifest is not None and manifest.complete:
            return manifest.files
        try:
            return [file.path for files in self._lacking(machine) for file in files]
        except Failure:
            return []  # `unobtainable` tells it

    def _changed(self, machine: Machine) -> list[Finding]:
        if not self._differs:
            return []
        if self.spec.locked and locking.OTHER in self._bad.values():
            other = [name for name, what in sorted(self._bad.items()) if what == locking.OTHER]
            return [kind.drift(self.spec.locked.lock, other)]
        if self.spec.source != "path":
            former, wanted = self.edition(machine), manifests.title(self.spec)
            if former is None or former == wanted:
                return []
            message = (
                f"{wanted} takes the place of {former} in {self.path}; a rollback does not bring it back"
            )
            return [
                information(
                    "replaced-in-place", message, "let the service name or mount its directory, to keep both"
                )
            ]
        may = f"{', '.join(self.spec.made_by)} may bring it"
        return [warning("model-incomplete", self._unusable().message, may)]

    def fetches(self, machine: Machine, changes: Changes) -> Sequence[needs.Fetch]:
        """Return the room that the download takes, when the hub tells."""
        try:
            missing, _ = self._lacking(machine)
        except Failure:
            return []
        size = self._contents.missing_bytes(missing)
        return [needs.Fetch(self.path, size, size, self.spec.source, len(missing))]

    def unobtainable(self, machine: Machine, changes: Changes) -> Sequence[Finding]:
        """Return why the hub will not give it."""
        try:
            self._lacking(machine)
        except Failure as failure:
            moved = failure.code == "hub-unreachable" and self.spec.endpoint
            return [failure.finding.at("endpoint" if moved else self.spec.source)]
        return []

    def _lacking(self, machine: Machine) -> tuple[list[RemoteFile], list[RemoteFile]]:
        """Return what is to be downloaded, and what is linked instead."""
        if self.spec.source == "path":
            return [], []
        found = machine.attempt(("lacking", self.id), lambda: self._snapshot(machine).lacking(self._bad))
        if isinstance(found, Failure):
            raise found
        return found

    def _snapshot(self, machine: Machine) -> snapshot.Snapshot:
        return snapshot.Snapshot(machine, self.id, self.spec, self._required())

    # -- fixing -------------------------------------------------------------------------------------------

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Download what is missing or damaged, and nothing else; what has arrived of a file is kept.

        Raises:
            Failure: the hub, the disk or the download does not allow it.
        """
        if self.spec.source == "path":
            raise self._unusable()
        self._snapshot(machine).obtain()
        beside.lead(self.spec, only_first=True)

    def tidy(self, machine: Machine, used: Callable[[str], bool]) -> None:
        """Delete the directories that this model had before and that nothing uses any more."""
        if not beside.apart(self.spec):
            return
        for path in self.former:
            if not used(path) and beside.remove(path):
                machine.note("model-removed", f"{path} is removed: nothing uses it any more")
        beside.lead(self.spec)

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

    # -- removing -----------------------------------------------------------------------------------------

    def remove(self, machine: Machine) -> bool:
        """Delete the files that the manifests list, also of what was declared before, and directories left
        empty; nothing of a local path.
        """
        if self.spec.source == "path":
            return False
        found = [beside.remove(path) for path in (self.path, *self.former)]
        return any(found)


def _put_files(expected: State, actual: State, files: dict[str, tuple[str, str | None]]) -> None:
    """Add the key `files` to both states when some are wrong, the first few by name."""
    if not files:
        return
    shown = sorted(files)[:SHOWN]
    actual["files"] = {name: files[name][0] for name in shown}
    expected["files"] = {name: files[name][1] for name in shown}
    if len(files) > SHOWN:
        actual["files"]["..."] = f"{len(files) - SHOWN} more are missing or damaged"
        expected["files"]["..."] = "whole"


def _whole(what: str, record: manifests.Record | None) -> str | None:
    """Return how a file should be that is `what`."""
    if record is None or what in locking.EXPECTED:
        return locking.EXPECTED.get(what, "as locked")
    return human(record.size)


def _size(files: Sequence[RemoteFile]) -> int:
    return sum(file.size for file in files)
