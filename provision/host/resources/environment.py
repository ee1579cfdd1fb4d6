"""A Python environment: the interpreter it is made from and what is installed in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import urllib.parse
from typing import Any

from provision.host.failure import Failure
from provision.host.files.paths import delete, make_directories
from provision.host.light import plainjson
from provision.host.machine import TAIL, Machine
from provision.host.python import inside, installing, interpreters, pip, versions
from provision.host.python.dist_info import (
    Distribution,
    damaged_files,
    leftovers,
    read,
    site_packages,
    top_level,
)
from provision.host.resource import Changes, Resource, State
from provision.host.state import durable
from provision.wire.events import Work
from provision.wire.specs.environment import EnvironmentSpec, Requirement

MANIFEST = ".provision-environment.json"
"""What the last successful installation left: the requirements, and every package by version."""

MARKER = ".provision-installing"
"""There while pip works; when it is found later, an installation was interrupted."""

ANY = "any version"

_MAKE = "import os, sys, venv; os.umask(0o022); venv.main(sys.argv[1:])"


class Environment(Resource):
    """A virtual environment with the declared packages, and whatever these need.

    `actual` reads files; it starts the environment's Python only when that is not the one of the last look. A
    package that came along with a requirement is compared with what the last installation recorded, so one
    removed by hand is seen. In `packages` only what differs is listed.
    """

    type = "environment"
    Spec = EnvironmentSpec
    spec: EnvironmentSpec
    identity = ("path",)
    waits = True

    def __init__(self, id: str, spec: EnvironmentSpec) -> None:
        super().__init__(id, spec)
        self.path = spec.path
        self.python = spec.python or interpreters.DEFAULT
        self._seen: _Look | None = None

    def expected(self, machine: Machine) -> State:
        """Return the interpreter, and for each package that differs what it should be; None: not there."""
        self._seen = _Look(self, machine)
        return self._seen.expected

    def actual(self, machine: Machine) -> State:
        """Return the same keys as they are; every value is None when there is no environment at all."""
        seen, self._seen = self._seen or _Look(self, machine), None
        return seen.actual

    def work(self, machine: Machine, changes: Changes) -> Work | None:
        """Return what pip is going to install."""
        look = _Look(self, machine)
        raw = {_name(entry) or entry.raw: entry.raw for entry in self.spec.requirements}
        missing = [name for name, wanted in look.wrong.items() if wanted[1] is not None]
        install = [raw.get(name) or f"{name}{look.wrong[name][1]}" for name in missing]
        return Work(install=install) if install else None

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Make or mend the environment with the least work: an intact package is not installed again.

        Raises:
            Failure: no such interpreter, or pip failed. The environment is then marked as interrupted.
        """
        look = _Look(self, machine)
        if look.actual["python"] != look.expected["python"]:
            self._make(machine, look)
            look = _Look(self, machine)
        durable.write(os.path.join(self.path, MARKER), "")
        site = look.site
        if site is None:
            raise Failure("pip-failed", f"{self.path}: the new environment has no site-packages")
        for path in [*leftovers(site), os.path.join(self.path, pip.TEMPORARY)]:
            delete(path)
        for distribution in look.damaged:
            delete(distribution.metadata)  # so that pip installs it anew, over what is there
        before = read(site)
        try:
            self._install(machine, look, site)
        except pip.Unchanged:
            if not look.interrupted and not look.damaged and read(site) == before:
                durable.remove(os.path.join(self.path, MARKER))
            raise
        self._record(machine, site)
        durable.remove(os.path.join(self.path, MARKER))

    def remove(self, machine: Machine) -> bool:
        """Delete the environment's directory."""
        if not _is_environment(self.path):
            return False
        shutil.rmtree(self.path)
        return True

    # -- making -------------------------------------------------------------------------------------------

    def _make(self, machine: Machine, look: _Look) -> None:
        """Make the environment, or only its interpreter anew when its packages are for the same Python."""
        base = interpreters.require(machine, self.python)
        if os.path.isdir(self.path) and os.listdir(self.path) and not _is_environment(self.path):
            raise Failure(
                "already-there",
                f"{self.path} is there already and is no Python environment",
                hint="move it away, or give the environment another path",
            )
        make_directories(self.path)
        durable.write(os.path.join(self.path, MARKER), "")
        site = site_packages(self.path, base.minor)
        arguments = [base.path, "-I", "-c", _MAKE, self.path]
        if site is None:
            for name in os.listdir(self.path):
                if name != MARKER:
                    delete(os.path.join(self.path, name))
        else:
            binaries = os.path.join(self.path, "bin")
            for name in os.listdir(binaries) if os.path.isdir(binaries) else []:
                if name == "python" or name.startswith("python3"):
                    delete(os.path.join(binaries, name))  # venv leaves a dangling link as it is
            if any(distribution.name == "pip" for distribution in read(site)):
                arguments.append("--without-pip")
        machine.output(self.id, f"making {self.path} with Python {base.version} ({base.path})")
        ended = machine.run(arguments, check=False, on_line=lambda line: machine.output(self.id, line))
        if ended.code != 0:
            lines = ended.out.splitlines()
            raise Failure(
                "pip-failed",
                "Python {} could not make the environment {}: {}".format(
                    base.version, self.path, lines[-1].strip() if lines else "it said nothing"
                ),
                hint="the disk is full" if "No space left" in ended.out else None,
                log=lines[-TAIL:],
            )
        if not look.interrupted:
            durable.remove(os.path.join(self.path, MARKER))

    # -- installing ---------------------------------------------------------------------------------------

    def _install(self, machine: Machine, look: _Look, site: str) -> None:
        here = {distribution.name: distribution for distribution in read(site)}
        if "pip" not in here:
            machine.run([os.path.join(self.path, "bin", "python"), "-I", "-m", "ensurepip"])
            here = {distribution.name: distribution for distribution in read(site)}
        raw_progress = "pip" in here and versions.compare(here["pip"].version, "24.1") >= 0
        tool = pip.Pip(machine, self.id, self.spec, raw_progress)
        if look.misplaced:
            tool.uninstall(look.misplaced)
        everything = look.incomplete
        if look.recorded and not everything:
            try:
                tool.install(look.recorded, dependencies=False)
            except Failure as failure:
                if "No matching distribution" not in failure.message:
                    raise
                everything = True  # a recorded version that is no longer offered: let pip choose
        if everything and self.spec.requirements:
            installing.install(tool, self.spec.installer, [entry.raw for entry in self.spec.requirements])
        excluded = {versions.normalise(name) for name in self.spec.exclude}
        unwanted = sorted({d.name for d in read(site) if d.name in excluded})
        if unwanted:
            tool.uninstall(unwanted)

    def _record(self, machine: Machine, site: str) -> None:
        here = read(site)
        names = {distribution.name for distribution in here}
        excluded = {versions.normalise(name) for name in self.spec.exclude}
        declared = {name for name in map(_name, self.spec.requirements) if name}
        manifest = {
            "version": 1,
            "requirements": [entry.raw for entry in self.spec.requirements],
            "skipped": sorted(declared - names - excluded),
            "idle": self._idle(machine),
            "unnamed": {
                entry.raw: _name_by_url(entry, {d.name: d for d in here})
                for entry in self.spec.requirements
                if not _name(entry)
            },
            "packages": {
                d.name: {"version": d.version, "source": _source(d), "entries": top_level(d)} for d in here
            },
        }
        durable.write(os.path.join(self.path, MANIFEST), json.dumps(manifest, indent=1) + "\n")

    def _idle(self, machine: Machine) -> list[str]:
        """Return the requirements whose environment marker does not hold for this environment's Python."""
        marked = [entry.raw for entry in self.spec.requirements if entry.marker]
        if not marked:
            return []
        asked = machine.run(inside.command(self.path, "idle"), input=json.dumps(marked))
        return [raw for raw in json.loads(asked.out) if raw in marked]


