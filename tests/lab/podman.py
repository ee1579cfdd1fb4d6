"""A podman whose images and containers are all in one directory, and a socket for docker's client."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType

from .base import Base
from .errors import LabError

IMAGE = "localhost/lab:1"
"""An image of the lab's Debian, with python3; it sleeps unless told otherwise."""

_CONFIGURATION = """\
# crun refuses this machine's mixed control groups, and the limits of a whole machine may not be raised
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""

_LEFT_OUT = ("./usr/share/doc", "./usr/share/locale", "./usr/share/man")


class Podman:
    """The engine of a test session; leaves nothing behind.

    Put ``bin`` first in ``PATH`` to use it, or ``docker_host`` into ``DOCKER_HOST`` for ``docker``.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bin = directory / "bin"
        self._service: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Podman:
        real = shutil.which("podman")
        if real is None or os.geteuid() != 0:
            raise LabError("containers need root and podman")
        self.bin.mkdir(parents=True)
        (self.directory / "containers.conf").write_text(_CONFIGURATION, encoding="ascii")
        wrapper = self.bin / "podman"
        wrapper.write_text(
            f"#!/bin/sh\nexport CONTAINERS_CONF={self.directory}/containers.conf\n"
            f'exec {real} --root {self.directory}/root --runroot {self.directory}/run "$@"\n',
            encoding="ascii",
        )
        wrapper.chmod(0o755)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._service:
            self._service.terminate()
            self._service.wait()
        self.run("rm", "--all", "--force", "--time", "0", check=False)
        # Podman's own clean-up of what has just ended would get in the way of ours.
        deadline = time.monotonic() + 60
        while self._busy() and time.monotonic() < deadline:
            time.sleep(0.1)
        for mount in self._mounts():
            subprocess.run(["umount", "--lazy", mount], capture_output=True)
        shutil.rmtree(self.directory)

    def _busy(self) -> bool:
        """Whether a process that names the directory still runs."""
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if f"{self.directory}/".encode() in command.read_bytes():
                    return True
            except OSError:
                continue
        return False

    def _mounts(self) -> list[str]:
        """What is mounted below the directory, the deepest first."""
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        return sorted((path for path in mounted if path.startswith(f"{self.directory}/")), reverse=True)

    def run(self, *argv: str, check: bool = True) -> str:
        """Call podman and return what it prints."""
        done = subprocess.run([str(self.bin / "podman"), *argv], capture_output=True, text=True)
        if check and done.returncode:
            raise LabError(f"podman {argv[0]}: {done.stderr.strip()}")
        return done.stdout

    def image(self, base: Base | None = None, name: str = IMAGE) -> str:
        """Make an image of a base unless it is there; return its name."""
        if not self.run("images", "--quiet", name).strip():
            root = (base or Base()).ensure()
            tar = ["tar", "-C", str(root), *(f"--exclude={path}" for path in _LEFT_OUT), "-c", "."]
            with subprocess.Popen(tar, stdout=subprocess.PIPE) as source:
                subprocess.run(
                    [
                        *(str(self.bin / "podman"), "import"),
                        *("--change", 'CMD ["sleep","86400"]', "--change", "ENV OF_THE_IMAGE=yes"),
                        *("-", name),
                    ],
                    stdin=source.stdout,
                    check=True,
                    capture_output=True,
                )
        return name

    @property
    def docker_host(self) -> str:
        """The address of the socket that docker's client can use; it is opened on first use."""
        path = self.directory / "docker.sock"
        if self._service is None:
            self._service = subprocess.Popen(
                [str(self.bin / "podman"), "system", "service", "--time", "0", f"unix://{path}"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            deadline = time.monotonic() + 120
            while not path.is_socket():
                if time.monotonic() > deadline:
                    raise LabError("podman opens no socket")
                time.sleep(0.05)
        return f"unix://{path}"
