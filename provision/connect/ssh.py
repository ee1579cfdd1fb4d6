"""Hosts behind the OpenSSH client: the user's ssh_config, agent, ProxyJump and known_hosts all count.

Connections are kept: the first run to a host leaves an OpenSSH master behind that the next runs use, which
spares them the handshake. It ends after `KEEP` seconds without use, or at once with
`ssh -O exit -o ControlPath=<socket> <host>`. Its socket is in a directory that only the user can enter.
`ssh_options: [ControlPath=none]` in the inventory turns this off for a host.

Host keys are checked, always: `StrictHostKeyChecking=yes` is given on the command line, where it wins over
ssh_config. A host whose `ssh_options` say `StrictHostKeyChecking=accept-new` is trusted at first sight and
checked from then on.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import stat
from collections.abc import Sequence
from dataclasses import field, replace

from provision.connect.base import PATIENCE, last_line
from provision.dataclass import dataclass
from provision.digest import sha256
from provision.wire.finding import Finding, fault

ALIVE_INTERVAL = 10
"""Seconds of silence after which the server is asked for a sign of life."""

ALIVE_COUNT = 3
"""Questions without an answer after which the connection is given up: 30 seconds in all."""

KEEP = 600
"""Seconds that an unused connection is kept: the time between two looks at a plan while writing it."""

_SOCKET_PATH_LIMIT = 104
"""Bytes that the shortest `sun_path` among the systems OpenSSH runs on has, the closing NUL included."""

_SOCKET_SUFFIX = 17
"""Bytes that ssh appends to the path while it makes the socket: a dot and sixteen random characters."""

_NAME = 16


@functools.cache
def _ssh_config() -> tuple[object, ...]:
    seen = []
    for path in (os.path.expanduser("~/.ssh/config"), "/etc/ssh/ssh_config"):
        try:
            found = os.stat(path)
        except OSError:
            continue
        seen.append((path, found.st_mtime_ns, found.st_size))
    return tuple(seen)


@functools.cache
def socket_directory() -> str | None:
    """Return a directory for sockets, short enough, that only this user can enter; None without one."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    candidates = [f"{runtime}/provision"] if runtime else []
    candidates += [f"{cache}/provision/ssh", f"/tmp/provision-{os.getuid()}"]
    return next((path for path in candidates if _usable(path)), None)


def _usable(path: str) -> bool:
    room = _SOCKET_PATH_LIMIT - 1 - _SOCKET_SUFFIX - len("/") - _NAME
    # ssh expands %, ~ and ${} in a ControlPath and splits it at spaces.
    if len(os.fsencode(path)) > room or not re.fullmatch(r"/[A-Za-z0-9/._@+-]+", path):
        return False
    try:
        # Only the last directory gets the mode, and a umask may let a group write to the one above.
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        os.makedirs(path, mode=0o700, exist_ok=True)
        found = os.lstat(path)
    except OSError:
        return False
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return private and os.access(path, os.W_OK | os.X_OK)


_FLAGS_WITH_VALUE = frozenset(f"-{letter}" for letter in "BbcDEeFIiJLlmOopQRSWw")


def _arguments(options: Sequence[str]) -> list[str]:
    """Turn the inventory's options into arguments: what is no argument yet is an option of ssh_config."""
    arguments: list[str] = []
    for option in options:
        value = bool(arguments) and arguments[-1] in _FLAGS_WITH_VALUE
        arguments += [option] if value or option.startswith("-") else ["-o", option]
    return arguments


