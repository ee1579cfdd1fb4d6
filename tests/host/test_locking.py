"""Environments and locks, with the real pip and uv and indexes that name hashes, replace files and go on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from provision.host.failure import Failure
from provision.host.python import listings, locking
from provision.host.python.dist_info import Distribution
from provision.host.resource import differences
from provision.wire.specs.environment import LockedEnvironment
from tests.host.package_index import serve
from tests.host.test_environment import Host
from tests.host.test_installers import blank, fetched, wheels  # noqa: F401
from tests.host.wheels import wheel


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Index:
    """An index over files, as a folder to be served: HTML or JSON pages, with or without hashes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.wheels = root / "files"
        self.wheels.mkdir(parents=True)

    def add(self, name: str, version: str, requires: tuple[str, ...] = (), text: str = "") -> Path:
        made = wheel(self.wheels, name, version, requires, modules={f"{name.replace('-', '_')}/x.py": text})
        self.publish()
        return made

    def publish(self, hashes: bool = True) -> None:
        names: dict[str, list[Path]] = {}
        for each in sorted(self.wheels.iterdir()):
            names.setdefault(each.name.split("-")[0].replace("_", "-"), []).append(each)
        for name, found in names.items():
            page = self.root / "simple" / name / "index.html"
            page.parent.mkdir(parents=True, exist_ok=True)
            named = [(each.name, f"#sha256={sha256(each)}" if hashes else "") for each in found]
            links = [f'<a href="../../files/{file}{fragment}">{file}</a>' for file, fragment in named]
            page.write_text("\n".join(links))


@pytest.fixture
def index(tmp_path: Path) -> Index:
    made = Index(tmp_path / "index")
    made.add("demo-alpha", "1.0", ("demo-beta",))
    made.add("demo-beta", "1.0")
    return made


TOOLS = pytest.mark.parametrize("host", ["pip", "uv"], indirect=True)


@pytest.fixture
def host(
    tmp_path: Path,
    index: Index,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    fetched: Path,  # noqa: F811
    blank: Path,  # noqa: F811
) -> Iterator[Host]:
    """A host whose environments come from the index, and have a directory for each declaration."""
    shutil.copytree(fetched, tmp_path / "state")
    for name in ("e-1", "e-2", "e-3"):
        shutil.copytree(blank, tmp_path / name, symlinks=True)
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with serve(index.root) as served:
        found = Host(tmp_path / "e-1", tmp_path)
        found.spec = found.spec.replace(
            stem=str(tmp_path / "e"),
            index_url=f"http://127.0.0.1:{served.port}/simple",
            find_links=[],
            installer=getattr(request, "param", "pip"),
        )
        yield found


def taken(host: Host, *raw: str) -> LockedEnvironment:
    machine, environment = host.machine(), host.environment(*raw)
    assert environment.as_declared(machine)
    found = environment.taken(machine)
    assert found is not None
    return found.replace(lock="site.lock")


def findings(host: Host, **other: Any) -> list[str]:
    """What a preflight would say, as codes and messages."""
    environment, machine = host.environment(**other), host.machine()
    changes = differences(environment.expected(machine), environment.actual(machine))
    return [f"{each.code}: {each.message}" for each in environment.unobtainable(machine, changes)]


def installed(host: Host, path: Path) -> dict[str, str]:
    record = json.loads((path / ".provision-environment.json").read_text())
    return {name: each["version"] for name, each in record["packages"].items() if name.startswith("demo")}


def test_it_says_exactly_what_is_there_with_the_hashes_of_the_index(host: Host, index: Index) -> None:
    host.converge()
    found = taken(host)
    told = {pin.name: (pin.version, pin.sha256, pin.unhashed) for pin in found.packages}
    assert told == {
        name: ("1.0", [sha256(index.wheels / f"{name.replace('-', '_')}-1.0-py3-none-any.whl")], None)
        for name in ("demo-alpha", "demo-beta")
    }


@TOOLS
def test_with_a_lock_newer_releases_change_nothing(host: Host, index: Index, tmp_path: Path) -> None:
    host.converge("demo-alpha")
    lock = taken(host)
    index.add("demo-alpha", "2.0", ("demo-beta",))
    index.add("demo-beta", "2.0")
    assert host.look("demo-alpha", locked=[lock]) == {}
    again = {"path": str(tmp_path / "e-2"), "locked": [lock]}
    assert findings(host, requirements=host.environment("demo-alpha").spec.requirements, **again) == []
    host.converge("demo-alpha", **again)
    assert installed(host, tmp_path / "e-2") == {"demo-alpha": "1.0", "demo-beta": "1.0"}
    free = tmp_path / "e-3"
    host.converge("demo-alpha", path=str(free))
    assert installed(host, free) == {"demo-alpha": "2.0", "demo-beta": "2.0"}


@TOOLS
def test_a_file_that_was_replaced_is_refused_before_and_during(
    host: Host, index: Index, tmp_path: Path
) -> None:
    host.converge()
    lock = taken(host)
    was = sha256(index.wheels / "demo_beta-1.0-py3-none-any.whl")
    now = sha256(index.add("demo-beta", "1.0", text="evil = True"))
    assert was != now
    again: dict[str, Any] = {"path": str(tmp_path / "e-2"), "locked": [lock]}
    assert findings(host, **again) == [
        f"lock-mismatch: demo_beta-1.0-py3-none-any.whl is another file than the one in site.lock: "
        f"sha256 {now[:12]}…, locked {was[:12]}…"
    ]
    index.publish(hashes=False)  # the page says nothing: the installer sees it
    assert findings(host, **again) == []
    shutil.rmtree(tmp_path / ".cache", ignore_errors=True)  # of uv, which has the right file
    failure = host.fails(**again)
    assert failure.code == "lock-mismatch"
    assert "demo-beta==1.0" in failure.message
    assert not list((tmp_path / "e-2").glob("lib/*/site-packages/demo_*"))


