"""Marks in every field that takes a secret, by every way: a hunt for them after every verb, on both sides.

Linux shows processes of containers to root of the machine, so one look sees those of the hosts, too.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
import urllib.parse
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.command import Provision
from tests.e2e.terminal import Terminal
from tests.lab import Lab, LabHost
from tests.secrets import hunt
from tests.secrets.planted import Planted

pytestmark = pytest.mark.lab

BECOME = "Mk7qBecome77"

APPLIED = """\
- hosts: {host}
  directories: {{/etc/marked: null}}
  files:
    /etc/marked/1: {{content: {one}}}
    /etc/marked/2: {{content: {two}}}
    /etc/marked/3: {{content: {three}}}
    /etc/marked/4: {{content: {four}}}
  commands:
    use:
      run: 'echo "$TOKEN"; sleep 0.1; touch /srv/used'
      creates: /srv/used
      env: {{TOKEN: {one}}}
  services:
    worker:
      kind: program
      command: [/usr/bin/python3, -m, http.server, "8160"]
      port: 8160
      env: {{ONE: {one}, TWO: {two}, THREE: {three}, FOUR: {four}}}
      checks: [{{http: /}}]
"""  # fmt: skip


class Site:
    def __init__(self, lab: Lab, host: LabHost, root: Path) -> None:
        self.host = host
        self.root = root
        self.project = root / "project"
        self.project.mkdir()
        self.planted = Planted(self.project)
        host.exec(["sh", "-c", f"echo ops:{BECOME} | chpasswd"])
        hosts = yaml.safe_load(lab.inventory.read_text())
        inventory = {"hosts": {host.name: {**hosts["hosts"][host.name], "user": "ops", "become": True}}}
        (root / "hosts.yml").write_text(json.dumps(inventory))
        four = {f: json.dumps(self.planted.reference()) for f in ("one", "two", "three", "four")}
        (self.project / "applied.yml").write_text(APPLIED.format(host=host.name, **four))
        self.planted.write("looked-at.yml", host.name)
        self.sources = {str(path) for path in self.project.rglob("*")}
        self.marks = [*self.planted.marks, BECOME]
        self.env = {
            **self.planted.env,
            "XDG_CACHE_HOME": str(root / "cache"),
            "XDG_RUNTIME_DIR": str(root / "run"),
            "TMPDIR": str(root / "tmp"),
        }
        for name in ("run", "tmp"):
            (root / name).mkdir(mode=0o700)
        self.provision = Provision(["-i", str(root / "hosts.yml")], self.env, self.project)
        self.said = self.provision.log

    def run(self, verb: str, *args: str) -> int:
        """Run a verb that reaches the host: it asks for the password."""
        options = [] if args[:1] == ("saved",) else self.provision.options
        argv = [verb, *args, *options, "--ask-become-pass"]
        with Terminal(*argv, cwd=self.project, env=self.env, columns=400) as terminal:
            terminal.until("sudo password: ")
            terminal.send(BECOME + "\n")
            code = terminal.end(240)
            self.said.append(terminal.seen)
        return code

    def leaks(self) -> dict[str, set[str]]:
        """Return the marks in what was printed, and in files of this machine."""
        found = {
            path: marks
            for path, marks in hunt.files(self.marks, self.root).items()
            if path not in self.sources
        }
        printed = hunt.within("\n".join(self.said).encode(), self.marks)
        return {**found, **({"printed": printed} if printed else {})}

    def on_host(self) -> dict[str, set[str]]:
        """Return the marks in all that was written on the host, and in its journal."""
        disk = self.host.directory / "upper"
        found = {
            path[len(str(disk)) :]: marks
            for path, marks in hunt.files(self.marks, disk).items()
            if stat.S_ISREG(os.lstat(path).st_mode)
        }
        for place in ("/run", "/dev/shm", "/tmp"):
            found |= self._held(place, f"tar -C {place} -cf - .")
        found |= self._held("journal", "journalctl --sync; journalctl -o export")
        return found

    def _held(self, name: str, script: str) -> dict[str, set[str]]:
        """Return the marks in what a script of the host prints, under a name."""
        printed = self.host.exec(["sh", "-c", f"({script}) 2>/dev/null | base64 -w0"], check=False).stdout
        marks = hunt.within(b64decode(printed), self.marks)
        return {name: marks} if marks else {}


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    (host,) = lab.add("hunted")
    yield Site(lab, host, tmp_path_factory.mktemp("hunt"))
    lab.remove("hunted")


def is_kept(path: str) -> bool:
    """Whether a file of the host may hold secrets: declared, read by a service, or needed by a rollback."""
    return path.startswith(
        (
            "/etc/marked/",
            "/opt/provision/services/worker/env",
            "/opt/provision/state/former/",
            "/opt/provision/state/revisions/",
        )
    )


def test_nothing_is_found_after_any_verb(site: Site) -> None:
    with hunt.processes(site.marks) as root, hunt.processes(site.marks, hunt.NOBODY) as nobody:
        for page in ("applied.yml", "looked-at.yml"):
            assert site.provision.run("validate", page).code == 0, site.said[-2:]
            assert site.provision.run("render", page).code == 0
        for page in ("applied.yml", "looked-at.yml"):
            assert site.provision.run("render", page, "--to", f"rendered-{page}").code == 0
        site.run("plan", "looked-at.yml", "--output", "json")
        assert site.run("plan", "applied.yml", "--out", "saved") == 0, site.said[-1]
        assert site.run("apply", "saved", "--yes") == 0, site.said[-1]
        assert site.run("apply", "applied.yml", "--yes", "--verify", "--output", "json") == 0
        page = site.project / "applied.yml"
        page.write_text(page.read_text().replace("http.server", "http.sserver"))
        assert site.run("apply", "applied.yml", "--yes", "--output", "json") == 1
        page.write_text(page.read_text().replace("http.sserver", "http.server"))
        for verb in ("verify", "status", "history", "lock", "sbom"):
            more = ["--host", site.host.name] if verb == "sbom" else []
            site.run(verb, "applied.yml", *more)
        site.run("logs", "worker", "applied.yml")
        kept = site.on_host()
        site.run("remove", "applied.yml", "--yes", "--service", "worker")

    assert site.leaks() == {}
    assert [path for path in kept if not is_kept(path)] == []
    assert "/opt/provision/services/worker/env" in kept  # it is where it belongs
    for path in kept:
        mode = (
            stat.S_IMODE((site.host.directory / "upper" / path[1:]).lstat().st_mode)
            if (site.host.directory / "upper" / path[1:]).exists()
            else 0o600
        )
        assert mode == 0o600, path
    # Root sees them in no arguments, and in the variables of those alone whose they are.
    assert nobody.seen == set()
    assert {seen for seen in root.seen if seen.what != "environ"} == set()
    ours = {seen for seen in root.seen if seen.uid == 0 and seen.mark in site.env.values()}
    others = {(seen.uid != 0, seen.name) for seen in root.seen - ours}
    assert {name for _, name in others} <= {"python3", "sh", "touch", "sleep", "test", "start.sh", "env"}, (
        others
    )


@pytest.mark.parametrize("side", ["here", "there"])
def test_no_core_dump_holds_one(site: Site, side: str) -> None:
    limits = site.host.root / "etc/security/limits.d/core.conf"
    limits.write_text("* soft core unlimited\nroot soft core unlimited\n")
    page = site.project / "slow.yml"
    reference = json.dumps({"env": next(name for name in site.env if name.startswith("V"))})
    page.write_text(
        f"- hosts: {site.host.name}\n  files: {{/etc/marked-core: {{content: {reference}}}}}\n"
        f"  commands: {{slow: {{run: 'touch /srv/slow-{side}; sleep 600', creates: /srv/never}}}}\n"
    )
    argv = ["apply", str(page), "--yes", *site.provision.options, "--ask-become-pass"]
    os.environ["SHELL"] = os.environ.get("SHELL", "/bin/sh")
    import resource

    former = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (former[1], former[1]))
    try:
        with Terminal(*argv, cwd=site.project, env=site.env) as terminal:
            terminal.until("sudo password: ")
            terminal.send(BECOME + "\n")
            site.host.exec(["sh", "-c", f"until test -e /srv/slow-{side}; do sleep 0.1; done"])
            if side == "here":
                terminal._process.send_signal(signal.SIGSEGV)
            else:
                site.host.exec(["sh", "-c", "pkill -SEGV -f '^python3 -I -S -c import sys,zlib'"])
            terminal.end()
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, former)
        limits.unlink()
    page.unlink()
    assert site.leaks() == {}
    assert [path for path in site.on_host() if not is_kept(path) and path != "/etc/marked-core"] == []


# -- the search can find them --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write",
    [
        str,
        lambda mark: b64encode(f"key:{mark}".encode()).decode(),
        lambda mark: urllib.parse.quote(f"a b&{mark}"),
        lambda mark: json.dumps(f'"{mark}\\'),
        lambda mark: shlex.quote(f"it's {mark}"),
        lambda mark: mark.encode().hex(),
    ],
    ids=["plain", "base64", "URL", "JSON", "shell", "hexadecimal"],
)
def test_a_leak_is_found_in_files_and_output(site: Site, write) -> None:  # type: ignore[no-untyped-def]
    leak = write(site.marks[1])
    for folder in ("cache", "project/rendered-applied.yml", "tmp", "run"):
        place = site.root / folder / "leak"
        place.parent.mkdir(exist_ok=True)
        place.write_text(leak)
        assert site.leaks() == {str(place): {site.marks[1]}}
        place.unlink()
    site.said.append(leak)
    assert site.leaks() == {"printed": {site.marks[1]}}
    site.said.pop()
    before = site.on_host()
    for place in ("/srv/leak", "/dev/shm/leak", "/run/leak"):
        site.host.exec(["sh", "-c", f"printf %s {shlex.quote(leak)} > {place}"])
        new = site.on_host()
        assert set(new) - set(before), place
        site.host.exec(["rm", place])
    site.host.exec(["sh", "-c", f"printf '%s\\n' {shlex.quote(leak)} | systemd-cat"])
    assert site.marks[1] in site.on_host()["journal"]
    site.host.exec(
        [
            "sh",
            "-c",
            "journalctl --rotate; journalctl --vacuum-time=1s; sleep 1.1; journalctl --vacuum-time=1s",
        ]
    )


def test_a_leak_is_found_in_processes(site: Site) -> None:
    with hunt.processes(site.marks) as root, hunt.processes(site.marks, hunt.NOBODY) as nobody:
        subprocess.run(["sh", "-c", "sleep 0.05; :", site.marks[1]], check=True)
        subprocess.run(["sleep", "0.05"], env={"X": site.marks[2], "PATH": os.environ["PATH"]}, check=True)
        site.host.exec(["sh", "-c", "sleep 0.05; :", site.marks[3]])
    arguments = {seen.mark for seen in root.seen if seen.what == "cmdline"}
    assert {site.marks[1], site.marks[3]} <= arguments
    assert site.marks[2] in {seen.mark for seen in root.seen if seen.what == "environ"}
    assert {site.marks[1], site.marks[3]} <= {seen.mark for seen in nobody.seen}
    assert site.marks[2] not in {seen.mark for seen in nobody.seen}


def test_a_leak_is_found_in_a_core_dump(site: Site) -> None:
    if Path("/proc/sys/kernel/core_pattern").read_text() != "core\n":
        pytest.skip("this machine does not leave core dumps where a program was")
    code = f"import os; x = 'Mk' + {site.marks[1][2:]!r} * 2; os.kill(os.getpid(), 11)"
    command = ["sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh", sys.executable, "-c", code]
    subprocess.run(command, cwd=site.root / "tmp", check=False)
    found = site.leaks()
    time.sleep(0)
    for path in (site.root / "tmp").iterdir():
        path.unlink()
    assert any("core" in path for path in found), found
