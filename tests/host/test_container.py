"""Containers as resources: the real podman, and docker's client on its socket."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from provision.host.capture import Completed
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.resource import Changes, differences
from provision.host.resources import recall
from provision.host.resources.container import Container
from provision.host.resources.probe import Probe
from provision.host.services import checks, supervision
from provision.host.services.containers import engines
from provision.host.services.containers.settings import MADE_WITH, observed
from provision.host.state import owed
from provision.wire.checks import Chat, Check, Http, Running
from provision.wire.checks import Port as TakesConnections
from provision.wire.specs.container import ContainerSpec, EngineOptions, Port, Volume
from provision.wire.specs.probe import ProbeSpec
from tests.host import heard
from tests.host.services import SERVER, free_port
from tests.lab import Podman

pytestmark = pytest.mark.lab

ENGINES = [
    "podman",
    pytest.param("docker", marks=pytest.mark.skipif(not shutil.which("docker"), reason="no docker")),
]

SERVE = (
    "import http.server as h; h.ThreadingHTTPServer(('', 8000), h.SimpleHTTPRequestHandler).serve_forever()"
)


class Box:
    """One container under test, and its engine."""

    def __init__(self, podman: Podman, engine: str, directory: Path) -> None:
        self.podman = podman
        self.events: list[dict[str, Any]] = []
        self.state = directory / "state"
        self.machine = Machine(heard.into(self.events), str(self.state))
        self.name = f"test-{engine}"
        self.port = free_port()
        self.data = directory / "data"
        self.data.mkdir()
        (self.data / "page").write_text("hello")
        self.spec = ContainerSpec(
            service="web",
            container=self.name,
            engine=engine,
            image="localhost/lab:1",
            command=["python3", "-c", SERVE],
            env={"PLAIN": 'a "b" $c', "EMPTY": "", "KEY": "s3cret"},
            secrets=["KEY"],
            ports=[Port(address="127.0.0.1", port=self.port, target=8000, protocol="tcp")],
            volumes=[Volume(source=str(self.data), target="/data", read_only=True, label=None)],
            options=EngineOptions(),
            stop_timeout=0,
        )

    def resource(self, **more: Any) -> Container:
        self.spec = self.spec.replace(**more)
        return Container("container:web", self.spec)

    def look(self, **more: Any) -> Changes:
        resource = self.resource(**more)
        for name in (self.name, f"{self.name}.provision-new"):
            self.machine.forget(("container", self.spec.engine, name))
        return differences(resource.expected(self.machine), resource.actual(self.machine))

    def converge(self, **more: Any) -> set[str]:
        """Fix what differs, as a run does; return the keys that differed."""
        changes = self.look(**more)
        if changes:
            self.resource().fix(self.machine, changes)
            assert self.look() == {}
        return set(changes)

    def inspect(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.podman.run("container", "inspect", self.name))[0]
        return found

    @property
    def id(self) -> str:
        return str(self.inspect()["Id"])

    def probe(self, *checks: Check, **more: Any) -> Probe:
        spec = ProbeSpec(
            service="web",
            container=self.name,
            engine=self.spec.engine,
            health=False,
            url=f"http://127.0.0.1:{self.port}",
            key_field="api_key_env",
            checks=list(checks) or [TakesConnections()],
            timeout=120,
        )
        return Probe("probe:web", spec.replace(**more))


@pytest.fixture(params=ENGINES)
def box(
    request: pytest.FixtureRequest, podman: Podman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Box]:
    monkeypatch.setenv("PATH", f"{podman.bin}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", podman.docker_host)
    box = Box(podman, request.param, tmp_path)
    yield box
    podman.run("rm", "--force", "--ignore", "--time", "0", box.name, f"{box.name}.provision-new")


def test_a_change_that_is_cancelled_leaves_no_container_down(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.converge()
    real = engines.call

    def call(machine: Machine, engine: str, argv: Sequence[str], *more: Any) -> Completed:
        done = real(machine, engine, argv, *more)
        if argv[0] == "rm":  # the old one is gone, and the new one has not its name yet
            machine.cancel()
        return done

    with monkeypatch.context() as patched:
        patched.setattr(engines, "call", call)
        with pytest.raises(Failure, match="cancelled"):
            box.converge(env={"PLAIN": "new"})
    box.machine.cancelled.clear()
    assert box.look() == {}


def get(box: Box, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{box.port}{path}", timeout=10) as reply:
        return str(reply.read().decode())


def test_made_running_and_answering(box: Box) -> None:
    assert {"image", "command", "env", "ports", "mounts", "running"} <= box.converge()
    probe = box.probe(Http(path="/data/page", expect="hello"))
    assert probe.actual(box.machine) == {"proven": False}
    probe.fix(box.machine, {})
    assert probe.actual(box.machine) == {"proven": True}
    assert owed.restart(str(box.state), "web").read() is None
    before = box.id
    assert box.converge() == set()
    assert box.id == before


def test_variables_arrive_as_they_are_written_and_a_secret_in_no_argument(box: Box) -> None:
    box.converge()
    env = dict(line.partition("=")[::2] for line in box.inspect()["Config"]["Env"])
    assert {name: env[name] for name in box.spec.env} == box.spec.env
    said = json.dumps([box.inspect()["Config"].get(key) for key in ("CreateCommand", "Labels", "Cmd")])
    assert "s3cret" not in said
    assert not [path for path in box.state.rglob("*") if path.is_file() and "s3cret" in path.read_text()]


def test_a_difference_in_a_secret_shows_no_value(box: Box) -> None:
    box.converge()
    changes = box.look(env={**box.spec.env, "KEY": "0ther"})
    assert changes == {
        "env": (
            {"PLAIN": 'a "b" $c', "EMPTY": "", "KEY": "something else"},
            {"PLAIN": 'a "b" $c', "EMPTY": "", "KEY": "as declared"},
        )
    }
    assert box.converge() == {"env"}
    changes = box.look(env={"PLAIN": 'a "b" $c', "EMPTY": ""}, secrets=[])
    assert "0ther" not in json.dumps(changes)
    assert changes["env"][0]["KEY"] == "set"
    assert box.converge() == {"env"}


@pytest.mark.parametrize(
    ("key", "more"),
    [
        ("command", {"command": ["sleep", "99"]}),
        ("command", {"command": None}),
        ("mounts", {"volumes": []}),
        ("ports", {"ports": []}),
        ("network", {"network": "host"}),
        ("ipc", {"ipc": "host"}),
        ("shm_size", {"shm_size": 32 << 20}),
        ("user", {"user": "nobody"}),
        ("restart", {"restart": "always"}),
        ("entrypoint", {"entrypoint": []}),
    ],
)
def test_what_is_declared_otherwise_is_found_and_so_is_what_is_not_declared_any_more(
    box: Box, key: str, more: dict[str, Any]
) -> None:
    before = {name: getattr(box.spec, name) for name in more}
    if key == "network":
        box.resource(ports=[])
    box.converge()
    assert box.converge(**more) == {key}
    assert box.converge(**before) == {key}


OPTIONS: dict[str, Any] = {
    "devices": ["/dev/null:/dev/davinci0:rw"],
    "cap_add": ["SYS_PTRACE"],
    "cap_drop": ["NET_RAW"],
    "group_add": ["44"],
    "security_opt": ["seccomp=unconfined"],
    "ulimits": ["memlock=65536:65536", "nofile=4096:4096", "nproc=4096:4096"],
    "labels": ["com.example.owner=ops team"],
    "working_dir": "/data",
    "hostname": "node-1",
    "extra_hosts": ["hub.internal:10.0.0.5"],
    "dns": ["10.0.0.2"],
    "pids_limit": 500,
    "tmpfs": ["/scratch:size=1m"],
    "read_only": True,
    "sysctls": ["net.core.somaxconn=512"],
    "stop_signal": "SIGKILL",
    "health_cmd": "true",
    "health_interval": "30s",
    "health_retries": 2,
}


def test_what_compose_can_say_is_given_to_it_and_is_no_difference_afterwards(box: Box) -> None:
    bare = {"ports": [], "user": "1000:1000"}
    options = dict(OPTIONS)
    if box.spec.engine == "docker":
        del options["devices"]  # docker's client asks podman's socket for a system that it does not tell
    assert set(options) <= box.converge(options=EngineOptions(**options), **bare)
    inside = box.podman.run(
        "exec", box.name, "sh", "-c",
        "pwd; hostname; id -u; id -G; test -c /dev/davinci0 && echo device; ulimit -l; "
        "grep -c hub /etc/hosts; touch /x 2>/dev/null || echo read-only; "
        "cat /proc/sys/net/core/somaxconn; stat -f -c %T /scratch",
    )  # fmt: skip
    told = inside.split()
    assert told[:3] == ["/data", "node-1", "1000"]
    assert "44" in told
    assert told[-5:] == ["64", "1", "read-only", "512", "tmpfs"]
    assert ("device" in told) == ("devices" in options)
    before = box.id
    assert box.converge() == set()
    assert box.id == before
    changed = {**options, "ulimits": ["nofile=4096:4096", "nproc=4096:4096"]}
    del changed["tmpfs"]
    assert box.converge(options=EngineOptions(**changed)) == {"ulimits", "tmpfs"}
    assert box.converge(options=EngineOptions(privileged=True)) == {*changed, "privileged"}
    assert box.converge(options=EngineOptions()) == {"privileged"}


def test_limits_that_the_engine_was_told_to_change_are_seen() -> None:
    """Both engines change these in place; podman wants cgroups v2 for it, so `inspect` is told here."""
    limits = {"mem_limit": 1 << 30, "cpus": 2.0, "cpuset": "0", "pids_limit": 100}
    spec = ContainerSpec(service="web", container="web", image="x", options=EngineOptions(**limits))
    made = {"Labels": {MADE_WITH: json.dumps(limits)}, "Cmd": []}
    host = {"Memory": 1 << 30, "NanoCpus": 2_000_000_000, "CpusetCpus": "0", "PidsLimit": 100}

    def found(**changed: Any) -> dict[str, Any]:
        container = {"Config": made, "HostConfig": {**host, **changed}, "Mounts": []}
        seen = observed(spec, container, None)
        return {key: seen[key] for key, value in limits.items() if seen[key] != value}

    assert found() == {}
    assert found(NanoCpus=500_000_000) == {"cpus": 0.5}
    assert found(NanoCpus=0, CpuQuota=150_000, CpuPeriod=100_000) == {"cpus": 1.5}
    assert found(CpusetCpus="1", PidsLimit=7, Memory=1 << 29) == {
        "mem_limit": 1 << 29,
        "cpuset": "1",
        "pids_limit": 7,
    }


def test_an_env_file_counts_by_what_stands_in_it(box: Box, tmp_path: Path) -> None:
    file = tmp_path / "web.env"
    assert "env" in box.converge(env_files=[], ports=[])
    with pytest.raises(Failure, match="is not there"):
        box.converge(env_files=[str(file)], env={**box.spec.env, "NEW": "1"})
    file.write_text("# comment\nTOKEN=s3cr3t value\nPLAIN=loses\n")
    assert box.converge() == {"env"}
    env = dict(line.partition("=")[::2] for line in box.inspect()["Config"]["Env"])
    assert (env["TOKEN"], env["PLAIN"]) == ("s3cr3t value", 'a "b" $c')
    file.write_text("TOKEN=other\n")
    assert "s3cr3t" not in json.dumps(box.look())
    assert box.converge() == {"env"}
    assert box.converge(env_files=[]) == {"env"}


def test_no_default_of_image_or_engine_counts_as_a_difference(box: Box) -> None:
    bare = {"command": None, "env": {}, "secrets": [], "ports": [], "volumes": []}
    box.converge(**bare)
    assert box.inspect()["Config"]["Cmd"] == ["sleep", "86400"]
    assert box.look() == {}


def test_a_stopped_container_is_started_and_not_made_anew(box: Box) -> None:
    box.converge()
    before = box.id
    box.podman.run("stop", "--time", "0", box.name)
    assert box.converge() == {"running"}
    assert box.id == before


def test_an_owed_restart_restarts_it(box: Box) -> None:
    box.converge()
    before, life = box.id, box.inspect()["State"]["StartedAt"]
    owed.restart(str(box.state), "web").need("file:/x")
    assert box.converge() == {"current"}
    assert box.id == before
    assert box.inspect()["State"]["StartedAt"] != life


def test_the_old_one_runs_on_when_the_new_one_cannot_be_made(box: Box) -> None:
    box.converge()
    life = box.inspect()["State"]["StartedAt"]
    gone = Volume(source=str(box.data / "gone"), target="/gone", read_only=False, label=None)
    changes = box.look(volumes=[gone])
    with pytest.raises(Failure, match="gone is not there to be mounted"):
        box.resource().fix(box.machine, changes)
    with pytest.raises(Failure, match="no-such-network"):
        box.resource(volumes=[], ports=[], network="no-such-network").fix(box.machine, changes)
    assert box.inspect()["State"]["StartedAt"] == life


def test_an_image_of_the_same_name_replaces_the_container(box: Box) -> None:
    tag = f"localhost/moving-{box.name}:1"
    box.podman.run("tag", "localhost/lab:1", tag)
    try:
        box.converge(image=tag)
        box.podman.run("commit", "--quiet", "--change", "LABEL newer=yes", box.name, tag)
        box.machine.forget(("image", box.spec.engine, tag))
        changes = box.look()
        assert set(changes) == {"image"}
        assert changes["image"][0] != changes["image"][1]
        assert box.converge() == {"image"}
        box.podman.run("untag", tag)
        box.machine.forget(("image", box.spec.engine, tag))
        assert box.look() == {}
    finally:
        box.podman.run("rm", "--force", "--time", "0", box.name)
        box.podman.run("rmi", "--force", tag, check=False)


def test_an_image_is_loaded_from_an_archive_only_when_it_is_not_there(box: Box, tmp_path: Path) -> None:
    tag, archive = f"localhost/saved-{box.name}:1", tmp_path / "image.tar"
    box.podman.run("tag", "localhost/lab:1", tag)
    box.podman.run("save", "--quiet", "--output", str(archive), tag)
    box.podman.run("untag", "localhost/lab:1", tag)
    resource = box.resource(image=tag, archive=str(archive))
    assert resource.work(box.machine, {}).load == str(archive)
    box.converge()
    archive.unlink()
    assert resource.notes(box.machine) == []
    assert resource.work(box.machine, {}).load is None
    assert box.converge(env={"A": "b"}, secrets=[]) == {"env"}
    box.podman.run("rm", "--force", "--time", "0", box.name)
    box.podman.run("untag", tag, tag)
    box.machine.forget(("image", box.spec.engine, tag))
    with pytest.raises(Failure, match=r"image\.tar is not there"):
        box.resource().fix(box.machine, {})


def test_what_is_no_image_archive_is_refused(box: Box, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    archive.write_text("no tar at all")
    with pytest.raises(Failure) as failure:
        box.resource(image="localhost/none:1", archive=str(archive)).fix(box.machine, {})
    assert failure.value.hint == "an image archive is what `docker save` or `podman save` writes"


def test_an_image_that_cannot_be_pulled(box: Box) -> None:
    with pytest.raises(Failure) as failure:
        box.resource(image="localhost:1/none:1").fix(box.machine, {})
    assert failure.value.message.startswith(f"{box.spec.engine} pull: ")
    assert "archive" in (failure.value.hint or "")


def test_a_container_that_is_not_ours_is_left_alone(box: Box) -> None:
    box.podman.run("run", "--detach", "--name", box.name, "localhost/lab:1")
    with pytest.raises(Failure, match="has not made"):
        box.look()
    assert box.resource().remove(box.machine) is False
    assert box.inspect()["State"]["Running"]


def test_removal_takes_it_away_once(box: Box) -> None:
    box.converge()
    assert box.resource().remove(box.machine) is True
    assert box.podman.run("ps", "--all", "--quiet", "--filter", f"name={box.name}") == ""
    assert box.resource().remove(box.machine) is False


def test_what_an_older_version_has_noted_of_it_is_enough_to_remove_it(box: Box) -> None:
    box.converge()
    noted = {"service": "web", "name": box.name, "engine": box.spec.engine, "unit": None, "stop_timeout": 0}
    container = recall("container:web", "container", noted)
    assert container.remove(box.machine) is True
    assert box.podman.run("ps", "--all", "--quiet", "--filter", f"name={box.name}") == ""


def test_a_program_that_ends_at_once_is_told_with_its_last_words(box: Box) -> None:
    with pytest.raises(Failure, match=r"^web ended \(exit 3\)$") as failure:
        box.resource(command=["sh", "-c", "echo last words; exit 3"]).fix(box.machine, {})
    assert failure.value.log[-1] == "last words"


def test_a_port_that_somebody_else_holds(box: Box) -> None:
    with socket.create_server(("127.0.0.1", box.port)):
        note = f"port {box.port} is held by "
        assert box.resource().opens(box.machine, {}) == [(box.port, "127.0.0.1")]
        with pytest.raises(Failure, match=note):
            box.resource().fix(box.machine, {})


def test_its_life_and_log_are_known(box: Box) -> None:
    box.converge(command=["sh", "-c", "echo one; echo two >&2; exec sleep 99"])
    spec = box.spec
    life = supervision.life(box.machine, spec)
    assert life.state == "running"
    assert life.pid == box.inspect()["State"]["Pid"]
    while len(supervision.tail(box.machine, spec)) < 2:
        time.sleep(0.1)
    assert sorted(supervision.tail(box.machine, spec)) == ["one", "two"]
    box.podman.run("kill", box.name)
    box.podman.run("wait", box.name)
    life = supervision.life(box.machine, spec)
    assert (life.state, life.ended, life.invocation) == ("failed", "signal KILL", None)


def test_without_checks_a_port_has_to_stay_open(box: Box) -> None:
    """What forwards the port takes connections whether or not anybody listens in the container."""
    box.converge(command=["sleep", "99"])
    with pytest.raises(Failure, match=r"did not answer|port: "):
        box.probe(TakesConnections(), timeout=2).fix(box.machine, {})
    box.converge(command=["python3", "-c", SERVE])
    box.probe(TakesConnections()).fix(box.machine, {})


def test_it_is_asked_with_the_key_that_it_has_itself(box: Box) -> None:
    shutil.copy(SERVER, box.data / "server.py")
    key = 'sk "one" $x'
    serve = ["python3", "/data/server.py", "8000", "--host", "0.0.0.0", "--model", "m"]
    box.converge(command=serve, env={"VLLM_API_KEY": key}, secrets=["VLLM_API_KEY"])
    chat = Chat(user="hi")
    box.probe(chat, key_name="VLLM_API_KEY").fix(box.machine, {})
    assert key not in repr(box.events)
    refused = checks.perform(box.machine, box.probe(chat, model="m").spec, chat)
    assert "`api_key_env`" in str(refused.hint)
    other = checks.perform(box.machine, box.probe(chat, key_name="OTHER").spec, chat)
    assert other.error == f"the container {box.name} has no variable OTHER"


def test_without_ports_it_has_to_stay_up(box: Box) -> None:
    check = Running(seconds=2)
    box.converge(command=["sleep", "99"], ports=[])
    box.probe(check, url="").fix(box.machine, {})
    box.converge(command=["sh", "-c", "until test -e /data/end; do sleep 0.1; done; exit 4"])
    (box.data / "end").touch()
    with pytest.raises(Failure, match="exit 4"):
        box.probe(Running(seconds=10), url="").fix(box.machine, {})


def test_a_host_without_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    machine = Machine([].append, str(tmp_path / "state"))
    resource = Container(
        "container:web",
        ContainerSpec(service="web", container="web", image="x", options=EngineOptions()),
    )
    assert resource.actual(machine)["running"] is False
    (note,) = resource.notes(machine)
    assert note.message == "docker or podman is not installed yet"
    assert resource.remove(machine) is False
    with pytest.raises(Failure, match="neither docker nor podman is installed"):
        resource.fix(machine, {})


@pytest.mark.parametrize("box", ENGINES[1:], indirect=True)
def test_a_daemon_that_does_not_answer(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{box.data}/none.sock")
    with pytest.raises(Failure, match="docker's daemon does not answer"):
        box.look()
