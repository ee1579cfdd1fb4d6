"""Model snapshots, by the real modelscope and huggingface_hub from a hub that can fail in many ways."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.models.contents import Contents
from provision.host.models.fetch import INTERVAL, arrived
from provision.host.models.manifest import NAME
from provision.host.python.inside import STEP
from provision.host.resource import Changes, differences
from provision.host.resources.model import Model
from provision.wire.events import Work
from provision.wire.specs.model import Expectation, ModelSpec
from tests.host import heard
from tests.lab.hub import Fault, Hub

WEIGHTS = "model.safetensors"
ODD = "parts/a, [b]*.bin"
CONTENT = {"config.json": 300, WEIGHTS: 6_000_000, ODD: 70_000, "empty.txt": 0}
REPO = "tiny/chat"
SOURCES = {"modelscope": "master", "huggingface": "main"}

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    for name, size in CONTENT.items():
        file = tmp_path / "hub" / REPO / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(size))
    with Hub(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture(params=sorted(SOURCES))
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Host:
    """A model's directory and the resource that keeps it."""

    def __init__(self, path: Path, hub: Hub, source: str, python: str) -> None:
        self.path = path
        self.events: list[dict[str, Any]] = []
        self.original = hub.root / REPO
        self.python = python.encode()
        self.spec = ModelSpec(
            path=str(path),
            source=source,
            repo=REPO,
            revision=SOURCES[source],
            endpoint=hub.url,
            python=python,
            required=["config.json"],
        )

    def machine(self, deep: bool = False) -> Machine:
        return Machine(heard.into(self.events), str(self.path.parent / "state"), deep)

    def model(self, **other: Any) -> Model:
        return Model("model:m", self.spec.replace(**other))

    def look(self, deep: bool = False, **other: Any) -> Changes:
        model, machine = self.model(**other), self.machine(deep)
        return differences(model.expected(machine), model.actual(machine))

    def converge(self, deep: bool = False, **other: Any) -> Changes:
        """Fix what differs, find nothing left, and return what it was."""
        model, machine = self.model(**other), self.machine(deep)
        changes = differences(model.expected(machine), model.actual(machine))
        assert changes
        model.fix(machine, changes)
        assert differences(model.expected(machine), model.actual(machine)) == {}
        return changes

    def fails(self, **other: Any) -> Failure:
        with pytest.raises(Failure) as caught:
            self.model(**other).fix(self.machine(), {})
        assert "Traceback" not in caught.value.message + "".join(caught.value.log)
        return caught.value

    def files(self) -> set[str]:
        found = (path.relative_to(self.path).as_posix() for path in self.path.rglob("*") if path.is_file())
        return set(found) - {NAME}

    def same(self, *names: str) -> bool:
        return all((self.path / n).read_bytes() == (self.original / n).read_bytes() for n in names or CONTENT)

    def flip(self, name: str, keep_time: bool = False) -> None:
        file = self.path / name
        before = file.stat()
        with file.open("r+b") as handle:
            byte = handle.read(1)
            handle.seek(0)
            handle.write(bytes([byte[0] ^ 1]))
        if keep_time:
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def host(tmp_path: Path, hub: Hub, source: str, clients: str) -> Host:
    return Host(tmp_path / "models/tiny/chat", hub, source, clients)


def eventually(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.02)


# -- downloading ---------------------------------------------------------------------------------------------


def test_downloads_once(host: Host, hub: Hub) -> None:
    old = os.umask(0o077)
    try:
        changes = host.converge()
    finally:
        os.umask(old)
    wanted = f"{host.spec.source} {REPO}@{host.spec.revision}"
    assert changes == {"snapshot": (None, wanted)}
    assert host.files() == set(CONTENT)
    assert host.same()
    for path in [host.path.parent, host.path, *host.path.rglob("*")]:
        wide = 0o755 if path.is_dir() else 0o644
        assert path.stat().st_mode & 0o777 == wide, path  # the service's user reads it, whatever root's umask
    manifest = json.loads((host.path / NAME).read_text())
    assert manifest["complete"] is True
    assert len(manifest["commit"]) == 40
    digest = hashlib.sha256((host.path / WEIGHTS).read_bytes()).hexdigest()
    assert manifest["files"][WEIGHTS]["sha256"] == digest
    before = len(hub.requests)
    assert host.look() == host.look(deep=True) == {}
    assert [note.code for note in host.model().notes(host.machine())] == ["pickled-weights"]
    assert len(hub.requests) == before  # a model that is whole asks nobody


