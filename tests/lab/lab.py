"""A lab: a few real hosts on a bridge of their own, with what is needed to reach them."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

import yaml

from .base import Base
from .commands import run
from .errors import LabError
from .host import LabHost
from .locking import locked
from .network import Network, choose_network
from .paths import labs_directory
from .process import ProcessId
from .requirements import missing_requirements

__all__ = ["Lab", "LabHost", "all_labs", "reap"]

_INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
_INOTIFY_WANTED = 8192
"""systemd takes several a host, all counted for root; the kernel's default of 128 ends at some twenty hosts.

The limit is raised by the first lab and stays raised.
"""


class Lab:
    """Real hosts by name. Several labs can be up at the same time.

    Its directory holds ``key``, ``known_hosts``, ``ssh_config`` and ``inventory.yml``.

    Args:
        name: letters, digits and dashes.
        owned: the lab belongs to the calling process: when that has died without ``down``, the next lab
            that comes up removes what is left. A lab that is not owned stays until ``down``.
    """

    def __init__(self, name: str = "lab", *, owned: bool = False) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,40}", name):
            raise LabError(f"{name!r} cannot name a lab; use letters, digits and dashes")
        self.name = name
        self.directory = labs_directory() / name
        self.hosts: dict[str, LabHost] = {}
        self._network: Network | None = None
        self._owner = ProcessId.of(os.getpid()) if owned else None
        self._load()

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def __getitem__(self, name: str) -> LabHost:
        if name not in self.hosts:
            raise LabError(f"lab {self.name} has no host {name}; it has: {', '.join(self.hosts) or 'none'}")
        return self.hosts[name]

    def __iter__(self) -> Iterator[LabHost]:
        return iter(self.hosts.values())

    # -- files

    @property
    def key(self) -> Path:
        """The private key that every host of the lab accepts."""
        return self.directory / "key"

    @property
    def known_hosts(self) -> Path:
        """The host keys of the lab."""
        return self.directory / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """For people: ``ssh -F ssh_config h1``."""
        return self.directory / "ssh_config"

    @property
    def inventory(self) -> Path:
        """An inventory of all hosts of the lab, for ``-i``."""
        return self.directory / "inventory.yml"

    @property
    def network(self) -> Network:
        """The network of the lab, once it is up."""
        if self._network is None:
            raise LabError(f"lab {self.name} is not up")
        return self._network

    # -- life

    def up(self, hosts: int = 3, *, suite: str = "bookworm", python: bool = True) -> list[LabHost]:
        """Boot the hosts h1 ... hN and return them when all of them answer.

        What a crashed run of the same name left behind is removed first; a lab that is up is an error.
        """
        missing = missing_requirements()
        if missing:
            raise LabError(missing)
        reap()
        if any(host.running for host in self):
            end = f"python -m tests.lab down --name {self.name}"
            raise LabError(f"lab {self.name} is up already; end it with: {end}")
        self.down()
        if int(_INOTIFY_INSTANCES.read_text(encoding="ascii")) < _INOTIFY_WANTED:
            _INOTIFY_INSTANCES.write_text(str(_INOTIFY_WANTED), encoding="ascii")
        with locked(labs_directory() / "lock"):
            self._network = choose_network(lab.network for lab in all_labs() if lab._network)
            self.directory.mkdir(parents=True)
            self._save()
        self._network.up()
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab {self.name}", "-f", str(self.key)])
        base = Base(suite, python)
        base.ensure()
        return self.add(*(f"h{number}" for number in range(1, hosts + 1)), base=base)

    def add(
        self,
        *names: str,
        base: Base | None = None,
        binds: tuple[str, ...] = (),
        layers: tuple[str, ...] = (),
        nested: bool = False,
    ) -> list[LabHost]:
        """Boot further hosts by these names, all at the same time, and wait until they answer.

        Args:
            names: lower-case letters, digits and dashes.
            base: what they start from; a bookworm with python3 when not given.
            binds: directories of the controller to show to them: ``/source[:/target]``.
            layers: directories of the controller on which they have their own: ``/source:/target``.
            nested: whether podman must work inside.
        """
        fresh = []
        for name in names:
            if name in self.hosts or not re.fullmatch(r"[a-z][a-z0-9-]{0,40}", name):
                raise LabError(f"{name!r} cannot name another host of lab {self.name}")
            taken = {host.number for host in self}
            number = next(number for number in range(1, 1000) if number not in taken)
            directory = self.directory / "hosts" / name
            host = LabHost(name, number, directory, self.network, base or Base(), binds, layers, nested)
            host.network.address(number)
            self.hosts[name] = host
            fresh.append(host)
        with ThreadPoolExecutor(max_workers=(os.cpu_count() or 2) * 2) as pool:
            lines = list(pool.map(lambda host: host.prepare(self.key), fresh))
        with self.known_hosts.open("a", encoding="ascii") as known:
            known.writelines(lines)
        for host in fresh:
            host.start()
        self._save()
        for host in fresh:
            host.wait(180 + 2 * len(fresh))
        self._save()
        return fresh

    def remove(self, *names: str) -> None:
        """Stop hosts and remove all that is left of them."""
        for name in names:
            host = self[name]
            host.destroy()
            lines = self.known_hosts.read_text(encoding="ascii").splitlines(keepends=True)
            kept = [line for line in lines if line.split()[0] != host.address]
            self.known_hosts.write_text("".join(kept), encoding="ascii")
            del self.hosts[name]
        self._save()

    def start(self, name: str) -> None:
        """Boot a stopped host again."""
        self[name].start()
        self._save()
        self[name].wait()
        self._save()

    def stop(self, name: str) -> None:
        """Pull the plug of a host; its disk stays."""
        self[name].stop()
        self._save()

    def down(self) -> None:
        """End everything of the lab that is still there; a lab that is down already is no error."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(LabHost.destroy, self.hosts.values()))
        self.hosts.clear()
        for root in self.directory.glob("hosts/*/root"):  # of a run that died before it could note the host
            while root.is_mount():
                run(["umount", "--lazy", str(root)])
        if self._network is not None:
            self._network.down()
            self._network = None
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- record

    def _load(self) -> None:
        try:
            record = json.loads((self.directory / "lab.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        self._network = Network(**record["network"])
        self._owner = ProcessId(**record["owner"]) if record["owner"] else None
        for name, host in record["hosts"].items():
            self.hosts[name] = LabHost(
                name,
                host["number"],
                self.directory / "hosts" / name,
                self._network,
                Base(**host["base"], more=host.get("more", "")),
                tuple(host["binds"]),
                tuple(host.get("layers", ())),
                host["nested"],
                ProcessId(**host["supervisor"]) if host["supervisor"] else None,
            )

    def _save(self) -> None:
        record = {
            "network": asdict(self.network),
            "owner": asdict(self._owner) if self._owner else None,
            "hosts": {
                host.name: {
                    "number": host.number,
                    "base": {"suite": host.base.suite, "python": host.base.python},
                    "more": host.base.more,
                    "binds": host.binds,
                    "layers": host.layers,
                    "nested": host.nested,
                    "supervisor": asdict(host.supervisor) if host.supervisor else None,
                }
                for host in self
            },
        }
        _replace(self.directory / "lab.json", json.dumps(record, indent=1))
        _replace(self.inventory, _INVENTORY_HEAD + yaml.safe_dump(self._inventory(), sort_keys=False))
        _replace(self.ssh_config, self._ssh_config())

    def _inventory(self) -> dict[str, object]:
        options = [
            f"UserKnownHostsFile={self.known_hosts}",
            "StrictHostKeyChecking=yes",
            "IdentitiesOnly=yes",
        ]
        return {
            "hosts": {
                host.name: {
                    "connection": "ssh",
                    "address": host.address,
                    "user": "root",
                    "identity_file": str(self.key),
                    "ssh_options": list(options),
                }
                for host in self
            }
        }

    def _ssh_config(self) -> str:
        names = "".join(f"Host {host.name}\n  HostName {host.address}\n" for host in self)
        common = {
            "User": "root",
            "IdentityFile": self.key,
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": self.known_hosts,
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": "10",
        }
        return names + "Host *\n" + "".join(f"  {key} {value}\n" for key, value in common.items())


_INVENTORY_HEAD = "# Written by the lab; gone when it goes down.\n"


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def all_labs() -> list[Lab]:
    """Every lab with a record: those that are up and those that crashed."""
    return [Lab(path.parent.name) for path in sorted(labs_directory().glob("*/lab.json"))]


def reap() -> list[str]:
    """End the labs whose owning process has died; return their names."""
    with locked(labs_directory() / "lock"):
        dead = [lab for lab in all_labs() if lab._owner is not None and not lab._owner.alive()]
        for lab in dead:
            lab.down()
    return [lab.name for lab in dead]