@dataclass(frozen=True)
class Ssh:
    """Runs scripts on `address` by the OpenSSH client.

    Args:
        host: name in the inventory.
        address: what ssh is to connect to: a host name, an address, or an alias from ssh_config.
        port: None leaves it to ssh_config.
        user: None leaves it to ssh_config.
        identity_file: private key; when given, only this one is tried.
        options: more for ssh: `Name=value` in the words of ssh_config, or ssh's own arguments (`-J`, `gate`).
            They win over what provision sets, except that host keys are checked.
        python: see `Connection`.
        become: see `Connection`.
        asks_password: see `Connection`.
    """

    host: str
    address: str
    port: int | None = None
    user: str | None = None
    identity_file: str | None = None
    options: tuple[str, ...] = ()
    python: str = "python3"
    become: bool = False
    asks_password: bool = False
    directory: str | None = field(default_factory=socket_directory, repr=False, compare=False)

    def argv(self, script: str, patience: float = PATIENCE) -> list[str]:
        """Return the ssh command that runs `script`, whatever the user's login shell is there."""
        # ssh takes the first value it meets for an option, so the user's own come first.
        command = ["ssh", "-T", "-o", f"StrictHostKeyChecking={self._checking()}", *_arguments(self.options)]
        for option in (
            "BatchMode=yes",
            # For the TCP connection and the greeting, each address of a name counted by itself.
            # Enough earlier that a machine that stands still for a moment hears why, too.
            f"ConnectTimeout={max(1, int(0.8 * patience))}",
            f"ServerAliveInterval={ALIVE_INTERVAL}",
            f"ServerAliveCountMax={ALIVE_COUNT}",
            "LogLevel=ERROR",
            # What people have in ssh_config for their terminals would get in the way of a script.
            "RemoteCommand=none",
            "ClearAllForwardings=yes",
            *self._multiplexing(),
        ):
            command += ["-o", option]
        if self.port is not None:
            command += ["-p", str(self.port)]
        if self.user is not None:
            command += ["-l", self.user]
        if self.identity_file is not None:
            command += ["-o", "IdentitiesOnly=yes", "-i", self.identity_file]
        return [*command, "--", self.address, _command(script)]

    def multiplexed(self, script: str) -> tuple[str, str] | None:
        """Return the socket of the kept connection, and the same command as in `argv`."""
        return (self.socket, _command(script)) if self.socket and self.kept() else None

    def by_hand(self) -> str:
        """Return what a person types to reach the host in the same way, and to be asked about its key."""
        # Whoever has to compare a key must be asked, whatever ssh_config says.
        asking = [] if self._checking() == "accept-new" else ["-o", "StrictHostKeyChecking=ask"]
        words = ["ssh", *asking, *_arguments(self.options)]
        words += ["-p", str(self.port)] if self.port is not None else []
        words += ["-i", self.identity_file] if self.identity_file is not None else []
        return shlex.join([*words, f"{self.user}@{self.address}" if self.user else self.address])

    def _checking(self) -> str:
        trusting = re.search(r"stricthostkeychecking[= ]+accept-new", " ".join(self.options), re.IGNORECASE)
        return "accept-new" if trusting else "yes"

    def _multiplexing(self) -> tuple[str, ...]:
        if self.socket is None:
            return ("ControlMaster=no", "ControlPath=none")
        return ("ControlMaster=auto", f"ControlPath={self.socket}", f"ControlPersist={KEEP}")

    @functools.cached_property
    def socket(self) -> str | None:
        """Path of the socket of the kept connection; None without a directory for it."""
        if self.directory is None:
            return None
        # A kept connection must not outlive what led to it: other options, or another ssh_config.
        way = (self.address, self.port, self.user, self.identity_file, self.options, _ssh_config())
        return f"{self.directory}/{sha256(repr(way).encode())[:_NAME]}"

    def explain(self, code: int, stderr: str) -> Finding:
        """Say what OpenSSH's message means and what to do about it."""
        for known, pattern, cause, hint in _MESSAGES:
            # Compiled here: most runs never come to this, and every run would pay.
            found = re.search(pattern, stderr, re.MULTILINE)
            if found:
                words = {"address": self.address, "by_hand": self.by_hand(), **found.groupdict()}
                if "name" in words:
                    words["name"] = words["name"] or self.address
                if words.get("file"):
                    words["forget"] = _forget(words["file"], words.get("name", self.address))
                return fault(known, cause.format(**words), hint.format(**words))
        said = last_line(stderr)
        if code == 0:
            return fault(
                "host-failed",
                "the login shell of the host ended without running anything",
                "look for `exit` in its start files, such as .bashrc",
            )
        return fault("host-failed", said or f"ssh ended with exit code {code} and said nothing")

    def kept(self) -> bool:
        """Whether the socket of a kept connection is there."""
        try:
            return self.socket is not None and stat.S_ISSOCK(os.stat(self.socket).st_mode)
        except OSError:
            return False

    def forget(self) -> None:
        """Take the socket away, so that the next run opens a connection of its own."""
        if self.socket is not None:
            try:
                os.unlink(self.socket)
            except OSError:
                pass

    def telling(self, stderr: str) -> Ssh | None:
        """Return it without a kept connection, for which ssh drops what the ssh of a jump host says.

        That is one more try, so it is only made where there is such a host, and nothing else was said.
        """
        if self.socket is None or not re.search(_GREETING, stderr):
            return None
        if any(re.search(pattern, stderr, re.MULTILINE) for _, pattern, *_ in _MESSAGES[:-1]):
            return None
        import subprocess

        words = ["ssh", "-G", *_arguments(self.options), "--", self.address]
        shown = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        proxied = re.search(r"^proxy(jump|command) (?!none$)", shown.stdout, re.MULTILINE)
        return replace(self, directory=None) if proxied else None


def _command(script: str) -> str:
    """Return what the login shell is told, whichever it is."""
    return f"exec /bin/sh -c {shlex.quote(script)}"  # its PATH may be anything


def _forget(file: str, name: str) -> str:
    """Return the command that takes the keys of a host out of a file of known hosts."""
    sudo = "" if os.access(os.path.dirname(file) or ".", os.W_OK) else "sudo "
    return sudo + shlex.join(["ssh-keygen", "-f", file, "-R", name])


_GREETING = (
    r"kex_exchange_identification|Connection (?:closed|reset) by|Connection to \S+ closed by remote host"
)

