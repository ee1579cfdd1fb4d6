"""A parameter of the kernel: its value now, and after a reboot."""

from __future__ import annotations

import fnmatch
import os

from provision.host import causes
from provision.host.failure import Failure
from provision.host.files import atomic
from provision.host.machine import Machine
from provision.host.resource import Changes, Resource, State
from provision.wire.specs.sysctl import SysctlSpec

FILES = "sysctl.d"
"""The shared read of what the files say."""

LIVE = "/proc/sys"
"""Where the kernel shows its parameters."""

OWN = "/etc/sysctl.d"
"""Where files of the administrator are."""

MANAGED = "# Written by provision. What is changed here is undone by the next apply."
"""The first line of a file of ours."""

DIRECTORIES = (OWN, "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
"""Where systemd reads parameters at boot; of two files with one name the first counts (sysctl.d(5))."""


class Sysctl(Resource):
    """A parameter that has a value now (`live`) and will have it after a reboot (`boot`).

    Each has a file of its own, which is read after the usual ones. When the parameter is removed, it gets the
    value that the other files give it; without one it keeps its value until the next boot.
    """

    type = "sysctl"
    Spec = SysctlSpec
    spec: SysctlSpec
    identity = ("name",)

    def expected(self, machine: Machine) -> State:
        """Return the declared value, for now and for the next boot."""
        return {"live": self.spec.value, "boot": self.spec.value}

    def actual(self, machine: Machine) -> State:
        """Return the value that the kernel has, and the one that the files will give it at boot."""
        said = self._said(machine)
        return {"live": self._live(), "boot": said[0] if said else None}

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Set the value, then write the file: a value that the kernel refuses is not kept.

        Raises:
            Failure: the kernel does not know the parameter, or does not take the value.
        """
        if "live" in changes:
            self._set(self.spec.value)
        if "boot" in changes:
            text = f"{MANAGED}\n{self.spec.name} = {self.spec.value}\n"
            try:
                os.makedirs(OWN, exist_ok=True)
                atomic.write(self._file, text.encode("utf-8"), 0o644)
            except OSError as error:
                raise causes.failure(error, self._file) from None
            machine.forget(FILES)

    def there(self, actual: State) -> bool:
        """Whether our own file is there: every parameter has a value."""
        return os.path.lexists(self._file)

    def new(self, changes: Changes) -> bool:
        """Return False: a parameter is never absent, so a plan shows what it is now."""
        return False

    def missed(self, machine: Machine, changes: Changes) -> Failure | None:
        """Say which file takes precedence over ours, or that the kernel has made another value of it."""
        said = self._said(machine)
        if "boot" in changes and said:
            return Failure(
                "sysctl-refused",
                f"{self.spec.name} will be {said[0]} after a reboot: {said[1]} comes after our file",
                hint="take it out of that file, or declare the same value",
            )
        if "live" in changes:
            found = changes["live"][0]
            message = f"the kernel has set {self.spec.name} to {found} instead of {self.spec.value}"
            return Failure(
                "sysctl-refused", message, hint="declare a value that the kernel accepts unchanged"
            )
        return None

    def remove(self, machine: Machine) -> bool:
        """Remove our file, and set what the other files say; True when it was there."""
        gone = atomic.remove(self._file)
        machine.forget(FILES)
        said = self._said(machine)
        if gone and said and self._live() is not None:
            self._set(said[0])
        return gone

    @property
    def _path(self) -> str:
        """The parameter as a path: the first separator says which of `.` and `/` separates (sysctl.d(5))."""
        return _path(self.spec.name)

    @property
    def _file(self) -> str:
        """The file of this parameter, which comes after 99-sysctl.conf."""
        return f"{OWN}/99-zz-provision-{self._path.replace('/', '.')}.conf"

    def _live(self) -> str | None:
        try:
            with open(f"{LIVE}/{self._path}", encoding="utf-8", errors="replace") as file:
                return " ".join(file.read().split())
        except OSError:
            return None

    def _set(self, value: str) -> None:
        name = self.spec.name
        try:
            with open(f"{LIVE}/{self._path}", "w", encoding="utf-8") as file:
                file.write(value + "\n")
        except FileNotFoundError:
            hint = "correct the name, or load the kernel module that provides it first"
            raise Failure("sysctl-refused", f"the kernel has no parameter {name}", hint=hint) from None
        except OSError as error:
            why = error.strerror or str(error)
            hint = "declare a value that it accepts"
            if not os.access(f"{LIVE}/{self._path}", os.W_OK):
                hint = "it is read-only here: in a container, set it on the host"
            raise Failure("sysctl-refused", f"{name} cannot be set to {value}: {why}", hint=hint) from None

    def _said(self, machine: Machine) -> tuple[str, str] | None:
        """Return what the files set at boot, and which; None when they say nothing of this parameter."""
        exact = general = None
        for name, value, file in machine.once(FILES, _settings):
            if name == self._path:
                exact = value, file
            elif "*" in name and fnmatch.fnmatchcase(self._path, name):
                general = value, file
        return exact or general


def _path(name: str) -> str:
    first = next((character for character in name if character in "./"), "/")
    return name if first == "/" else name.translate({ord("."): "/", ord("/"): "."})


def _settings() -> list[tuple[str, str, str]]:
    """Return what is set at boot, in this order: the parameter as a path, its value, and the file."""
    files: dict[str, str] = {}
    for directory in reversed(DIRECTORIES):
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        files.update((name, f"{directory}/{name}") for name in names if name.endswith(".conf"))
    settings = []
    for _, path in sorted(files.items()):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = [line.strip() for line in file]
        except OSError:
            continue
        pairs = [line.lstrip("-").partition("=") for line in lines if line[:1] not in ("#", ";")]
        settings += [
            (_path(name.strip()), " ".join(value.split()), path) for name, is_set, value in pairs if is_set
        ]
    return settings
