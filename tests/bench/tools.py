"""The tools under comparison: how each is set up, called, and asked what it has changed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import yaml

from tests.lab import Lab, LabError, LabHost

from . import floor

BIN = Path(sys.executable).parent

FLOOR_WORKERS = 32
"""As many at once as provision's default."""


class Tool(ABC):
    """One tool.

    Args:
        lab: the hosts.
        directory: for its configuration, caches and sockets; short, as sockets are in it.
        work: the work of all tools, see `prepared`.
        peers: the environment of the peers.
    """

    name: str
    cases: Sequence[str] = ("first", "change", "cold", "kept", "plan")
    """What it is measured in, of `cases.CASES`: without `first` it does no work, without `kept` it cannot use
    connections of an earlier run."""
    always = 0
    """How many of its steps on a host say "changed" although nothing was."""
    proves = False
    """Whether it proves a service anew that another tool has restarted, which counts as a change."""
    slow = False
    """Whether it takes part in fewer rounds, and on fewer hosts."""

    def __init__(self, lab: Lab, directory: Path, work: Path, peers: Path) -> None:
        self.lab = lab
        self.directory = directory
        self.work = work
        self.peers = peers
        self.hosts: Sequence[LabHost] = ()
        self.env: dict[str, str] = {}
        shutil.rmtree(directory, ignore_errors=True)
        self.sockets.mkdir(parents=True, mode=0o700)

    @property
    def sockets(self) -> Path:
        """Where the sockets of kept connections are."""
        return self.directory / "s"

    @property
    def converges(self) -> bool:
        """Whether it does the work at all (some floors only connect)."""
        return "first" in self.cases

    def choose(self, hosts: Sequence[LabHost]) -> None:
        """Work on these hosts from now on."""
        self.hosts = hosts
        self.configure()

    @abstractmethod
    def configure(self) -> None:
        """Write the inventory."""

    @abstractmethod
    def apply(self, message: str) -> list[str]:
        """The command that converges the hosts to the work, with this message."""

    def plan(self, message: str) -> list[str]:
        """The command that only says what would change."""
        return self.apply(message)

    def changed(self, output: str) -> int:
        """How many changes on all hosts an apply reports."""
        return 0

    def disconnect(self) -> None:
        """End kept connections."""
        for socket in self.sockets.iterdir():
            argv = ["ssh", "-O", "exit", "-o", f"ControlPath={socket}", "x"]
            subprocess.run(argv, capture_output=True, check=False)
            socket.unlink(missing_ok=True)

    def _checked(self) -> list[str]:
        return [f"UserKnownHostsFile={self.lab.known_hosts}", "StrictHostKeyChecking=yes"]


class Provision(Tool):
    """This very checkout, as a user calls it; bounds and timeouts are the defaults."""

    name = "provision"
    proves = True
    options: Sequence[str] = ()

    @property
    def sockets(self) -> Path:
        """Below its cache directory, which the run is told."""
        return self.directory / "provision/ssh"

    def configure(self) -> None:
        """Cut the lab's inventory down to the hosts."""
        everything = yaml.safe_load(self.lab.inventory.read_text(encoding="utf-8"))["hosts"]
        self._reached = {host.name: everything[host.name] for host in self.hosts}
        self.env = {"XDG_CACHE_HOME": str(self.directory), "XDG_RUNTIME_DIR": ""}

    def apply(self, message: str) -> list[str]:
        """The command line of a script or a CI job."""
        return [*self._call("apply", message), "--yes"]

    def plan(self, message: str) -> list[str]:
        """The same with `plan`."""
        return self._call("plan", message)

    def _call(self, verb: str, message: str) -> list[str]:
        # In the inventory, where a user has it: what comes by -e is compiled anew each time.
        inventory = self.directory / "inventory.yml"
        said = {"vars": {"message": message}, "hosts": self._reached}
        inventory.write_text(yaml.safe_dump(said), encoding="utf-8")
        playbook = str(self.work / "provision.yml")
        return [str(BIN / "provision"), verb, playbook, "-i", str(inventory), *self.options]

    def changed(self, output: str) -> int:
        """Add up the last lines."""
        return sum(int(number) for number in re.findall(r"(\d+) changed", output))


class Forks(Provision):
    """The same with another number of hosts at once."""

    def __init__(self, forks: int, lab: Lab, directory: Path, work: Path, peers: Path) -> None:
        super().__init__(lab, directory, work, peers)
        self.name = f"--forks {forks}"
        self.options = ["--forks", str(forks)]


