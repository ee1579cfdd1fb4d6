"""Many small text files below one directory that belong together: a program that is copied to the host."""

from __future__ import annotations

import os

from provision.host import causes
from provision.host.files import atomic, nofollow
from provision.host.files.paths import remove_empty
from provision.host.machine import Machine
from provision.host.resource import Changes, Resource, State
from provision.host.resources.file import File
from provision.wire.specs.file import FileSpec
from provision.wire.specs.tree import TreeSpec

LEFT_OVER = "left over"
"""The key for Python sources of an earlier version of the program: they could still be imported."""


class Tree(Resource):
    """The files of a program.

    The state has a key for every file, so that a plan names the few that differ.
    """

    type = "tree"
    Spec = TreeSpec
    spec: TreeSpec
    identity = ("path",)

    def expected(self, machine: Machine) -> State:
        """Return the state of each file, and that nothing is left over."""
        return {**{name: file.expected(machine) for name, file in self._files().items()}, LEFT_OVER: None}

    def actual(self, machine: Machine) -> State:
        """Return the state found of each file."""
        found: State = {name: _found(file.actual(machine)) for name, file in self._files().items()}
        return {**found, LEFT_OVER: self._left_over() or None}

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Write the files that differ, then remove what is left over."""
        for name, file in self._files().items():
            if name in changes:
                self._make_parent(file.spec.path)
                file.fix(machine, {"content": (None, None)})
        for name in self._left_over():
            atomic.remove(os.path.join(self.spec.path, name))

    def diff(self, machine: Machine, changes: Changes) -> str | None:
        """Return the diffs of the files that were there before: a whole new program is not worth reading."""
        parts = [
            file.diff(machine, {"content": (None, None)})
            for name, file in self._files().items()
            if name in changes and changes[name][0] is not None
        ]
        return "\n".join(filter(None, parts)) or None

    def remove(self, machine: Machine) -> bool:
        """Remove the sources below the directory, what Python has cached of them, and empty directories."""
        there = False
        for directory, _, names in os.walk(self.spec.path, topdown=False):
            for name in names:
                if name.endswith((".py", ".pyc")):
                    there = atomic.remove(os.path.join(directory, name)) or there
            remove_empty(directory)
        return there

    def _make_parent(self, path: str) -> None:
        try:
            with nofollow.parent(path, create=True):
                pass
        except OSError as error:
            raise causes.failure(error, path) from None

    def _files(self) -> dict[str, File]:
        path, mode = self.spec.path, self.spec.mode
        return {
            name: File(self.id, FileSpec(path=os.path.join(path, name), content=content, mode=mode))
            for name, content in self.spec.files.items()
        }

    def _left_over(self) -> list[str]:
        root = self.spec.path
        found = [
            os.path.relpath(os.path.join(directory, name), root)
            for directory, _, names in os.walk(root)
            for name in names
            if name.endswith(".py")
        ]
        return sorted(name for name in found if name not in self.spec.files)


def _found(state: State) -> State | None:
    return state if any(value is not None for value in state.values()) else None