class _Look:
    """An environment as it is found: what is expected and actual, and what mending it takes."""

    def __init__(self, environment: Environment, machine: Machine) -> None:
        self.environment = environment
        self.spec = environment.spec
        self.path = environment.path
        manifest = _manifest(self.path)
        # Those whose environment marker does not hold here, as this environment's pip has found.
        idle = manifest.get("idle", ())
        self.requirements = [
            entry for entry in self.spec.requirements if not entry.marker or entry.raw not in idle
        ]
        self.excluded = {versions.normalise(name) for name in self.spec.exclude}
        self.wrong: dict[str, tuple[Any, Any]] = {}
        """Package -> (actual, expected)."""
        self.incomplete = False
        """A declared requirement is not met: pip has to resolve all of them."""
        self.recorded: list[str] = []
        """Packages that only the record asks for, as pip would write them."""
        self.damaged: list[Distribution] = []
        self.misplaced: list[str] = []
        """Packages that are there, but from elsewhere than declared."""
        self.interrupted = os.path.exists(os.path.join(self.path, MARKER))
        there = _is_environment(self.path)
        python, version = self._python(machine) if there else (None, None)
        self.site = site_packages(self.path, version) if there else None
        self._packages(machine, manifest)
        self.expected: State = {"python": environment.python, "packages": _column(self.wrong, 1)}
        self.actual: State = {"python": python, "packages": _column(self.wrong, 0) if there else None}
        if self.interrupted:
            self.incomplete = True
            self.expected["installation"], self.actual["installation"] = "complete", "interrupted"

    # -- the interpreter ----------------------------------------------------------------------------------

    def _python(self, machine: Machine) -> tuple[str, str | None]:
        """Return what to say of bin/python (the declared name: it is right), and whose packages count."""
        wanted = self.environment.python
        path = os.path.join(self.path, "bin", "python")
        if not os.path.lexists(path):
            return "missing", None
        if not os.path.exists(path):
            return f"{os.readlink(path)} is gone", None
        if not os.path.exists(os.path.join(self.path, "pyvenv.cfg")):
            return "pyvenv.cfg is missing", None
        found = interpreters.look(machine, path)
        if found is None:
            return "does not start", None
        if site_packages(self.path, found.minor) is None:
            return f"{found.version}, with packages for another Python", None
        if not interpreters.satisfies(machine, wanted, found):
            return f"{found.version} ({found.base})", None
        return wanted, found.minor

    # -- the packages -------------------------------------------------------------------------------------

    def _packages(self, machine: Machine, manifest: dict[str, Any]) -> None:
        record: dict[str, dict[str, Any]] = manifest.get("packages", {})
        here: dict[str, Distribution] = {}
        for distribution in read(self.site) if self.site else []:
            damage = self._damage(machine, distribution, record.get(distribution.name, {}))
            if distribution.name in here:
                damage = "it is there twice"
                self.damaged.append(here[distribution.name])
            if damage:
                self.damaged.append(distribution)
                self.wrong[distribution.name] = (f"{distribution.version}, but {damage}", ANY)
            here[distribution.name] = distribution
        for entry in self.requirements:
            self._requirement(entry, here, manifest)
        for name in sorted(self.excluded & set(here)):
            self.wrong[name] = (here[name].version, None)
        self._constraints(here)
        declared = {_name(entry) for entry in self.requirements} | self.excluded | {"pip"}
        for name, was in record.items():
            found, wanted = self.wrong.get(name, (here[name].version if name in here else None, ANY))
            if name in declared or wanted != ANY or (name not in self.wrong and found == was["version"]):
                continue
            self.wrong[name] = (found, "=={}".format(was["version"]))
            self.recorded.append(was["source"] or "{}=={}".format(name, was["version"]))
        if any(name not in record and name not in declared for name in self.wrong):
            self.incomplete = True

    def _damage(self, machine: Machine, distribution: Distribution, was: dict[str, Any]) -> str | None:
        if distribution.damage:
            return str(distribution.damage)
        site = os.path.dirname(distribution.metadata)
        if was.get("version") == distribution.version:
            for entry in was.get("entries", []):
                if not os.path.lexists(os.path.join(site, entry)):
                    return f"{entry} is missing"
        if machine.deep or self.interrupted:
            files = damaged_files(distribution)
            if files:
                return "{} is missing or damaged{}".format(
                    files[0], f" (and {len(files) - 1} more)" if len(files) > 1 else ""
                )
        return None

    def _requirement(
        self, entry: Requirement, here: dict[str, Distribution], manifest: dict[str, Any]
    ) -> None:
        name = _name(entry) or _name_by_url(entry, here)
        wanted = _wanted(entry)
        if name is None:
            self.incomplete = True
            self.wrong[entry.raw] = (None, wanted)
            self._former(here, manifest)
            return
        found = here.get(name)
        if found is None:
            if name in manifest.get("skipped", ()) and entry.raw in manifest.get("requirements", ()):
                return  # its environment marker does not hold on this host
            self.incomplete = True
            self.wrong[name] = (None, wanted)
        elif name in self.wrong:
            self.incomplete = True
            self.wrong[name] = (self.wrong[name][0], wanted)
        elif not versions.matches(found.version, entry.specifiers):
            self.incomplete = True
            self.wrong[name] = (found.version, wanted)
        elif entry.url and not _came_from(found, entry):
            self.incomplete = True
            self.misplaced.append(name)
            self.wrong[name] = (f"{found.version} from elsewhere", wanted)
        elif entry.extras and entry.raw not in manifest.get("requirements", ()):
            self.incomplete = True
            self.wrong[name] = (
                "{}, not known to have [{}]".format(found.version, ",".join(entry.extras)),
                wanted,
            )

    def _former(self, here: dict[str, Distribution], manifest: dict[str, Any]) -> None:
        """Have what came from a place that is no longer declared taken out: the same version from another
        place would not replace it.
        """
        declared = {entry.raw for entry in self.spec.requirements}
        for raw, name in manifest.get("unnamed", {}).items():
            if raw not in declared and name in here and name not in self.misplaced:
                self.misplaced.append(name)

    def _constraints(self, here: dict[str, Distribution]) -> None:
        """Hold what is installed against the constraints that are written out."""
        for text in self.spec.constraints:
            if pip.is_location(text) or ";" in text or "@" in text:
                continue
            name, specifiers = _constraint(text)
            found = here.get(name)
            if found and name not in self.wrong and not versions.matches(found.version, specifiers):
                self.incomplete = True
                self.wrong[name] = (found.version, "".join(a + b for a, b in specifiers))


