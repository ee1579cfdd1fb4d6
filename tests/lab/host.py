"""One booted host of a lab, and what can be done to it."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import machine
from .base import Base
from .cgroup import ControlGroup
from .commands import run
from .errors import LabError
from .network import Network
from .paths import state_directory
from .process import ProcessId

PIP_CACHE = "/var/cache/lab-pip"
"""Where the hosts see the pip cache that all labs share."""

_NESTED_CONTAINERS = """\
# inside a host of the lab: cgroups of other hierarchies are read-only, the kernel's keyring is out of reach
[containers]
cgroups = "disabled"
keyring = false
netns = "host"
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "crun"
"""

_CLEAN_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}


@dataclass
class LabHost:
    """A Debian with systemd as PID 1 and sshd, on an overlay of its own.

    It is reached as root, as ``ops`` (sudo with the password "ops") and as ``deploy`` (sudo without one).
    """

    name: str
    number: int
    directory: Path
    network: Network
    base: Base = field(default_factory=Base)
    binds: tuple[str, ...] = ()
    """Directories of the controller that the host sees too, as nspawn's ``--bind``: ``/source[:/target]``."""
    layers: tuple[str, ...] = ()
    """Directories of the controller on which the host has its own, as ``/source:/target``: it sees what is in
    the source, and what it changes is its own.
    """
    nested: bool = False
    """Whether podman must work inside (the packages podman and crun, once the test has installed them)."""
    supervisor: ProcessId | None = None
    """The systemd-nspawn process."""
    init: ProcessId | None = None
    """The PID 1 of the host, as the controller sees it."""

    @property
    def address(self) -> str:
        """The host's address on the bridge of its lab."""
        return self.network.address(self.number)

    @property
    def root(self) -> Path:
        """The host's root file system, seen from the controller."""
        return self.directory / "root"

    @property
    def machine_name(self) -> str:
        """A name unique among all labs, of the length that names of interfaces allow."""
        return f"{self.network.bridge}h{self.number}"

    @property
    def running(self) -> bool:
        """Whether the host is up (it may still be booting)."""
        return self.supervisor is not None and self.supervisor.alive()

    # -- life

    def prepare(self, key: Path) -> str:
        """Make the host's file system; return its public host key as a line of known_hosts."""
        for part in ("upper", "work", "root"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        if not self.root.is_mount():
            lower = self.base.ensure()
            layers = f"lowerdir={lower},upperdir={self.directory / 'upper'},workdir={self.directory / 'work'}"
            run(["mount", "-t", "overlay", "overlay", "-o", layers, str(self.root)])
        self._write("etc/hostname", f"{self.name}\n")
        self._write("etc/hosts", f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {self.name}\n")
        self._write("etc/machine-id", secrets.token_hex(16) + "\n")
        self._write("etc/resolv.conf", machine.nameservers())
        self._write(
            "etc/systemd/network/10-lab.network",
            f"[Match]\nName=host0\n[Network]\nAddress={self.address}/24\nGateway={self.network.gateway}\n",
        )
        self._write("etc/pip.conf", machine.pip_configuration().text(PIP_CACHE))
        if self.nested:
            self._write("etc/containers/containers.conf", _NESTED_CONTAINERS)
        public = key.with_suffix(".pub").read_text(encoding="ascii")
        for home in ("root", "home/ops", "home/deploy"):
            self._authorize(home, public)
        host_key = self.root / "etc/ssh/ssh_host_ed25519_key"
        if not host_key.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", str(host_key)])
        kind, blob, *_ = host_key.with_suffix(".pub").read_text(encoding="ascii").split()
        return f"{self.address} {kind} {blob}\n"

    def start(self) -> None:
        """Boot the host; return at once (see wait)."""
        if self.running:
            return
        joins = [f"echo $$ >{shlex.quote(str(path))}" for path in ControlGroup(self.machine_name).create()]
        command = shlex.join(self._nspawn())
        with (self.directory / "console.log").open("ab") as console:
            child = subprocess.Popen(
                ["/bin/sh", "-ec", "\n".join([*joins, f"exec {command}"])],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.supervisor = ProcessId.of(child.pid)
        self.init = None

    def _nspawn(self) -> list[str]:
        cache = state_directory() / "cache" / "pip"
        cache.mkdir(parents=True, exist_ok=True)
        local = [f"--bind-ro={path}" for path in machine.pip_configuration().paths()]
        return [
            "systemd-nspawn",
            "--quiet",
            f"--directory={self.root}",
            "--boot",
            # the controller's own PID 1 need not be systemd: neither machined nor a scope can be asked for
            "--register=no",
            "--keep-unit",
            "--settings=no",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            f"--network-bridge={self.network.bridge}",
            f"--machine={self.machine_name}",
            f"--hostname={self.name}",
            f"--bind={cache}:{PIP_CACHE}",
            *local,
            *(f"--bind={bind}" for bind in [*self.binds, *self._storage()]),
            *(f"--overlay={layer}" for layer in self._layers()),
        ]

    def _layers(self) -> Iterator[str]:
        for number, layer in enumerate(self.layers):
            source, _, target = layer.partition(":")
            own = self.directory / "layers" / str(number)
            for directory in (own, self.root / target.lstrip("/")):
                directory.mkdir(parents=True, exist_ok=True)
            yield f"{source}:{own}:{target}"

    def _storage(self) -> list[str]:
        """A place for images on a real file system: an overlay cannot lie on the host's overlay."""
        if not self.nested:
            return []
        storage = self.directory / "containers"
        storage.mkdir(exist_ok=True)
        return [f"{storage}:/var/lib/containers"]

    def wait(self, seconds: float = 180) -> None:
        """Wait until sshd greets.

        Raises:
            LabError: it did not within ``seconds``, or the host died; the end of its console is quoted.
        """
        deadline = time.monotonic() + seconds
        while not self._greets():
            if not self.running or time.monotonic() > deadline:
                raise LabError(f"{self.name} did not come up: {self.console()[-2000:]}")
            time.sleep(0.1)
        self._find_init()

    def _greets(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _find_init(self) -> ProcessId:
        if self.init is None or not self.init.alive():
            children = self.supervisor.children() if self.supervisor else []
            if not children:
                raise LabError(f"{self.name} is not running")
            self.init = children[0]
        return self.init

    def stop(self) -> None:
        """Pull the plug: every process of the host dies at once; its disk stays. See start."""
        if self.supervisor is None:
            return
        for child in self.supervisor.children():
            child.kill()  # the kernel then kills the whole pid namespace, and nspawn tidies up
        if not self.supervisor.wait(60):
            self.supervisor.kill()
            self.supervisor.wait(60)
        try:
            os.waitpid(self.supervisor.pid, os.WNOHANG)
        except ChildProcessError:
            pass  # another process started it
        ControlGroup(self.machine_name).remove()
        self.supervisor = self.init = None

    def reboot(self) -> None:
        """Pull the plug, boot again from the same disk, and wait until sshd greets."""
        self.stop()
        self.start()
        self.wait()

    def destroy(self) -> None:
        """Stop the host and remove all that is left of it."""
        self.stop()
        while self.root.is_mount():
            run(["umount", "--lazy", str(self.root)])
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- work

    def ssh(
        self, argv: Sequence[str], *, user: str = "root", input: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run ``argv`` on the host through ssh, with the host key checked.

        Raises:
            LabError: with ``check``, when the exit code is not 0; the output is quoted.
        """
        lab = self.directory.parent.parent
        command = ["ssh", "-F", str(lab / "ssh_config"), f"{user}@{self.address}", shlex.join(argv)]
        return self._completed(command, input, check)

    def exec(
        self, argv: Sequence[str], *, input: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run ``argv`` as root inside the host without ssh (which also works when sshd does not).

        Raises:
            LabError: the host is not running, or, with ``check``, the exit code is not 0.
        """
        target = f"--target={self._find_init().pid}"
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
        inside = ["nsenter", target, *spaces, "--", "/usr/bin/env", *argv]
        return self._completed(inside, input, check, _CLEAN_ENVIRONMENT)

    def _completed(
        self, command: list[str], input: str | None, check: bool, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, input=input or "", capture_output=True, text=True, check=False, env=environment
        )
        if check and done.returncode != 0:
            raise LabError(
                f"on {self.name}: {shlex.join(command)} failed with exit code {done.returncode}:\n"
                f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
        return done

    def console(self) -> str:
        """What the host's PID 1 wrote to its console."""
        try:
            return (self.directory / "console.log").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    # -- faults

    def blackhole(self) -> None:
        """From now on TCP to port 22 is accepted, and nothing is ever said; open sessions hang, too."""
        self._signal_sshd(signal.SIGSTOP)

    def revive(self) -> None:
        """End a blackhole."""
        self._signal_sshd(signal.SIGCONT)

    def _signal_sshd(self, number: signal.Signals) -> None:
        script = (
            "for p in /proc/[0-9]*; do read -r name <$p/comm || continue; "
            f'case $name in sshd*) kill -{int(number)} "${{p#/proc/}}";; esac; done'
        )
        self.exec(["sh", "-c", script])

    def small_disk(self, path: str, size: str = "16M") -> None:
        """Mount a file system of this size (as mount's ``size=``) at ``path``, made when absent."""
        self.exec(["mkdir", "-p", path])
        self.exec(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "lab-small-disk", path])

    def fill(self, path: str) -> None:
        """Fill the file system at ``path`` to its last byte; only on a small_disk."""
        kind = self.exec(["stat", "-f", "-c", "%T", path]).stdout.strip()
        if kind != "tmpfs":
            raise LabError(f"{path} of {self.name} is no small disk; call small_disk first")
        self.exec(["dd", "if=/dev/zero", f"of={path}/fill", "bs=64k"], check=False)

    def _write(self, path: str, text: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink():
            target.unlink()
        target.write_text(text, encoding="utf-8")

    def _authorize(self, home: str, public: str) -> None:
        owner = (self.root / home).stat()
        self._write(f"{home}/.ssh/authorized_keys", public)
        for path, mode in ((f"{home}/.ssh", 0o700), (f"{home}/.ssh/authorized_keys", 0o600)):
            (self.root / path).chmod(mode)
            os.chown(self.root / path, owner.st_uid, owner.st_gid)
