"""Python environments, with the real venv and the real pip on an index of tiny wheels."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from provision.config.requirements import parse
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.python.dist_info import read, site_packages
from provision.host.python.look import MANIFEST, MARKER
from provision.host.resource import Changes, differences
from provision.host.resources.environment import Environment
from provision.wire.events import Work
from provision.wire.specs.environment import EnvironmentSpec, Requirement
from tests.host import heard
from tests.host.wheels import index, wheel

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def requirement(raw: str) -> Requirement:
    """Return what the controller makes of "demo-beta[more]==1.0"."""
    return parse(raw).spec()


class Host:
    """An environment's directory and the resource that keeps it."""

    def __init__(self, path: Path, wheels: Path) -> None:
        self.path = path
        self.wheels = wheels
        self.events: list[dict[str, Any]] = []
        self.spec = EnvironmentSpec(
            path=str(path),
            requirements=[requirement("demo-alpha==1.0")],
            index_url="file:///nonexistent/simple",
            find_links=[str(wheels)],
            installer="pip",
        )

    def machine(self, deep: bool = False) -> Machine:
        return Machine(heard.into(self.events), str(self.path.parent / "state"), deep)

    def environment(self, *raw: str, **other: Any) -> Environment:
        if raw:
            other["requirements"] = [requirement(text) for text in raw]
        return Environment("environment:e", self.spec.replace(**other))

    def look(self, *raw: str, deep: bool = False, **other: Any) -> Changes:
        environment, machine = self.environment(*raw, **other), self.machine(deep)
        return differences(environment.expected(machine), environment.actual(machine))

    def converge(self, *raw: str, deep: bool = False, **other: Any) -> Changes:
        """Fix what differs, find nothing left, and return what it was."""
        environment, machine = self.environment(*raw, **other), self.machine(deep)
        changes = differences(environment.expected(machine), environment.actual(machine))
        assert changes
        self.events.clear()
        environment.fix(machine, changes)
        assert differences(environment.expected(machine), environment.actual(machine)) == {}
        return changes

    def fails(self, *raw: str, **other: Any) -> Failure:
        environment = self.environment(*raw, **other)
        with pytest.raises(Failure) as caught:
            environment.fix(self.machine(), {})
        return caught.value

    @property
    def site(self) -> Path:
        found = site_packages(str(self.path))
        assert found is not None
        return Path(found)

    def installed(self) -> dict[str, str]:
        return {d.name: d.version for d in read(str(self.site)) if d.name.startswith("demo-")}

    def lines(self) -> str:
        return "\n".join(event["line"] for event in self.events if event["event"] == "output")

    def pip(self, *arguments: str) -> None:
        python = str(self.path / "bin/python")
        argv = [python, "-m", "pip", "-q", *arguments]
        if "install" in arguments:
            argv += ["--no-index", "--find-links", str(self.wheels)]
        subprocess.run(argv, check=True)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return index(tmp_path_factory.mktemp("index") / "wheels")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Path:
    """An environment that has converged, to be copied."""
    host = Host(tmp_path_factory.mktemp("template") / "environment", wheels)
    host.converge()
    return host.path


@pytest.fixture
def fresh(tmp_path: Path, wheels: Path) -> Host:
    return Host(tmp_path / "environments/e", wheels)


@pytest.fixture
def host(fresh: Host, template: Path) -> Host:
    """A host with an environment in its declared state."""
    shutil.copytree(template, fresh.path, symlinks=True)
    assert fresh.look() == {}
    return fresh


# -- making --------------------------------------------------------------------------------------------------


def test_makes_and_installs(fresh: Host) -> None:
    old = os.umask(0o077)
    try:
        changes = fresh.converge()
    finally:
        os.umask(old)
    assert changes == {"python": (None, "python3"), "packages": (None, {"demo-alpha": "==1.0"})}
    assert fresh.installed() == {"demo-alpha": "1.0", "demo-beta": "1.5", "demo-gamma": "1.0"}
    code = "import demo_alpha; print(demo_alpha.version)"
    python = str(fresh.path / "bin/python")
    assert subprocess.run([python, "-c", code], capture_output=True, text=True).stdout == "1.0\n"
    for path in [fresh.path.parent, fresh.path, *fresh.path.rglob("*")]:
        if not path.is_symlink():
            assert path.stat().st_mode & 0o044 == 0o044, path  # other users run what root has made
    assert not (fresh.path / MARKER).exists()
    assert "Installing collected packages" in fresh.lines()
    assert "provision-pip" not in fresh.lines()