def _is_environment(path: str) -> bool:
    return any(os.path.exists(os.path.join(path, name)) for name in ("pyvenv.cfg", MANIFEST, MARKER))


def _manifest(path: str) -> dict[str, Any]:
    """Return what the last installation recorded; nothing when there is no record that can be read."""
    try:
        found = plainjson.loads(durable.read(os.path.join(path, MANIFEST)) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.get("version") == 1 else {}


def _column(wrong: dict[str, tuple[Any, Any]], index: int) -> dict[str, Any]:
    return {name: wrong[name][index] for name in sorted(wrong)}


def _name(entry: Requirement) -> str | None:
    return versions.normalise(entry.name) if entry.name else None


def _wanted(entry: Requirement) -> str:
    """Return what a requirement asks for, without its name: "==0.33.0", "[standard]", "any version"."""
    if entry.url:
        return str(entry.url)
    extras = "[{}]".format(",".join(entry.extras)) if entry.extras else ""
    return extras + ",".join(a + b for a, b in entry.specifiers) or ANY


def _name_by_url(entry: Requirement, here: dict[str, Distribution]) -> str | None:
    """Return the package that came from the URL or path of a requirement that gives no name."""
    for name, distribution in here.items():
        if _came_from(distribution, entry):
            return name
    return None


def _came_from(distribution: Distribution, entry: Requirement) -> bool:
    """Tell whether a package was installed from the URL or path of a requirement."""
    direct = distribution.direct_url
    if direct is None:
        return False
    if bool(direct.get("dir_info", {}).get("editable")) != entry.editable:
        return False
    url, _, fragment = str(entry.url or "").partition("#")
    part = [
        value[len("subdirectory=") :] for value in fragment.split("&") if value.startswith("subdirectory=")
    ]
    if (direct.get("subdirectory") or "") != "".join(part[:1]):
        return False
    there = str(direct.get("url")).partition("#")[0]
    if url.startswith(("/", "file:")):
        return _path(url) == _path(there)
    source = direct.get("vcs_info")
    if not source:
        return _unquoted(url) == _unquoted(there)
    kind, _, rest = url.partition("+")
    place, at, revision = rest.rpartition("@")
    if not at or "/" not in place.partition("://")[2]:  # what is before the @ is the user of the server
        place, revision = rest, ""
    return bool(
        kind == source.get("vcs")
        and _unquoted(place) == _unquoted(there)
        and revision in (source.get("requested_revision") or "", source.get("commit_id"))
    )


def _unquoted(url: str) -> str:
    return urllib.parse.unquote(url).rstrip("/")


def _path(url: str) -> str:
    path = url
    if url.startswith("file://"):
        path = urllib.parse.unquote(url[len("file://") :])
    return os.path.realpath(path)


def _source(distribution: Distribution) -> str | None:
    """Return how to ask pip for a package that came from no index; None for one that did."""
    direct = distribution.direct_url
    if direct is None:
        return None
    url = str(direct["url"])
    if direct.get("dir_info", {}).get("editable"):
        return "-e " + _path(url)
    source = direct.get("vcs_info")
    if source:
        url = "{}+{}@{}".format(source["vcs"], url, source["commit_id"])
    if direct.get("subdirectory"):
        url += "#subdirectory=" + str(direct["subdirectory"])
    return f"{distribution.name} @ {url}"


def _constraint(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Return name and specifiers: "numpy>=1.26,<2" -> ("numpy", [(">=", "1.26"), ("<", "2")])."""
    name = re.split(r"[\s=<>!~;\[]", text.strip(), maxsplit=1)[0]
    operators = text.strip()[len(name) :]
    specifiers = re.findall(r"(===|==|~=|!=|<=|>=|<|>)\s*([^,\s]+)", operators)
    return versions.normalise(name), specifiers
