"""Base images: a bare Debian with systemd and sshd, made once and shared read-only by all hosts."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import machine
from .commands import run
from .errors import LabError
from .locking import locked
from .paths import state_directory

SUITES = ("bullseye", "bookworm", "trixie")

_PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "sudo",
    "iproute2",
    "ca-certificates",
)

_VERSION = 1
"""Part of the key: raise it when the recipe below changes."""

_SETUP = """
set -e
rm -f /etc/ssh/ssh_host_*
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
systemctl --quiet enable systemd-networkd ssh
systemctl --quiet mask systemd-logind apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer \
  console-getty.service systemd-networkd-wait-online.service
useradd --create-home --shell /bin/bash ops
useradd --create-home --shell /bin/bash deploy
echo ops:ops | chpasswd
printf 'ops ALL=(ALL:ALL) ALL\\ndeploy ALL=(ALL:ALL) NOPASSWD: ALL\\n' >/etc/sudoers.d/lab
chmod 0440 /etc/sudoers.d/lab
update-ca-certificates >/dev/null
"""


@dataclass(frozen=True)
class Base:
    """What a host starts from.

    Two users besides root: ``ops`` (sudo with the password "ops") and ``deploy`` (sudo without one).
    """

    suite: str = "bookworm"
    python: bool = True
    """Whether the distribution's python3 is installed."""
    more: str = ""
    """Further apt packages, for hosts on which their installation is not what is tested."""

    def packages(self) -> list[str]:
        """The apt packages of the image besides those of debootstrap's minimal variant."""
        return [*_PACKAGES, *(["python3"] if self.python else []), *self.more.split()]

    def ensure(self) -> Path:
        """The root file system of the image; made (about a minute) when it is not there yet."""
        if self.suite not in SUITES:
            raise LabError(f"unknown suite {self.suite}; choose one of {', '.join(SUITES)}")
        sources = machine.apt_sources(self.suite)
        options = machine.apt_options()
        certificates = machine.certificates(machine.pip_configuration().certificates)
        key = hashlib.sha256(
            repr((_VERSION, _SETUP, self.packages(), sources, options, certificates)).encode()
        ).hexdigest()[:12]
        bases = state_directory() / "bases"
        root = bases / f"{self.suite}{'' if self.python else '-nopython'}-{key}"
        if root.is_dir():
            return root
        with locked(bases / "lock"):
            if not root.is_dir():
                fresh = bases / "making"
                shutil.rmtree(fresh, ignore_errors=True)
                self._make(fresh, sources, options, certificates)
                fresh.rename(root)
        return root

    def _make(
        self, root: Path, sources: list[machine.AptSource], options: str, certificates: tuple[str, ...]
    ) -> None:
        debs = state_directory() / "cache" / "debs"
        debs.mkdir(parents=True, exist_ok=True)
        arguments = [
            "--variant=minbase",
            f"--cache-dir={debs}",
            "--include=" + ",".join(self.packages()),
        ]
        mirror = [source.uri for source in sources if source.suite == self.suite][:1]
        run(["debootstrap", *arguments, self.suite, str(root), *mirror])
        if sources:
            lines = "".join(source.line() for source in sources)
            (root / "etc/apt/sources.list").write_text(lines, encoding="utf-8")
        (root / "etc/apt/apt.conf.d/50lab").write_text(options, encoding="utf-8")
        self._trust(root, certificates)
        run(["chroot", str(root), "sh", "-c", _SETUP])

    @staticmethod
    def _trust(root: Path, certificates: tuple[str, ...]) -> None:
        """Add what the machine trusts and Debian does not (the CA of a company's proxy, say)."""
        known = {
            "".join(path.read_text(encoding="ascii", errors="replace").split())
            for path in (root / "usr/share/ca-certificates").rglob("*.crt")
        }
        for number, certificate in enumerate(certificates):
            if "".join(certificate.split()) not in known:
                target = root / f"usr/local/share/ca-certificates/lab-{number}.crt"
                target.write_text(certificate, encoding="ascii")
