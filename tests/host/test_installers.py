"""pip and uv side by side, the real ones: whatever pip has been told, uv installs the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from provision.config.requirements import parse
from provision.host.failure import Failure
from provision.host.resource import differences
from tests.host.package_index import authority, serve, simple
from tests.host.sources import git, source
from tests.host.test_environment import Host, requirement
from tests.host.wheels import index, wheel

TOOLS = ("pip", "uv")


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny wheels, and uv itself as this machine's own index has it."""
    directory = index(tmp_path_factory.mktemp("index") / "wheels")
    argv = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(directory), "uv>=0.8"]
    subprocess.run(argv, check=True)
    return directory


@pytest.fixture(scope="session")
def fetched(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Path:
    """A host's state with the uv that provision has put there."""
    host = Host(tmp_path_factory.mktemp("first") / "e", wheels)
    host.converge(installer="uv")
    return host.path.parent / "state"


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Path:
    """An environment with nothing but pip, to be copied."""
    host = Host(tmp_path_factory.mktemp("blank") / "e", wheels)
    host.converge(requirements=[])
    return host.path


@pytest.fixture
def bare(tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host without uv, whose pip has been told nothing."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_")) or "CA_BUNDLE" in name]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return Host(tmp_path / "environments/e", wheels)


class Ready(Host):
    """A host that has uv already, and an environment to install into."""

    def __init__(self, bare: Host, state: Path, blank: Path) -> None:
        super().__init__(bare.path, bare.wheels)
        self.blank = blank
        shutil.copytree(state, self.path.parent / "state")
        self.reset()

    def reset(self) -> None:
        """Have nothing installed again."""
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.copytree(self.blank, self.path, symlinks=True)


@pytest.fixture
def host(bare: Host, fetched: Path, blank: Path) -> Ready:
    return Ready(bare, fetched, blank)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Write the host's pip.conf."""

    def tell(text: str) -> None:
        (tmp_path / "pip.conf").write_text("[global]\n" + text)
        monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))

    return tell


def made_by(host: Host) -> set[str]:
    """Return who installed the demo packages."""
    return {path.read_text().strip() for path in host.site.glob("demo_*.dist-info/INSTALLER")}


def both(host: Ready, *raw: str, **other: Any) -> dict[str, str]:
    """Make the environment by each tool; return what both have installed."""
    found = []
    for tool in TOOLS:
        host.reset()
        host.converge(*raw, installer=tool, **other)
        assert made_by(host) <= {tool}
        found.append(host.installed())
    assert found[0] == found[1]
    return found[1]


# -- the same from the same places ---------------------------------------------------------------------------


def test_find_links(host: Ready) -> None:
    assert both(host, "demo-alpha==1.0") == {"demo-alpha": "1.0", "demo-beta": "1.5", "demo-gamma": "1.0"}