def test_plan_says_what_is_installed_and_writes_nothing(fresh: Host) -> None:
    environment, machine = fresh.environment("demo-alpha==1.0", "demo-beta[more]"), fresh.machine()
    changes = differences(environment.expected(machine), environment.actual(machine))
    assert environment.work(machine, changes) == Work(install=["demo-alpha==1.0", "demo-beta[more]"])
    assert not fresh.path.parent.exists()


def test_look_leaves_an_environment_as_it_is(host: Host) -> None:
    def state() -> dict[str, int]:
        return {str(path): path.lstat().st_mtime_ns for path in [host.path, *host.path.rglob("*")]}

    before = state()
    host.look()
    host.look("demo-alpha==2.0", deep=True)
    assert state() == before


def test_without_packages(fresh: Host) -> None:
    fresh.converge(requirements=[])
    assert fresh.look(requirements=[]) == {}


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.12", "3.13"])
def test_interpreters(fresh: Host, version: str) -> None:
    found = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    if not found:
        pytest.skip(f"no Python {version} here")
    fresh.converge(python=str(found[0]))
    assert fresh.site.parent.name == f"python{version}"
    assert fresh.look(python=f"python{version}") == {}  # by version, wherever it is


def test_other_interpreter_is_a_rebuild(host: Host) -> None:
    other = sorted(Path.home().glob(".pyenv/versions/3.12.*/bin/python3.12"))
    if not other:
        pytest.skip("no second Python here")
    changes = host.converge(python=str(other[0]))
    assert list(changes) == ["python"]
    assert host.site.parent.name == "python3.12"
    assert host.installed()["demo-gamma"] == "1.0"


def test_no_such_interpreter(fresh: Host) -> None:
    failure = fresh.fails(python="python3.99")
    assert failure.message == "python3.99: no such Python on this host"
    assert not fresh.path.exists()


def test_interpreter_without_venv(fresh: Host, tmp_path: Path) -> None:
    """As on Debian without python3-venv: the modules are there, ensurepip is not."""
    python = tmp_path / "python3"
    base = os.path.realpath(shutil.which("python3") or "")
    python.write_text(
        "#!/bin/sh\n"
        f'exec {base} -c "import sys; from importlib.machinery import PathFinder as p; real = p.find_spec; '
        "p.find_spec = lambda n, *a: None if n == 'ensurepip' else real(n, *a); "
        'code = sys.argv[-1]; exec(code)" "$@"\n'
    )
    python.chmod(0o755)
    failure = fresh.fails(python=str(python))
    assert "cannot make environments: ensurepip is missing" in failure.message


def test_refuses_to_replace_what_is_no_environment(fresh: Host) -> None:
    fresh.path.mkdir(parents=True)
    (fresh.path / "thesis.txt").write_text("years of work")
    failure = fresh.fails()
    assert "is no Python environment" in failure.message
    assert (fresh.path / "thesis.txt").exists()
    assert fresh.environment().remove(fresh.machine()) is False


def test_adopts_an_environment_made_by_hand(fresh: Host) -> None:
    fresh.path.parent.mkdir()
    subprocess.run(["python3", "-m", "venv", str(fresh.path)], check=True)
    fresh.pip("install", "demo-alpha==1.0")
    assert fresh.look() == {}
    assert list(fresh.converge("demo-alpha==2.0")) == ["packages"]


# -- changes by hand -----------------------------------------------------------------------------------------


def test_python_deleted(host: Host) -> None:
    marker = host.site / "untouched"
    marker.touch()
    (host.path / "bin/python").unlink()
    assert host.converge() == {"python": ("missing", "python3")}
    assert marker.exists()
    assert "Installing" not in host.lines()  # the packages were whole


def test_python_dangling(host: Host) -> None:
    for name in ("python", "python3"):
        (host.path / "bin" / name).unlink()
    (host.path / "bin/python").symlink_to("/gone/python3")
    assert host.converge() == {"python": ("/gone/python3 is gone", "python3")}


def test_python_does_not_start(host: Host) -> None:
    python = host.path / "bin/python"
    python.unlink()
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    assert host.converge() == {"python": ("does not start", "python3")}


def test_pyvenv_cfg_deleted(host: Host) -> None:
    (host.path / "pyvenv.cfg").unlink()
    assert host.converge() == {"python": ("pyvenv.cfg is missing", "python3")}


def test_base_interpreter_upgraded(host: Host) -> None:
    """As after an upgrade of the distribution: bin/python is another version than the packages."""
    lib = host.site.parent
    lib.rename(lib.with_name("python3.7"))
    ((found, wanted),) = host.converge().values()
    assert "packages for another Python" in found
    assert wanted == "python3"
    assert host.installed()["demo-alpha"] == "1.0"