_MESSAGES: tuple[tuple[str, str, str, str], ...] = (
    (
        "host-name-unknown",
        r"Could not resolve hostname (?P<name>\S+?): (?P<why>.+?)\s*$",
        "the name {name} is not known: {why}",
        "give the host an `address:`, or check DNS, /etc/hosts and ssh_config",
    ),
    (
        "host-unreachable",
        r"connect to host (?P<name>\S+) port (?P<port>\d+): Connection refused",
        "connection refused by {name} port {port}",
        "is sshd running there, and is the `port:` right?",
    ),
    (
        "host-unreachable",
        r"connect to host (?P<name>\S+) port (?P<port>\d+): (?P<why>No route to host|Network.*unreachable)",
        "no way to {name}: {why}",
        "is the host switched on, and the `address:` right?",
    ),
    (
        "host-unreachable",
        r"connect to host (?P<name>\S+) port (?P<port>\d+): (?:Connection|Operation) timed out",
        "no answer from {name} port {port}",
        "is the host switched on, and does a firewall let ssh through?",
    ),
    (
        "host-unreachable",
        r"timed out during banner exchange|Connection to \S+ port \d+ timed out",
        "{address} accepts the connection but no ssh server greets",
        "is sshd hung, or is something else listening on that port?",
    ),
    (
        "host-key-changed",
        r"Offending \S+ key in KnownHostsCommand-\w+:\d+(?s:.*?)Host key for (?P<name>\S+) has changed",
        "the host key of {name} has changed (KnownHostsCommand of ssh_config gives another)",
        "if the host was reinstalled, compare its key and correct what KnownHostsCommand gives; "
        "otherwise somebody may be in between",
    ),
    (
        "host-key-changed",
        # The name is the one that known_hosts has: with the port, of HostKeyAlias, or of a jump host.
        r"Offending \S+ key in (?P<file>.+):(?P<line>\d+)\s*$(?s:.*?)Host key for (?P<name>\S+) has changed",
        "the host key of {name} has changed ({file} line {line} has another)",
        "if the host was reinstalled, run `{forget}`, then `{by_hand}`, and compare the fingerprint; "
        "otherwise somebody may be in between",
    ),
    (
        "host-key-changed",
        r"(?:REVOKED HOST KEY(?s:.*?))?host key for (?P<name>\S+) (?:is marked as|was) revoked",
        "the host key of {name} is marked as revoked in known_hosts",
        "give the host a new key; somebody may have the old one",
    ),
    (
        "host-key-changed",
        r"REMOTE HOST IDENTIFICATION HAS CHANGED(?:(?s:.*?)Host key for (?P<name>\S+) has changed)?",
        "the host key of {name} has changed",
        "if the host was reinstalled, take its old key out of known_hosts, run `{by_hand}`, "
        "and compare the fingerprint; otherwise somebody may be in between",
    ),
    (
        "host-key-unknown",
        r"No (?P<kind>\S+) host key is known for (?P<name>\S+) and",
        "the host key of {name} is not known",
        "run `{by_hand}` once and compare the fingerprint, or add the key to known_hosts",
    ),
    (
        "host-key-unknown",
        r"Host key verification failed",
        "the host key of {address}, or of a host on the way to it, is not trusted",
        "run `{by_hand}` once and compare the fingerprint",
    ),
    (
        "ssh-key",
        r"Permissions (?P<mode>\d+) for '(?P<file>.+?)' are too open",
        "ssh does not use the key {file}: others can read it (mode {mode})",
        "chmod 600 {file}",
    ),
    (
        "ssh-key",
        r"Identity file (?P<file>.+?) not accessible: (?P<why>.+?)\.?\s*$",
        "the key {file} cannot be read: {why}",
        "correct `identity_file:`",
    ),
    (
        "ssh-key",
        r"Load key \"(?P<file>.+?)\": (?P<why>.+?)\s*$",
        "the key {file} cannot be used: {why}",
        "a key with a passphrase has to be in the agent (`ssh-add {file}`)",
    ),
    (
        "login-refused",
        r"Too many authentication failures",
        "the server turned away after too many keys were tried",
        "name the right one with `identity_file:`",
    ),
    (
        "login-refused",
        r"(?P<who>\S+): Permission denied \((?P<ways>.+?)\)",
        "{who} was not let in: permission denied ({ways})",
        "is `user:` right, and is one of your keys in its authorized_keys?",
    ),
    (
        "ssh-configuration",
        r"Unable to negotiate with (?P<name>\S+) port \d+: (?P<why>.+?)\.?\s*$",
        "ssh and {name} have no algorithm in common: {why}",
        "allow the older algorithm for this host in ssh_config",
    ),
    (
        "ssh-configuration",
        r"(?P<why>(?:.*: line \d+: )?Bad (?:configuration option|owner or permissions|number|yes/no).*?)\s*$",
        "the configuration of ssh is wrong: {why}",
        "correct ssh_config or `ssh_options:`",
    ),
    (
        "host-unreachable",
        _GREETING,
        "{address} closed the connection during the greeting",
        "sshd may be overloaded (MaxStartups), or the address be blocked there",
    ),
)