class Ansible(Tool):
    """ansible-core with pipelining, a fork per host and kept connections."""

    name = "ansible"
    slow = True
    strategy = ""

    def configure(self) -> None:
        """Write ansible.cfg and the inventory; no fact is gathered and no interpreter searched."""
        ssh = " ".join(f"-o {option}" for option in [*self._checked(), "IdentitiesOnly=yes"])
        lines = [
            "[defaults]",
            f"forks = {len(self.hosts)}",
            "gathering = explicit",
            "retry_files_enabled = false",
            self.strategy,
            "[ssh_connection]",
            "pipelining = true",
            f"ssh_args = -o ControlMaster=auto -o ControlPersist=600 {ssh}",
            f"control_path_dir = {self.sockets}",
        ]
        (self.directory / "ansible.cfg").write_text("\n".join(lines) + "\n", encoding="utf-8")
        names = "".join(f"{host.name} ansible_host={host.address}\n" for host in self.hosts)
        shared = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": self.lab.key,
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        variables = "".join(f"{key}={value}\n" for key, value in shared.items())
        (self.directory / "inventory").write_text(f"{names}[all:vars]\n{variables}", encoding="utf-8")
        self.env = {
            "ANSIBLE_CONFIG": str(self.directory / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.directory / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "PATH": f"{self.peers / 'bin'}:{os.environ['PATH']}",
        }

    def apply(self, message: str) -> list[str]:
        """The usual command line."""
        inventory = str(self.directory / "inventory")
        program = str(self.peers / "bin/ansible-playbook")
        return [program, "-i", inventory, "-e", f"message={message}", str(self.work / "ansible.yml")]

    def plan(self, message: str) -> list[str]:
        """Check mode."""
        return [*self.apply(message), "--check", "--diff"]

    def changed(self, output: str) -> int:
        """Add up the recap."""
        return sum(int(number) for number in re.findall(r" changed=(\d+)", output))


class Mitogen(Ansible):
    """The same with Mitogen's strategy, which connects anew in each run."""

    name = "mitogen"
    cases = ("first", "change", "cold", "plan")

    def configure(self) -> None:
        """Name the strategy."""
        found = list(self.peers.glob("lib/python3*/site-packages/ansible_mitogen/plugins/strategy"))
        if not found:
            raise LabError("mitogen is not installed; run with --upgrade")
        self.strategy = f"strategy_plugins = {found[0]}\nstrategy = mitogen_linear"
        super().configure()


class Pyinfra(Tool):
    """pyinfra, with all hosts in parallel; it connects anew in each run."""

    name = "pyinfra"
    cases = ("first", "change", "cold", "plan")
    always = 1  # the probe: a shell operation always counts as changed

    def configure(self) -> None:
        """Write the inventory."""
        data = {
            "ssh_user": "root",
            "ssh_key": str(self.lab.key),
            "ssh_known_hosts_file": str(self.lab.known_hosts),
            "ssh_strict_host_key_checking": "yes",
        }
        hosts = [(host.address, data) for host in self.hosts]
        (self.directory / "inventory.py").write_text(f"hosts = {hosts!r}\n", encoding="utf-8")

    def apply(self, message: str) -> list[str]:
        """The usual command line."""
        # without -y everything is looked at twice: once to ask, once to do
        return self._call(message, "-y")

    def plan(self, message: str) -> list[str]:
        """A dry run."""
        return self._call(message, "--dry")

    def _call(self, message: str, how: str) -> list[str]:
        program = [
            str(self.peers / "bin/pyinfra"),
            "--chdir",
            str(self.work),
            "--parallel",
            str(len(self.hosts)),
        ]
        inventory = str(self.directory / "inventory.py")
        return [*program, "--data", f"message={message}", how, inventory, "deploy.py"]

    def changed(self, output: str) -> int:
        """Read the last line of the table of results."""
        return sum(int(number) for number in re.findall(r"Grand total +\d+ +(\d+)", output))


class Floor(Tool):
    """OpenSSH and one command, on as many hosts at once as provision has by default."""

    name = "ssh true"
    cases: Sequence[str] = ("cold", "kept")
    command = "true"

    def configure(self) -> None:
        """Write the names of the hosts."""
        names = "\n".join(host.name for host in self.hosts)
        (self.directory / "hosts").write_text(names, encoding="ascii")

    def apply(self, message: str) -> list[str]:
        """The command on each host, by kept connections where there are some."""
        keep = [
            "-o",
            "ControlMaster=auto",
            "-o",
            "ControlPersist=600",
            "-o",
            f"ControlPath={self.sockets}/%n",
        ]
        config = ["-F", str(self.lab.ssh_config)]
        start = [
            sys.executable,
            "-I",
            "-S",
            floor.__file__,
            str(self.directory / "hosts"),
            str(FLOOR_WORKERS),
        ]
        return [*start, *config, *keep, "--", self.remote(message)]

    def remote(self, message: str) -> str:
        """The command that each host executes."""
        return self.command


class PythonFloor(Floor):
    """The same, starting a Python."""

    name = "ssh python"
    command = "python3 -I -S -c pass"


class ScriptFloor(Floor):
    """The same with one shell script that does all of the work and asks nothing before it does."""

    name = "ssh script"
    cases = ("first", "change")

    def remote(self, message: str) -> str:
        """The script, with the contents of all files in it."""
        env = (self.work / "env.j2").read_text(encoding="utf-8").replace("{{ message }}", message)
        given = f"MESSAGE={shlex.quote(message)}\nENV={shlex.quote(env)}\n"
        for name, file in ("START", "start.sh"), ("SERVE", "serve.py"), ("UNIT", "provision-bench.service"):
            given += f"{name}={shlex.quote((self.work / file).read_text(encoding='utf-8'))}\n"
        return given + (self.work / "by_hand.sh").read_text(encoding="utf-8")


TOOLS: dict[str, type[Tool]] = {
    tool.name: tool for tool in (Floor, PythonFloor, ScriptFloor, Provision, Pyinfra, Mitogen, Ansible)
}
"""In the order of the table."""