def test_declared_package_removed(host: Host) -> None:
    host.pip("uninstall", "-y", "demo-alpha")
    assert host.converge() == {"packages": ({"demo-alpha": None}, {"demo-alpha": "==1.0"})}


def test_dependency_removed(host: Host) -> None:
    host.pip("uninstall", "-y", "demo-gamma")
    environment, machine = host.environment(), host.machine()
    changes = differences(environment.expected(machine), environment.actual(machine))
    assert changes == {"packages": ({"demo-gamma": None}, {"demo-gamma": "==1.0"})}
    assert environment.work(machine, changes) == Work(install=["demo-gamma==1.0"])
    environment.fix(machine, changes)
    assert host.look() == {}
    assert "demo_alpha" not in host.lines()  # only what was missing


def test_dependency_changed(host: Host) -> None:
    host.pip("install", "demo-beta==1.0")
    assert host.converge() == {"packages": ({"demo-beta": "1.0"}, {"demo-beta": "==1.5"})}


def test_recorded_version_no_longer_offered(host: Host, wheels: Path, tmp_path: Path) -> None:
    less = tmp_path / "less"
    shutil.copytree(wheels, less)
    (less / "demo_beta-1.5-py3-none-any.whl").unlink()
    host.pip("uninstall", "-y", "demo-beta")
    host.converge(find_links=[str(less)])
    assert host.installed()["demo-beta"] == "1.0"


def test_package_directory_deleted(host: Host) -> None:
    shutil.rmtree(host.site / "demo_gamma")
    changes = host.converge()
    assert changes["packages"][0] == {"demo-gamma": "1.0, but demo_gamma is missing"}


def test_file_deep_inside_deleted(host: Host) -> None:
    (host.site / "demo_gamma/__init__.py").unlink()
    assert host.look() == {}
    changes = host.converge(deep=True)
    assert "demo_gamma/__init__.py is missing" in changes["packages"][0]["demo-gamma"]


@pytest.mark.parametrize("part", ["RECORD", "METADATA"])
def test_metadata_deleted(host: Host, part: str) -> None:
    (host.site / "demo_alpha-1.0.dist-info" / part).unlink()
    assert list(host.converge()["packages"][1]) == ["demo-alpha"]


def test_package_there_twice(host: Host) -> None:
    shutil.copytree(host.site / "demo_alpha-1.0.dist-info", host.site / "demo_alpha-0.9.dist-info")
    assert "twice" in host.converge()["packages"][0]["demo-alpha"]
    assert not (host.site / "demo_alpha-0.9.dist-info").exists()


def test_leftovers_of_a_killed_replacement_go(host: Host) -> None:
    (host.site / "~emo_gamma").mkdir()
    host.pip("uninstall", "-y", "demo-gamma")
    host.converge()
    assert not (host.site / "~emo_gamma").exists()


def test_pip_removed(host: Host) -> None:
    shutil.rmtree(host.site / "pip")
    for found in host.site.glob("pip-*"):
        shutil.rmtree(found)
    assert host.look() == {}  # nobody asked for pip
    host.converge("demo-alpha==2.0")


# -- declarations --------------------------------------------------------------------------------------------


def test_other_version(host: Host) -> None:
    assert host.converge("demo-alpha==2.0") == {"packages": ({"demo-alpha": "1.0"}, {"demo-alpha": "==2.0"})}


def test_excluded_package_stays_out(host: Host) -> None:
    changes = host.converge(exclude=["Demo_Gamma"])
    assert changes == {"packages": ({"demo-gamma": "1.0"}, {"demo-gamma": None})}
    host.converge("demo-alpha==2.0", exclude=["demo-gamma"])
    assert "demo-gamma" not in host.installed()


def test_extra_added_later(host: Host) -> None:
    changes = host.converge("demo-alpha==1.0", "demo-beta[more]")
    assert changes["packages"][1] == {"demo-beta": "[more]"}
    assert host.installed()["demo-delta"] == "1.0"


def test_constraint(host: Host) -> None:
    changes = host.converge(constraints=["demo-beta<1.2"])
    assert changes == {"packages": ({"demo-beta": "1.5"}, {"demo-beta": "<1.2"})}
    assert host.installed()["demo-beta"] == "1.0"


def test_constraints_file(fresh: Host, tmp_path: Path) -> None:
    file = tmp_path / "constraints.txt"
    file.write_text("demo-beta==1.0\n")
    fresh.converge(constraints=[str(file)])
    assert fresh.installed()["demo-beta"] == "1.0"


def test_marker_that_does_not_hold(host: Host) -> None:
    entry = requirement("demo-delta").replace(raw='demo-delta; python_version < "3"')
    host.converge(requirements=[requirement("demo-alpha==1.0"), entry])
    assert "demo-delta" not in host.installed()


