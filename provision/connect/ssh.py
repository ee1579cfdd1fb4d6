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
import hashlib
import os
import re
import shlex
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field

from provision.connect.base import PATIENCE, Explanation, last_line

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
        return [*command, "--", self.address, f"exec sh -c {shlex.quote(script)}"]

    def _checking(self) -> str:
        trusting = re.search(r"stricthostkeychecking[= ]+accept-new", " ".join(self.options), re.IGNORECASE)
        return "accept-new" if trusting else "yes"

    def _multiplexing(self) -> tuple[str, ...]:
        if self.socket is None:
            return ("ControlMaster=no", "ControlPath=none")
        return ("ControlMaster=auto", f"ControlPath={self.socket}", f"ControlPersist={KEEP}")

    @functools.cached_property
    def socket(self) -> str | None:
        """Path of the socket of the kept connection; None when no directory for it can be had."""
        if self.directory is None:
            return None
        # A kept connection must not outlive what led to it: other options, or another ssh_config.
        way = (self.address, self.port, self.user, self.identity_file, self.options, _ssh_config())
        return f"{self.directory}/{hashlib.sha256(repr(way).encode()).hexdigest()[:_NAME]}"

    def explain(self, code: int, stderr: str) -> Explanation:
        """Say what OpenSSH's message means and what to do about it."""
        for pattern, cause, hint in _MESSAGES:
            # Compiled here: most runs never come to this, and every run would pay.
            found = re.search(pattern, stderr, re.MULTILINE)
            if found:
                words = {"address": self.address, **found.groupdict()}
                return Explanation(cause.format(**words), hint.format(**words))
        said = last_line(stderr)
        return Explanation(said or f"ssh ended with exit code {code} and said nothing")

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


_MESSAGES: tuple[tuple[str, str, str], ...] = (
    (
        r"Could not resolve hostname (?P<name>\S+?): (?P<why>.+?)\s*$",
        "the name {name} is not known: {why}",
        "give the host an `address:`, or check DNS, /etc/hosts and ssh_config",
    ),
    (
        r"connect to host (?P<name>\S+) port (?P<port>\d+): Connection refused",
        "connection refused by {name} port {port}",
        "is sshd running there, and is the `port:` right?",
    ),
    (
        r"connect to host (?P<name>\S+) port (?P<port>\d+): (?P<why>No route to host|Network.*unreachable)",
        "no way to {name}: {why}",
        "is the host switched on, and the `address:` right?",
    ),
    (
        r"connect to host (?P<name>\S+) port (?P<port>\d+): (?:Connection|Operation) timed out",
        "no answer from {name} port {port}",
        "is the host switched on, and does a firewall let ssh through?",
    ),
    (
        r"timed out during banner exchange|Connection to \S+ port \d+ timed out",
        "{address} accepts the connection but no ssh server greets",
        "is sshd hung, or is something else listening on that port?",
    ),
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED(?s:.*?)Offending \S+ key in (?P<file>.+?):(?P<line>\d+)",
        "the host key of {address} has changed ({file} line {line} has another)",
        "if the host was installed anew, compare its key and run `ssh-keygen -R {address}`; "
        "otherwise somebody may be in between",
    ),
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for \S+ has changed|REVOKED HOST KEY",
        "the host key of {address} has changed",
        "if the host was installed anew, compare its key and run `ssh-keygen -R {address}`; "
        "otherwise somebody may be in between",
    ),
    (
        r"No (?P<kind>\S+) host key is known for (?P<name>\S+) and",
        "the host key of {name} is not known",
        "connect once with `ssh {address}` and compare the fingerprint, or add the key to known_hosts",
    ),
    (
        r"Host key verification failed",
        "the host key of {address} is not trusted",
        "connect once with `ssh {address}` and compare the fingerprint",
    ),
    (
        r"Permissions (?P<mode>\d+) for '(?P<file>.+?)' are too open",
        "ssh does not use the key {file}: others can read it (mode {mode})",
        "chmod 600 {file}",
    ),
    (
        r"Identity file (?P<file>.+?) not accessible: (?P<why>.+?)\.?\s*$",
        "the key {file} cannot be read: {why}",
        "correct `identity_file:`",
    ),
    (
        r"Load key \"(?P<file>.+?)\": (?P<why>.+?)\s*$",
        "the key {file} cannot be used: {why}",
        "a key with a passphrase has to be in the agent (`ssh-add {file}`)",
    ),
    (
        r"Too many authentication failures",
        "the server turned away after too many keys were tried",
        "name the right one with `identity_file:`",
    ),
    (
        r"(?P<who>\S+): Permission denied \((?P<ways>.+?)\)",
        "{who} was not let in: permission denied ({ways})",
        "is `user:` right, and is one of your keys in its authorized_keys?",
    ),
    (
        r"Unable to negotiate with (?P<name>\S+) port \d+: (?P<why>.+?)\.?\s*$",
        "ssh and {name} have no algorithm in common: {why}",
        "allow the older algorithm for this host in ssh_config",
    ),
    (
        r"(?P<why>(?:.*: line \d+: )?Bad (?:configuration option|owner or permissions|number|yes/no).*?)\s*$",
        "the configuration of ssh is wrong: {why}",
        "correct ssh_config or `ssh_options:`",
    ),
    (
        r"kex_exchange_identification|Connection (?:closed|reset) by|Connection to \S+ closed by remote host",
        "{address} closed the connection during the greeting",
        "sshd may be overloaded (MaxStartups), or the address be blocked there",
    ),
)