def test_plan_says_how_much_and_writes_nothing(host: Host) -> None:
    model, machine = host.model(), host.machine()
    changes = differences(model.expected(machine), model.actual(machine))
    assert model.work(machine, changes) == Work(bytes=sum(CONTENT.values()))
    (pickles,) = model.notes(machine)
    assert pickles.message == f"weights are pickles, which can contain code: {ODD}"
    assert not host.path.exists()


def test_progress_in_bytes(host: Host, hub: Hub) -> None:
    hub.break_(Fault(WEIGHTS, slow=3_000_000))
    began = time.monotonic()
    host.converge()
    told = [event for event in host.events if event["event"] == "progress"]
    total = sum(CONTENT.values())
    assert {event["total"] for event in told} == {total}
    done = [event["done"] for event in told]
    assert done == sorted(done)
    assert done[-1] == total
    between = {size for size in done if 100_000 < size < total}
    assert between  # seen while it was on its way
    assert len(done) <= 4 + (time.monotonic() - began) / INTERVAL


@pytest.mark.parametrize("cut", [2_500_000, 10])
def test_goes_on_after_a_cut(host: Host, hub: Hub, cut: int) -> None:
    hub.break_(Fault(WEIGHTS, cut=cut, times=1))
    host.converge()
    assert host.same()
    asked = sum(request.sent for request in hub.downloads(WEIGHTS))
    assert asked <= CONTENT[WEIGHTS] + STEP  # no more than what had not been written is fetched again


def test_killed_in_the_middle_and_applied_again(host: Host, hub: Hub) -> None:
    """The whole host side dies by SIGKILL: the download dies with it, and the next one goes on."""
    hub.break_(Fault(WEIGHTS, hold=3_000_000))
    code = (
        "import json, sys; from provision.host.machine import Machine;"
        "from provision.host.resources.model import Model;"
        "from provision.wire.specs.model import ModelSpec;"
        "Model('m', ModelSpec.parse(json.load(sys.stdin))).fix(Machine(lambda e: None, '/nonexistent'), {})"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True)
    assert child.stdin is not None
    json.dump(host.spec.plain(), child.stdin)
    child.stdin.close()
    eventually(lambda: arrived(str(host.path), set()) > 1_000_000)
    child.send_signal(signal.SIGKILL)
    child.wait()
    script = b"inside.py\0download"
    eventually(lambda: not [p for p in _command_lines() if script in p and host.python in p])
    hub.mend()
    before = len(hub.downloads(WEIGHTS))
    (snapshot,) = host.look().values()
    assert "incomplete" in snapshot[0]
    host.converge()
    assert host.same()
    (request,) = hub.downloads(WEIGHTS)[before:]
    assert request.range is not None  # what had arrived was kept
    assert request.sent < CONTENT[WEIGHTS]


def _command_lines() -> list[bytes]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((entry / "cmdline").read_bytes())
            except OSError:
                continue
    return found


def interrupt(host: Host, hub: Hub) -> None:
    """Cancel a download after some of the weights have arrived, as when the controller goes away."""
    hub.break_(Fault(WEIGHTS, hold=3_000_000))
    machine = host.machine()
    failures: list[Failure] = []

    def fix() -> None:
        try:
            host.model().fix(machine, {})
        except Failure as failure:
            failures.append(failure)

    thread = threading.Thread(target=fix)
    thread.start()
    eventually(lambda: arrived(str(host.path), set()) > 1_000_000 and (host.path / "config.json").exists())
    machine.cancel()
    thread.join()
    assert "cancelled" in failures[0].message
    hub.mend()