def test_wheel_by_path(host: Host, tmp_path: Path) -> None:
    path = wheel(tmp_path, "demo-gamma", "9.0")
    entry = requirement(f"demo-gamma @ file://{path}").replace(
        specifiers=[]
    )  # as of a place that tells no version
    changes = host.converge(requirements=[requirement("demo-alpha==1.0"), entry])
    assert changes["packages"][0] == {"demo-gamma": "1.0 from elsewhere"}
    assert host.installed()["demo-gamma"] == "9.0"


def test_host_configuration_of_pip_counts(
    fresh: Host, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[global]\nfind-links = {wheels}\nno-index = true\nuser = true\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    fresh.converge(find_links=[], index_url=None)


# -- what can go wrong ---------------------------------------------------------------------------------------


def test_no_such_version(host: Host) -> None:
    failure = host.fails("demo-alpha==7")
    assert failure.message == "pip: No matching distribution found for demo-alpha==7"
    assert failure.hint == "the index offers 1.0, 2.0"
    assert host.look() == {}  # pip has touched nothing, so nothing is half done


def test_no_such_package(host: Host) -> None:
    failure = host.fails("demo-omega")
    assert "No matching distribution found for demo-omega" in failure.message
    assert "check the name" in str(failure.hint)


def test_conflict(host: Host) -> None:
    failure = host.fails("demo-clash", "demo-beta==1.5")
    assert "Cannot install" in failure.message
    assert "depends on demo-beta<1.2" in str(failure.hint)


def test_index_down(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_RETRIES", "1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        url = f"http://user:hunter2@127.0.0.1:{taken.getsockname()[1]}/simple"
        failure = host.fails("demo-omega", index_url=url)
    assert failure.message.startswith("the package index cannot be reached")
    assert "index_url" in str(failure.hint)
    assert "hunter2" not in json.dumps(host.events) + failure.message + str(failure.hint) + str(failure.log)


@root_only
def test_disk_full(fresh: Host, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", str(disk)], check=True)
    try:
        path = str(disk / "environment")
        environment, machine = fresh.environment("demo-alpha==1.0", path=path), fresh.machine()
        environment.fix(machine, {})
        room = os.statvfs(disk)
        (disk / "other").write_bytes(bytes((room.f_bavail - 200) * room.f_frsize))
        failure = fresh.fails("demo-alpha==1.0", "demo-heavy", path=path)
        assert failure.message.startswith("the disk is full")
        (disk / "other").unlink()
        heavy = fresh.environment("demo-alpha==1.0", "demo-heavy", path=path)
        assert differences(heavy.expected(machine), heavy.actual(machine))
        heavy.fix(machine, {})
        assert differences(heavy.expected(machine), heavy.actual(machine)) == {}
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_pip_killed_in_the_middle(host: Host) -> None:
    # The environment's Python reads this as it starts, and stays where it is at the hundredth file.
    halt = host.site / "halt.pth"
    reached = host.path.parent / "reached"
    stop = "(open(reached, 'w').close(), time.sleep(600))"
    halt.write_text(
        f"import sys, time; reached = {str(reached)!r}; sys.addaudithook(lambda name, args, reached=reached, "
        f"time=time: name == 'open' and str(args[0]).endswith('/demo_heavy/part100.py') and {stop})\n"
    )
    failures: list[Failure] = []
    thread = threading.Thread(target=lambda: failures.append(host.fails("demo-alpha==1.0", "demo-heavy")))
    thread.start()
    deadline = time.monotonic() + 180
    while not reached.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed = [pid for pid in _processes() if str(host.path).encode() in _command(pid)]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    thread.join()
    halt.unlink()
    assert killed
    assert failures[0].message == "pip was ended by signal 9"
    changes = host.converge("demo-alpha==1.0", "demo-heavy")
    assert changes["installation"] == ("interrupted", "complete")
    assert changes["packages"][1] == {"demo-heavy": "any version"}
    assert not (host.path / ".provision-tmp").exists()


def test_interrupted_after_a_file_was_lost(host: Host) -> None:
    """After a kill every file is looked at, not only what is cheap to see."""
    (host.path / MARKER).touch()
    (host.site / "demo_gamma/__init__.py").unlink()
    changes = host.converge()
    assert "demo-gamma" in changes["packages"][0]


def test_manifest_that_cannot_be_read(host: Host) -> None:
    (host.path / MANIFEST).write_text("{")
    assert host.look() == {}


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_remove(host: Host) -> None:
    assert host.environment().remove(host.machine()) is True
    assert not host.path.exists()
    assert host.environment().remove(host.machine()) is False
