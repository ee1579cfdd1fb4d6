"""The benchmark's hosts: their image, their state, and what can be counted on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import Base, LabHost
from tests.lab.commands import run
from tests.lab.machine import AptSource

VENV = "/opt/bench/venv"


@dataclass(frozen=True)
class BenchBase(Base):
    """A Debian with the work's packages and virtual environment, as after an earlier apply.

    Fetching packages would measure the mirror, and take a hundred hosts on one machine for ever. All tools
    still have to find that the packages and the environment are there.
    """

    def packages(self) -> list[str]:
        """As for every host, and those of the work."""
        return [*super().packages(), "curl", "python3-apt", "python3-venv"]

    def _make(
        self, root: Path, sources: list[AptSource], options: str, certificates: tuple[str, ...]
    ) -> None:
        super()._make(root, sources, options, certificates)
        run(["chroot", str(root), "python3", "-m", "venv", VENV])
        # sshd then notes every command that it executes, those over kept connections too
        (root / "etc/ssh/sshd_config.d/bench.conf").write_text("LogLevel VERBOSE\n", encoding="ascii")


_FILES = (
    "/srv/bench",
    "/srv/bench/app",
    "/srv/bench/data",
    "/srv/bench/log",
    "/srv/bench/app/serve.py",
    "/opt/provision",
    "/opt/provision/services",
    "/opt/provision/services/bench",
    "/opt/provision/services/bench/env",
    "/opt/provision/services/bench/start.sh",
    "/etc/systemd/system/provision-bench.service",
)

_STATE = f"""
import hashlib, json, os, pwd, stat, subprocess
def file(path):
    found = os.lstat(path)
    data = open(path, "rb").read() if stat.S_ISREG(found.st_mode) else b""
    return [oct(found.st_mode), found.st_uid, found.st_gid, hashlib.sha256(data).hexdigest()]
def out(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()
print(json.dumps(dict(
    files={{path: file(path) for path in {_FILES!r}}},
    user=list(pwd.getpwnam("bench")),
    unit=out("systemctl", "show", "provision-bench", "--property=ActiveState,UnitFileState,NeedDaemonReload"),
    packages=out("dpkg-query", "-W", "-f", "${{Package}} ${{Version}} ${{db:Status-Status}}\\n"),
    environment=os.path.exists("{VENV}/bin/python"),
    answer=out("curl", "-s", "http://127.0.0.1:8080/"),
)))
"""

_RESET = """
systemctl --quiet disable --now provision-bench
rm -rf /srv/bench /opt/provision/services /etc/systemd/system/provision-bench.service
systemctl daemon-reload
"""


def state(host: LabHost) -> dict[str, Any]:
    """Return all of the host that the work is about, read without the help of any tool under comparison."""
    found: dict[str, Any] = json.loads(host.exec(["python3", "-I", "-S", "-c", _STATE]).stdout)
    return found


def states(hosts: Sequence[LabHost]) -> list[dict[str, Any]]:
    """Return the state of each host."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(state, hosts))


def settle(hosts: Sequence[LabHost]) -> None:
    """Wait until each host has done all that it does when it boots."""
    with ThreadPoolExecutor(8) as pool:
        argv = ["systemctl", "is-system-running", "--wait"]
        list(pool.map(lambda host: host.exec(argv, check=False), hosts))


def reset(hosts: Sequence[LabHost]) -> None:
    """Take the directories, files, unit and service away; user, packages and environment stay."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda host: host.exec(["sh", "-c", _RESET]), hosts))


@dataclass(frozen=True)
class Count:
    """What a host has seen so far: ``executions`` by sshd, and processes and threads that were started."""

    executions: int
    tasks: int

    @classmethod
    def of(cls, host: LabHost) -> Count:
        """Read both. Reading starts one process itself, which `since` takes off."""
        script = (
            "read -r _ _ _ _ last </proc/loadavg; echo $last; journalctl -q -o cat -u ssh --grep '{}' | wc -l"
        )
        seen = host.exec(["sh", "-c", script.format("^Starting session")]).stdout.split()
        return cls(int(seen[1]), int(seen[0]))

    @classmethod
    def own_tasks(cls, host: LabHost) -> int:
        """How many tasks `of` starts: what two readings in a row differ by."""
        first, second = cls.of(host), cls.of(host)
        return second.tasks - first.tasks