def test_cancelled_in_the_middle_keeps_what_is_there(host: Host, hub: Hub) -> None:
    interrupt(host, hub)
    assert (host.path / "config.json").exists()
    host.converge()
    assert hub.downloads(WEIGHTS)[-1].range is not None


def test_patterns(host: Host) -> None:
    host.converge(ignore=["parts/*"], allow=["*.json", "parts/*"])
    assert host.files() == {"config.json"}
    changes = host.converge()
    assert "only *.json parts/*, without parts/*" in changes["snapshot"][0]
    assert host.files() == set(CONTENT)
    host.converge(ignore=["parts/*"])  # what is not wanted any more goes, or a loader would read it
    assert host.files() == set(CONTENT) - {ODD}
    assert not (host.path / "parts").exists()


def test_other_revision_fetches_what_differs(host: Host, hub: Hub) -> None:
    host.converge()
    (hub.root / REPO / "config.json").write_text("{}")
    (hub.root / REPO / "empty.txt").unlink()
    assert host.look() == {}  # a branch that moved is not a difference
    before = len(hub.downloads())
    model, machine = host.model(revision="v1.0"), host.machine()
    model.expected(machine)
    note = model.notes(machine)[0]
    assert note.code == "replaced-in-place"
    assert host.spec.revision in note.message
    changes = host.converge(revision="v1.0")
    assert list(changes) == ["snapshot"]
    assert (host.path / "config.json").read_text() == "{}"
    assert not (host.path / "empty.txt").exists()
    assert all("config.json" in request.path for request in hub.downloads()[before:])


# -- damage by hand ------------------------------------------------------------------------------------------


def test_repairs_only_what_is_damaged(host: Host, hub: Hub) -> None:
    host.converge()
    (host.path / "mine.txt").write_text("kept")
    host.flip(ODD)
    os.truncate(host.path / WEIGHTS, 1000)
    (host.path / "config.json").unlink()
    before = len(hub.downloads())
    model, machine = host.model(), host.machine()
    changes = differences(model.expected(machine), model.actual(machine))
    assert changes == {
        "files": (
            {"config.json": "missing", WEIGHTS: "1 kB", ODD: "damaged"},
            {"config.json": "300 B", WEIGHTS: "6 MB", ODD: "70 kB"},
        )
    }
    assert model.work(machine, changes) == Work(bytes=CONTENT[WEIGHTS] + CONTENT[ODD] + 300)
    model.fix(machine, changes)
    assert host.look() == {}
    assert host.same()
    assert (host.path / "mine.txt").read_text() == "kept"
    assert not any("empty" in request.path for request in hub.downloads()[before:])


def test_only_a_deep_look_reads_files_that_look_untouched(host: Host) -> None:
    host.converge()
    host.flip(WEIGHTS, keep_time=True)
    assert host.look() == {}
    assert host.look(deep=True) == {"files": ({WEIGHTS: "damaged"}, {WEIGHTS: "6 MB"})}
    host.converge(deep=True)
    assert host.same()


def test_touched_file_is_no_difference(host: Host) -> None:
    host.converge()
    os.utime(host.path / WEIGHTS)
    assert host.look() == {}


def test_manifest_that_cannot_be_read_is_made_anew(host: Host, hub: Hub) -> None:
    host.converge()
    (host.path / NAME).write_text('{"version": 1, "files": ')
    before = len(hub.downloads())
    host.converge()
    assert len(hub.downloads()) == before


def test_adopts_what_was_copied_by_hand(host: Host, hub: Hub) -> None:
    for name in (WEIGHTS, ODD, "config.json"):
        target = host.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((host.original / name).read_bytes())
    host.flip(ODD)
    changes = host.converge()
    assert changes["snapshot"][0] == "3 files, not known to be this model"
    assert host.same()
    fetched = [request.path for request in hub.downloads()]
    assert not any(WEIGHTS in path or "config.json" in path for path in fetched)