def test_extras_exclusions_and_constraints(host: Ready, tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("demo-alpha<2\n")
    assert both(
        host,
        "demo-alpha",
        "demo-beta[more]",
        exclude=["demo-gamma"],
        constraints=["demo-beta<1.2", str(constraints)],
    ) == {"demo-alpha": "1.0", "demo-beta": "1.0", "demo-delta": "1.0"}


def test_a_wheel_by_its_path(host: Ready, tmp_path: Path) -> None:
    path = wheel(tmp_path, "demo-gamma", "9.0")
    entry = requirement(f"demo-gamma @ file://{path}")
    assert both(host, requirements=[requirement("demo-alpha==1.0"), entry])["demo-gamma"] == "9.0"


def test_the_best_of_all_indexes(host: Ready, wheels: Path, tmp_path: Path) -> None:
    """uv would stop at the first index that knows a package."""
    old = simple(tmp_path / "old", wheels / "demo_beta-1.0-py3-none-any.whl", *wheels.glob("demo_gamma*"))
    new = simple(tmp_path / "new", wheels / "demo_beta-1.5-py3-none-any.whl")
    where = {"find_links": [], "index_url": f"file://{new}", "extra_index_urls": [f"file://{old}"]}
    assert both(host, "demo-beta", **where)["demo-beta"] == "1.5"
    where = {"find_links": [], "index_url": f"file://{old}", "extra_index_urls": [f"file://{new}"]}
    assert both(host, "demo-beta", **where)["demo-beta"] == "1.5"


def test_the_best_file_of_all_indexes(host: Ready, wheels: Path, tmp_path: Path) -> None:
    """uv would take the plain wheel when that index comes first, without the library in the other."""
    platform = sysconfig.get_platform().replace("-", "_").replace("linux_", "manylinux_2_17_")
    library = {"demo_sound/library.so": "not really"}
    native = wheel(tmp_path, "demo-sound", "1.0", modules=library, tag=f"py3-none-{platform}")
    plain = wheel(tmp_path, "demo-sound", "1.0")
    both_have = wheels / "demo_gamma-1.0-py3-none-any.whl"
    foreign = wheel(tmp_path, "demo-gamma", "1.0", tag="py3-none-win_amd64")
    one = simple(tmp_path / "one", plain, both_have)
    other = simple(tmp_path / "other", native, both_have, foreign)
    for first, second in ((one, other), (other, one)):
        host.reset()
        where = {"index_url": f"file://{first}", "extra_index_urls": [f"file://{second}"], "find_links": []}
        host.converge("demo-sound", "demo-gamma", installer="uv", **where)
        assert (host.site / "demo_sound/library.so").exists()
        assert "pip chooses among the files that several indexes have of demo-sound==1.0" in host.lines()
        assert (host.site / "demo_gamma-1.0.dist-info/INSTALLER").read_text().strip() == "uv"


def test_what_is_there_is_not_taken_for_wanted(host: Ready, tmp_path: Path) -> None:
    """The indexes disagree about a newer version, which nobody asks for."""
    host.converge("demo-beta==1.0", installer="pip")
    one, other = tmp_path / "one", tmp_path / "other"
    simple(one, wheel(tmp_path, "demo-beta", "1.5"), wheel(tmp_path, "demo-delta", "1.0"))
    simple(other, wheel(tmp_path, "demo-beta", "1.5", tag="py2.py3-none-any"))
    where = {"index_url": f"file://{one}", "extra_index_urls": [f"file://{other}"], "find_links": []}
    host.converge("demo-beta", "demo-delta", installer="uv", **where)
    assert host.installed() == {"demo-beta": "1.0", "demo-delta": "1.0", "demo-gamma": "1.0"}


def test_a_local_version_beats_the_public_one(host: Ready, tmp_path: Path) -> None:
    """As with a CPU build of torch in a directory, and the CUDA build in the index."""
    local, public = wheel(tmp_path, "demo-local", "1.0+cpu"), wheel(tmp_path, "demo-local", "1.0")
    (tmp_path / "links").mkdir()
    local.rename(tmp_path / "links" / local.name)
    where = {
        "find_links": [str(tmp_path / "links")],
        "index_url": f"file://{simple(tmp_path / 'simple', public)}",
    }
    assert both(host, "demo-local==1.0", **where) == {"demo-local": "1.0+cpu"}


def test_files_of_pip_and_its_variables(
    host: Ready, wheels: Path, told: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    told(
        f"find-links = /gone {wheels}\nno-index = true\nuser = true\n[install]\nconstraint = {wheels}/c.txt\n"
    )
    (wheels / "c.txt").write_text("demo-beta<1.2\n")
    monkeypatch.setenv("PIP_RETRIES", "1")
    assert both(host, "demo-beta", find_links=[], index_url=None) == {"demo-beta": "1.0", "demo-gamma": "1.0"}


def test_before_its_release(host: Ready, tmp_path: Path, told: Callable[[str], None]) -> None:
    for version in ("1.0", "2.0rc1"):
        wheel(tmp_path, "demo-early", version)
    assert both(host, "demo-early", find_links=[str(tmp_path)]) == {"demo-early": "1.0"}
    told("pre = true\n")
    assert both(host, "demo-early", find_links=[str(tmp_path)]) == {"demo-early": "2.0rc1"}


def test_an_index_with_a_password(
    host: Ready, wheels: Path, tmp_path: Path, told: Callable[[str], None]
) -> None:
    with serve(simple(tmp_path / "simple", *wheels.glob("demo_*")), password="hunter2") as served:
        told(f"index-url = http://me:hunter2@127.0.0.1:{served.port}/\n")
        assert both(host, "demo-beta", index_url=None, find_links=[])["demo-beta"] == "1.5"
        assert "hunter2" not in host.lines()


def test_a_password_in_netrc(
    host: Ready, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    with serve(simple(tmp_path / "simple", *wheels.glob("demo_*")), password="hunter2") as served:
        where = {"index_url": f"http://127.0.0.1:{served.port}/", "find_links": []}
        assert both(host, "demo-beta", **where)["demo-beta"] == "1.5"


def test_an_authority_of_the_sites_own(
    host: Ready, wheels: Path, tmp_path: Path, told: Callable[[str], None]
) -> None:
    ca, server = authority(tmp_path)
    with serve(simple(tmp_path / "simple", *wheels.glob("demo_*")), certificate=server) as served:
        url = f"https://localhost:{served.port}/"
        told(f"cert = {ca}\n")
        assert both(host, "demo-beta", index_url=url, find_links=[])["demo-beta"] == "1.5"
        told("trusted-host = localhost\n")
        assert both(host, "demo-beta", index_url=url, find_links=[])["demo-beta"] == "1.5"
        told("retries = 0\n")
        for tool in TOOLS:
            host.reset()
            failure = host.fails("demo-beta", index_url=url, find_links=[], installer=tool)
            assert "certificate" in failure.message, tool


def test_a_proxy(host: Ready, wheels: Path, tmp_path: Path, told: Callable[[str], None]) -> None:
    with serve(simple(tmp_path / "simple", *wheels.glob("demo_*"))) as proxy:
        told(f"proxy = http://127.0.0.1:{proxy.port}\ntrusted-host = mirror.test\n")
        assert both(host, "demo-beta", index_url="http://mirror.test/", find_links=[])["demo-beta"] == "1.5"
        assert "http://mirror.test/demo-beta/" in proxy.requests


# -- who installs --------------------------------------------------------------------------------------------


def test_uv_is_fetched_by_pip_once_for_all_environments(bare: Host) -> None:
    machine = bare.machine()
    environments = [
        bare.environment("demo-alpha==1.0", path=str(bare.path) + name, installer="auto")
        for name in ("1", "2", "3")
    ]
    threads = [threading.Thread(target=each.fix, args=(machine, {})) for each in environments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for environment in environments:
        assert differences(environment.expected(machine), environment.actual(machine)) == {}
    assert (bare.path.parent / "state/uv/bin/uv").exists()
    assert bare.lines().count("Successfully installed uv-") == 1
    assert bare.lines().count("Prepared 3 packages") == 3


def test_pip_installs_where_uv_is_not_to_be_had(bare: Host, wheels: Path, tmp_path: Path) -> None:
    less = tmp_path / "less"
    shutil.copytree(wheels, less, ignore=shutil.ignore_patterns("uv-*"))
    where = {"find_links": [str(less)], "index_url": "file:///nonexistent/simple"}
    failure = bare.fails(installer="uv", **where)
    assert failure.message.startswith("uv cannot be fetched (pip: No matching distribution found for uv")
    bare.converge(installer="auto", **where)
    assert made_by(bare) == {"pip"}
    assert "pip installs instead of uv: uv cannot be fetched" in bare.lines()
    assert not (bare.path.parent / "state/uv").exists()


def test_pip_installs_what_uv_has_no_word_for(host: Ready, told: Callable[[str], None]) -> None:
    told("prefer-binary = true\n")
    failure = host.fails(installer="uv")
    assert failure.message == "uv has no counterpart for `prefer-binary` in pip's configuration"
    assert failure.hint == "let pip install it: installer: pip, or auto"
    host.converge(installer="auto")
    assert made_by(host) == {"pip"}
    assert f"pip installs instead of uv: {failure.message}" in host.lines()


def test_pip_installs_where_it_does_not_say_its_index(host: Ready, told: Callable[[str], None]) -> None:
    """What asks a pip for its index reads what is nowhere public, and some pip may have it otherwise."""
    told("no-index = true\n")
    where = {"index_url": None, "extra_index_urls": ["file:///nonexistent/extra"]}
    for path in (host.site / "pip/_internal").rglob("*.py"):
        path.write_text(path.read_text().replace("simple_url", "simple_address"))
    host.converge(installer="auto", **where)
    assert made_by(host) == {"pip"}
    assert "pip installs instead of uv: this pip does not tell its default index" in host.lines()


def test_settings_of_uvs_own_do_not_count(host: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:1/")
    monkeypatch.setenv("UV_RESOLUTION", "lowest")
    host.converge("demo-beta", installer="uv")
    assert host.installed()["demo-beta"] == "1.5"


def test_what_uv_cannot_solve_is_explained_by_pip(host: Ready) -> None:
    failure = host.fails("demo-clash", "demo-beta==1.5", installer="auto")
    assert "Cannot install" in failure.message
    failure = host.fails("demo-clash", "demo-beta==1.5", installer="uv")
    assert failure.message.startswith("uv: Because ")
    assert "demo-clash" in failure.message


# -- the environment is judged the same ----------------------------------------------------------------------


def test_other_users_run_what_uv_has_installed(host: Ready) -> None:
    shutil.rmtree(host.path)
    old = os.umask(0o077)
    try:
        host.converge(installer="uv")
    finally:
        os.umask(old)
    for path in [host.path, *host.path.rglob("*")]:
        if not path.is_symlink():
            assert path.stat().st_mode & 0o044 == 0o044, path
            assert path.is_dir() or path.stat().st_nlink == 1, path  # nothing is shared with a cache
    assert list(host.site.glob("demo_alpha/__pycache__/*.pyc"))
    assert not (host.path / ".provision-tmp").exists()


def test_damage_is_mended(host: Ready) -> None:
    host.converge(installer="uv")
    shutil.rmtree(host.site / "demo_gamma")
    shutil.rmtree(host.site / "demo_alpha-1.0.dist-info")
    host.converge(installer="uv")
    assert host.look(deep=True) == {}
    host.converge("demo-alpha==2.0", "demo-beta[more]", installer="uv")
    assert host.look("demo-alpha==2.0", "demo-beta[more]", deep=True) == {}
    assert host.installed()["demo-delta"] == "1.0"


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.12", "3.13"])
def test_interpreters(host: Ready, version: str) -> None:
    shutil.rmtree(host.path)
    found = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    if not found:
        pytest.skip(f"no Python {version} here")
    host.converge(python=str(found[0]), installer="uv")
    assert made_by(host) == {"uv"}


def test_uv_killed_in_the_middle(host: Ready) -> None:
    failure = None
    while failure is None:  # uv may have ended before the killer has seen it
        host.reset()
        with killer(host, lambda: (host.site / "demo_heavy").exists()):
            try:
                host.environment("demo-alpha==1.0", "demo-heavy", installer="uv").fix(host.machine(), {})
            except Failure as caught:
                failure = caught
    assert failure.message == "uv was ended by signal 9"
    assert host.look("demo-alpha==1.0", "demo-heavy")["installation"] == ("interrupted", "complete")
    host.converge("demo-alpha==1.0", "demo-heavy", installer="uv")
    assert host.look("demo-alpha==1.0", "demo-heavy", deep=True) == {}
    assert not (host.path / ".provision-tmp").exists()


def test_a_full_disk_is_not_tried_again_by_pip(host: Ready, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", str(disk)], check=True)
    try:
        path = str(disk / "environment")
        host.environment("demo-alpha==1.0", path=path).fix(host.machine(), {})
        room = os.statvfs(disk)
        (disk / "other").write_bytes(bytes((room.f_bavail - 200) * room.f_frsize))
        host.events.clear()
        failure = host.fails("demo-alpha==1.0", "demo-heavy", path=path, installer="auto")
        assert failure.message.startswith("the disk is full")
        assert "pip installs" not in host.lines()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@contextmanager
def killer(host: Host, when: Callable[[], bool]) -> Iterator[None]:
    """Kill uv with SIGKILL as soon as something holds."""
    killed: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set() and not killed:
            try:
                ready = when()
            except AssertionError:
                ready = False  # the environment is not there yet
            if ready:
                for entry in Path("/proc").iterdir():
                    if entry.name.isdigit() and _is_uv_for(entry, host.path):
                        os.kill(int(entry.name), signal.SIGKILL)
                        killed.append(int(entry.name))
            time.sleep(0.0005)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _is_uv_for(process: Path, environment: Path) -> bool:
    try:
        command = (process / "cmdline").read_bytes()
    except OSError:
        return False
    return str(environment).encode() in command and b"state/uv/bin/uv" in command


# -- from elsewhere than an index ----------------------------------------------------------------------------


def move(host: Host, tool: str, first: str, second: str) -> list[dict[str, str]]:
    """Install the one, find nothing to do, then the other, and find nothing to do; returns the versions."""
    seen = []
    for raw in (first, second):
        requirements = [parse(raw).spec()]
        assert host.environment(requirements=requirements).work(host.machine(), {}).install == [raw]
        host.converge(installer=tool, requirements=requirements)
        assert host.look(installer=tool, requirements=requirements) == {}
        seen.append(host.installed())
    return seen


@pytest.mark.parametrize("tool", TOOLS)
def test_git(host: Ready, tool: str, tmp_path: Path) -> None:
    repository = source(tmp_path / "app", "1.0")
    git(repository, "init")
    for ref in ("v1", "v2"):  # the same version, but another commit
        git(repository, "add", ".")
        git(repository, "commit", "--allow-empty", "-m", ref)
        git(repository, "tag", ref)
    url = f"git+file://{repository}"
    assert move(host, tool, f"{url}@v1", f"{url}@v2") == [{"demo-app": "1.0"}, {"demo-app": "1.0"}]
    direct = (host.site / "demo_app-1.0.dist-info/direct_url.json").read_text()
    assert '"v2"' in direct


@pytest.mark.parametrize("tool", TOOLS)
def test_wheel_by_path_and_url(host: Ready, tool: str, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    one = wheel(files, "demo-gamma", "1.0+cu129")
    two = wheel(files, "demo-gamma", "1.0+cu130", extras={"more": ["demo-delta"]})
    assert move(host, tool, str(one), f"{two}[more]") == [
        {"demo-gamma": "1.0+cu129"},
        {"demo-gamma": "1.0+cu130", "demo-delta": "1.0"},
    ]
    with serve(files) as served:
        url = f"http://127.0.0.1:{served.port}/{one.name.replace('+', '%2B')}"
        host.converge(installer=tool, requirements=[parse(url).spec()])
        assert host.look(requirements=[parse(f"demo-gamma @ {url}").spec()]) == {}


@pytest.mark.parametrize("tool", TOOLS)
def test_source_and_editable(host: Ready, tool: str, tmp_path: Path) -> None:
    one = source(tmp_path / "one", "1.0")
    move(host, tool, str(one), f"-e {one}")


@pytest.mark.parametrize("tool", TOOLS)
def test_marker_of_two(host: Ready, tool: str) -> None:
    wanted = ['demo-alpha==1.0; python_version < "3"', 'demo-alpha==2.0; python_version >= "3"']
    requirements = [parse(raw).spec() for raw in wanted]
    host.converge(installer=tool, requirements=requirements)
    assert host.installed()["demo-alpha"] == "2.0"
    assert host.look(requirements=requirements) == {}