def test_a_version_that_is_gone_is_refused(host: Host, index: Index, tmp_path: Path) -> None:
    host.converge()
    lock = taken(host)
    (index.wheels / "demo_beta-1.0-py3-none-any.whl").unlink()
    index.add("demo-beta", "1.1")
    assert findings(host, path=str(tmp_path / "e-2"), locked=[lock]) == [
        "lock-mismatch: site.lock has demo-beta 1.0, which no index of this host offers any more"
    ]


@TOOLS
def test_what_is_other_than_locked_is_put_right_and_said(host: Host, index: Index) -> None:
    host.converge()
    lock = taken(host)
    index.add("demo-beta", "2.0")
    index.add("demo-more", "1.0")
    machine, environment = host.machine(), host.environment()
    pip = [str(host.path / "bin/python"), "-m", "pip", "install", "-q", "-i", str(host.spec.index_url)]
    machine.run([*pip, "demo-beta==2.0", "demo-more"])
    locked = host.environment(locked=[lock])
    locked.expected(machine)
    assert [note.message for note in locked.notes(machine)] == ["not as in site.lock: demo-beta, demo-more"]
    changes = host.converge(locked=[lock])
    assert changes["packages"] == (
        {"demo-beta": "2.0", "demo-more": "1.0"},
        {"demo-beta": "==1.0", "demo-more": None},
    )
    assert not list(host.path.glob("lib/*/site-packages/demo_more"))
    assert environment.as_declared(host.machine())


def test_an_index_without_hashes_says_so(host: Host, index: Index, tmp_path: Path) -> None:
    index.publish(hashes=False)
    host.converge()
    lock = taken(host)
    assert {pin.unhashed for pin in lock.packages} == {"its index names no sha256"}
    host.converge(path=str(tmp_path / "e-2"), locked=[lock])  # by versions alone


def test_an_index_that_does_not_answer_is_not_taken_for_one_without_the_package(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.converge()
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(Failure) as caught:
        host.environment().taken(host.machine())
    assert caught.value.code == "index-unreachable"
    assert "Connection refused" in caught.value.message


@pytest.mark.parametrize(
    ("files", "inside", "meant"),
    [
        (["a-1-py2.py3-none-any.whl", "a-1.tar.gz"], ["py2-none-any", "py3-none-any"], [0]),
        (["a-1-py3-none-manylinux2014_M.whl", "a-1-py3-none-win_amd64.whl"], ["py3-none-manylinux1_M"], [0]),
        (["a-1-cp312-cp312-linux_M.whl", "a-1.tar.gz"], ["cp311-cp311-linux_M"], [1]),
        (["a-1-cp311-cp311-linux_M.whl", "a-1.tar.gz"], ["cp311-cp311-linux_M"], [0]),
    ],
    ids=["by its tags", "with other tags inside", "built here", "exactly"],
)
def test_which_files_an_installed_package_may_be_from(
    files: list[str], inside: list[str], meant: list[int], tmp_path: Path
) -> None:
    machine = os.uname().machine
    (tmp_path / "WHEEL").write_text("".join(f"Tag: {tag.replace('M', machine)}\n" for tag in inside))
    offered = [listings.File(name.replace("_M", f"_{machine}"), "", None) for name in files]
    distribution = Distribution("a", "1", str(tmp_path), None, None)
    assert locking._installed(distribution, offered) == [offered[index] for index in meant]


def test_another_python_is_not_locked(host: Host) -> None:
    host.converge()
    lock = taken(host).replace(python="2.7")
    with pytest.raises(Failure) as caught:
        host.look(locked=[lock])
    assert caught.value.code == "not-locked"
    assert caught.value.final


def test_a_wheel_named_by_its_path_is_locked_by_its_hash(host: Host, index: Index, tmp_path: Path) -> None:
    place = index.wheels / "demo_beta-1.0-py3-none-any.whl"
    host.converge(str(place))
    lock = taken(host, str(place))
    (pin,) = lock.packages
    assert (pin.name, pin.direct, pin.sha256) == ("demo-beta", True, [sha256(place)])
    again: dict[str, Any] = {"path": str(tmp_path / "e-2"), "locked": [lock]}
    host.converge(str(place), **again)
    index.add("demo-beta", "1.0", text="evil = True")
    failure = host.fails(str(place), **{**again, "path": str(tmp_path / "e-3")})
    assert failure.code == "lock-mismatch"


def test_pages_as_json(tmp_path: Path) -> None:
    """PEP 691, as newer indexes answer who takes it; withdrawn files are there for who has them already."""
    files = [
        {"filename": "demo-1.0.tar.gz", "url": "demo-1.0.tar.gz", "hashes": {"sha256": "a" * 64}},
        {"filename": "demo-1.0.zip", "url": "../f/demo-1.0.zip", "hashes": {}, "yanked": "broken"},
    ]
    page = json.dumps({"meta": {"api-version": "1.1"}, "files": files}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert "vnd.pypi.simple.v1+json" in self.headers["Accept"]
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        found = listings.release({"index-url": f"{address}/simple"}, {}, "demo", "1.0")
        links = listings.links(f"{address}/simple/demo/", {}, {})
        server.shutdown()
    assert [(file.name, file.place, file.sha256) for file in found] == [
        ("demo-1.0.tar.gz", f"{address}/simple/demo/demo-1.0.tar.gz", "a" * 64),
        ("demo-1.0.zip", f"{address}/simple/f/demo-1.0.zip", None),
    ]
    assert len(links) == 1