# -- what can go wrong ---------------------------------------------------------------------------------------


def test_names_what_is_wrong(host: Host, hub: Hub) -> None:
    failure = host.fails(repo="tiny/none")
    assert 'has no model "tiny/none"' in failure.message
    assert hub.url in failure.message
    failure = host.fails(revision="v9")
    assert failure.message.startswith('tiny/chat has no revision "v9"')
    failure = host.fails(required=["tokenizer.json"])
    assert "has no tokenizer.json" in failure.message
    failure = host.fails(ignore=["*.json"])
    assert failure.hint == "allow or ignore leaves it out"
    failure = host.fails(ignore=["*"], required=[])
    assert "every file is left out" in failure.message
    failure = host.fails(python=sys.executable)
    assert "which downloads this model" in failure.message
    assert "add " in str(failure.hint)


def test_what_will_fail_is_known_before(host: Host) -> None:
    model, machine = host.model(revision="v9"), host.machine()
    model.expected(machine)
    (found,) = model.unobtainable(machine, {})
    assert 'no revision "v9"' in found.message
    assert model.work(machine, {}) is None


def test_token(host: Host, hub: Hub) -> None:
    hub.token = "sesame-1234"
    failure = host.fails()
    assert "refused access" in failure.message
    assert "needs a token" in str(failure.hint)
    failure = host.fails(token="wrong")
    assert "not valid" in str(failure.hint)
    hub.break_(Fault(WEIGHTS, slow=3_000_000))
    seen: list[bytes] = []
    done = threading.Event()

    def spy() -> None:
        while not done.wait(0.05):
            seen.extend(line for line in _command_lines() if b"sesame-1234" in line)

    thread = threading.Thread(target=spy)
    thread.start()
    host.converge(token="sesame-1234")
    done.set()
    thread.join()
    assert seen == []
    assert "sesame-1234" not in json.dumps(host.events) + (host.path / NAME).read_text()


def test_hub_down(host: Host, hub: Hub) -> None:
    host.converge()
    hub.stop()
    assert host.look() == {}
    (host.path / "config.json").unlink()
    failure = host.fails()
    assert "cannot be reached: Connection refused" in failure.message
    assert "endpoint" in str(failure.hint)
    model, machine = host.model(), host.machine()
    changes = differences(model.expected(machine), model.actual(machine))
    assert model.work(machine, changes) is None
    assert "cannot be reached" in model.unobtainable(machine, changes)[0].message


def test_hub_out_of_order(host: Host, hub: Hub) -> None:
    hub.break_(Fault("/api/", status=503))
    assert "answered HTTP 503" in host.fails().message


def test_corrupt_on_the_way(host: Host, hub: Hub) -> None:
    hub.break_(Fault(WEIGHTS, corrupt=True))
    failure = host.fails()
    assert "arrived damaged" in failure.message
    assert WEIGHTS in failure.message
    assert not (host.path / WEIGHTS).exists()
    hub.mend()
    before = len(hub.downloads())
    host.converge()
    assert all(WEIGHTS in request.path for request in hub.downloads()[before:])


@root_only
def test_disk_too_small(host: Host, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=True)
    try:
        failure = host.fails(path=str(disk / "models/m"))
        assert failure.message.startswith("tiny/chat needs 6 MB, 2 MB free on ")
        assert failure.message.endswith(str(disk))
        model, machine = host.model(path=str(disk / "models/m")), host.machine()
        model.expected(machine)
        (fetch,) = model.fetches(machine, {})
        assert fetch.path == model.path
        assert fetch.least == fetch.usual > 5_000_000
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@root_only
def test_disk_fills_up_while_downloading(host: Host, hub: Hub, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], check=True)
    try:
        hub.break_(Fault(WEIGHTS, hold=400_000))
        failures: list[Failure] = []
        path = disk / "models/m"
        thread = threading.Thread(target=lambda: failures.append(host.fails(path=str(path))))
        thread.start()
        eventually(lambda: any(request.sent > 300_000 for request in hub.downloads(WEIGHTS)))
        (disk / "other").write_bytes(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - 500_000))
        hub.mend()
        thread.join()
        assert failures[0].message == f"the disk is full: {disk}"
        (disk / "other").unlink()
        model, machine = host.model(path=str(path)), host.machine()
        model.fix(machine, {})
        assert differences(model.expected(machine), model.actual(machine)) == {}
    finally:
        subprocess.run(["umount", str(disk)], check=True)


NAMES = [
    *("../../etc/passwd", "/etc/passwd", "a/../../x", "..", ".", "", "a//b", "a/", "./a"),
    *("a\0b", "a\nb", "\x1b[2J", "\ud800", NAME),
]


@pytest.mark.parametrize("name", NAMES)
def test_listing_cannot_leave_the_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(Failure, match="outside of the directory, or that is none"):
        Contents(str(tmp_path)).check_inside(["config.json", name], "the hub lists it with")


def test_odd_names_that_stay_inside_are_files(tmp_path: Path) -> None:
    Contents(str(tmp_path)).check_inside([*CONTENT, "-rf", "a..b/..c", "你好", "$(id)", "a b/%h"], "")


def test_a_link_cannot_lead_a_download_out_of_the_directory(host: Host, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    host.path.mkdir(parents=True)
    (host.path / "parts").symlink_to(outside)
    failure = host.fails()
    assert "is a link that leads out of the directory, to " in failure.message
    assert not list(outside.iterdir())


@pytest.mark.parametrize("answer", [b"[]", b"{}", b"null", b'{"sha": []}', b"[" * 100_000, b"\xff\0garbage"])
def test_a_hub_that_answers_anything(host: Host, answer: bytes) -> None:
    class Anything(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Anything) as server:
        threading.Thread(target=server.serve_forever).start()
        failure = host.fails(endpoint=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert failure.code in ("hub-unreachable", "not-on-hub", "model-incomplete")


# -- removing ------------------------------------------------------------------------------------------------


def test_remove_takes_only_what_is_ours(host: Host, tmp_path: Path) -> None:
    host.converge()
    (host.path / "mine.txt").write_text("kept")
    assert host.model().remove(host.machine()) is True
    assert host.files() == {"mine.txt"}
    (host.path / "mine.txt").unlink()
    for directory in (host.path, host.path.parent):
        directory.rmdir()
    host.converge()
    host.model().remove(host.machine())
    assert not host.path.parent.exists()  # made for it, and empty
    assert host.model().remove(host.machine()) is False


def test_remove_after_an_interrupted_download(host: Host, hub: Hub) -> None:
    interrupt(host, hub)
    assert WEIGHTS not in host.files()
    assert host.model().remove(host.machine()) is True
    assert not host.path.exists()


# -- a directory that somebody else fills --------------------------------------------------------------------


def local(path: Path, **other: Any) -> Model:
    return Model("model:l", ModelSpec(path=str(path), source="path", repo=str(path), **other))


def test_local_directory(tmp_path: Path) -> None:
    path = tmp_path / "model"
    machine = Machine(lambda event: None, str(tmp_path / "state"))

    def look(model: Model) -> Changes:
        return differences(model.expected(machine), model.actual(machine))

    model = local(path, required=["config.json"], made_by=["command convert"])
    assert look(model) == {"directory": (None, "there, with files")}
    assert model.work(machine, {}) is None
    with pytest.raises(Failure, match="does not exist on this host"):
        model.fix(machine, look(model))
    path.mkdir()
    assert look(model) == {"directory": ("empty", "there, with files")}
    (path / "model.safetensors").write_text("x")
    assert look(model) == {"files": ({"config.json": "missing"}, {"config.json": "required"})}
    with pytest.raises(Failure, match=r"has no config\.json"):
        model.fix(machine, look(model))
    (path / "config.json").write_text("{}")
    assert look(model) == {}
    assert model.remove(machine) is False
    assert (path / "config.json").exists()


def test_a_local_directory_that_nothing_brings_cannot_be_planned(tmp_path: Path) -> None:
    path = tmp_path / "model"
    machine = Machine(lambda event: None, str(tmp_path / "state"))
    nobody = local(path, required=["config.json"], made_by=[])
    with pytest.raises(Failure, match="does not exist on this host"):
        nobody.expected(machine)
    somebody = local(path, required=["config.json"], made_by=["command convert"])
    assert somebody.expected(machine) == {"directory": "there, with files"}
    (note,) = somebody.notes(machine)
    assert (note.message, note.hint) == (
        f"{path} does not exist on this host",
        "command convert may bring it",
    )
    path.mkdir()
    (path / "weights").write_text("x")
    with pytest.raises(Failure, match=r"has no config\.json"):
        nobody.expected(machine)
    (path / "config.json").write_text("{}")
    assert nobody.expected(machine) == nobody.actual(machine)
    assert somebody.expected(machine) == somebody.actual(machine)
    assert somebody.notes(machine) == []


def test_a_model_that_is_not_what_its_service_takes_it_for_cannot_be_planned(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.mkdir()
    machine = Machine(lambda event: None, str(tmp_path / "state"))
    wanted = Expectation(
        service="asr",
        files={"Paraformer": ["tokens.json"]},
        misfits={"": "names no class", "CTTransformer": "is a CTTransformer, which sets punctuation"},
        otherwise="is a {class}, which cannot be served",
    )
    model = local(path, made_by=[], expects=[wanted])
    for config, says in (
        ("model: CTTransformer\n", "is a CTTransformer, which sets punctuation"),
        ("encoder: x\n", "names no class"),
        ("x: y\nmodel: 'WhisperWarp' # v3\n", "is a WhisperWarp, which cannot be served"),
    ):
        (path / "config.yaml").write_text(config)
        with pytest.raises(Failure) as refused:
            model.expected(machine)
        assert refused.value.message == f"{path} {says}"
    (path / "config.yaml").write_text("model: Paraformer\n")
    with pytest.raises(Failure, match=r"has no tokens\.json"):
        model.expected(machine)
    (path / "tokens.json").write_text("[]")
    assert model.expected(machine) == model.actual(machine)


# -- side by side --------------------------------------------------------------------------------------------


@pytest.fixture
def apart(host: Host) -> Host:
    """A model with a directory for each of its declarations; the first one is there."""
    declare(host, "first")
    host.converge()
    return host


def declare(host: Host, digest: str, **other: Any) -> None:
    stem = host.path if host.spec.stem is None else Path(host.spec.stem)
    host.path = stem.parent / f".{digest}" / stem.name
    host.spec = host.spec.replace(path=str(host.path), stem=str(stem), **other)


def test_another_declaration_is_beside_and_shares_what_is_the_same(apart: Host, hub: Hub) -> None:
    first = apart.path
    (hub.root / REPO / "config.json").write_bytes(b"x" * CONTENT["config.json"])  # of the same size
    before = {name: (first / name).read_bytes() for name in apart.files()}
    declare(apart, "second", revision="v1.0")
    asked = len(hub.downloads())
    model, machine = apart.model(), apart.machine()
    changes = differences(model.expected(machine), model.actual(machine))
    work = model.work(machine, changes)
    assert work is not None
    linked = sum(CONTENT.values()) - CONTENT["config.json"]
    assert (work.bytes, work.linked, work.beside) == (CONTENT["config.json"], linked, str(first))
    (fetch,) = model.fetches(machine, changes)
    assert fetch.usual == CONTENT["config.json"]
    assert not model.restarts(changes)
    apart.converge()
    assert apart.same()
    assert all("config.json" in request.path for request in hub.downloads()[asked:])
    assert {name: (first / name).read_bytes() for name in before} == before
    assert (first / WEIGHTS).stat().st_ino == (apart.path / WEIGHTS).stat().st_ino
    assert os.readlink(str(apart.spec.stem)) == ".first/chat"  # until all services have answered
    apart.model().tidy(apart.machine(), lambda path: True)
    assert os.readlink(str(apart.spec.stem)) == ".second/chat"
    assert apart.look() == apart.look(deep=True) == {}


def test_by_patterns_nothing_is_written_into_a_shared_file(
    apart: Host, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's library is not told which files are wanted when there are very many."""
    monkeypatch.setattr("provision.host.models.fetch.MANY", 0)
    first = apart.path
    (hub.root / REPO / "config.json").write_bytes(b"x" * 200)
    before = {name: (first / name).read_bytes() for name in apart.files()}
    declare(apart, "second", revision="v1.0")
    apart.converge()
    assert apart.same()
    assert {name: (first / name).read_bytes() for name in before} == before


def test_damage_in_one_is_repaired_there_and_not_spread(apart: Host, hub: Hub) -> None:
    first = apart.path
    apart.flip(WEIGHTS)
    declare(apart, "second", revision="v1.0")
    apart.converge()
    assert apart.same()
    assert (first / WEIGHTS).stat().st_ino != (apart.path / WEIGHTS).stat().st_ino
    declare(apart, "first", revision=SOURCES[apart.spec.source])
    asked = len(hub.downloads())
    model, machine = apart.model(), apart.machine()
    changes = differences(model.expected(machine), model.actual(machine))
    assert list(changes) == ["files"]
    assert model.restarts(changes)  # a service has read the damaged one
    model.fix(machine, changes)
    assert apart.same()
    assert len(hub.downloads()) == asked


def test_what_nothing_uses_is_tidied_away(apart: Host) -> None:
    first = apart.path
    (first / "mine.txt").write_text("kept")
    declare(apart, "second", revision="v1.0")
    apart.converge()
    model = apart.model()
    model.former = [str(first), str(first.parent.parent / ".gone/chat")]
    model.tidy(apart.machine(), lambda path: path == str(first))
    assert (first / WEIGHTS).exists()
    model.tidy(apart.machine(), lambda path: False)
    assert [path.name for path in first.iterdir()] == ["mine.txt"]
    assert apart.same()
    assert model.remove(apart.machine()) is True
    assert not os.path.lexists(str(apart.spec.stem))


def test_the_directory_of_an_older_version_stays_in_use(host: Host, hub: Hub) -> None:
    host.converge()
    older = host.path
    declare(host, "first")
    assert host.model().moved(host.machine()) == {str(host.path): str(older)}
    host.spec = host.spec.replace(path=str(older))
    assert host.look() == {}
    assert not host.path.exists()
    (hub.root / REPO / "config.json").write_text("{}")
    declare(host, "second", revision="v1.0")
    assert host.model().moved(host.machine()) == {}
    asked = len(hub.downloads())
    host.converge()
    assert all("config.json" in request.path for request in hub.downloads()[asked:])
    assert (older / WEIGHTS).stat().st_ino == (host.path / WEIGHTS).stat().st_ino
    assert not older.is_symlink()
    model = host.model()
    model.former = [str(older)]
    model.tidy(host.machine(), lambda path: False)
    assert os.readlink(older) == ".second/chat"


def test_what_was_copied_by_hand_is_used_where_it_is(host: Host, hub: Hub) -> None:
    older = host.path
    older.mkdir(parents=True)
    (older / WEIGHTS).write_bytes((host.original / WEIGHTS).read_bytes())
    declare(host, "first")
    assert host.model().moved(host.machine()) == {str(host.path): str(older)}


@root_only
def test_a_disk_of_its_own_is_not_left(host: Host) -> None:
    disk = host.path
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(disk)], check=True)
    try:
        host.converge()
        declare(host, "second", revision="v1.0")
        assert host.model().moved(host.machine()) == {str(host.path): str(disk)}
        model, machine = host.model(path=str(disk)), host.machine()
        changes = differences(model.expected(machine), model.actual(machine))
        assert model.restarts(changes)
        note = model.notes(machine)[0]
        assert note.code == "replaced-in-place"
    finally:
        subprocess.run(["umount", str(disk)], check=True)
