"""Calling `apt-get`: no questions asked, and its failures in one sentence."""

from __future__ import annotations

import os
import re
import tempfile
from typing import Callable, NamedTuple, Sequence

from provision.host.capture import Completed
from provision.host.failure import Failure
from provision.host.machine import ADMIN_PATH, Machine
from provision.host.packages import dpkg

_ENVIRONMENT = {
    "PATH": ADMIN_PATH,
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBIAN_PRIORITY": "critical",
    "APT_LISTCHANGES_FRONTEND": "none",
    "UCF_FORCE_CONFFOLD": "1",
    # Ubuntu's needrestart would restart services, model servers among them, behind our back.
    "NEEDRESTART_SUSPEND": "1",
}
_CONFFILES = ("--force-confdef", "--force-confold")
_OPTIONS = (
    "-y",
    "-q",
    "-o", "Dpkg::Use-Pty=0",
    "-o", "DPkg::Lock::Timeout=60",
    "-o", "Acquire::Retries=2",
    *(f"-oDpkg::Options::={option}" for option in _CONFFILES),
)  # fmt: skip
_NOISE = re.compile(
    r"\(Reading database \.\.\.( \d+%)?$|Reading package lists|Building dependency tree|Reading state"
    r"|(dlstatus|pmstatus|pmerror|pmconffile|media-change):"
)
_UNKNOWN = re.compile(
    r"E: Unable to locate package (\S+)|E: Package '([^']+)' has no installation candidate"
    r"|E: Version '[^']*' for '([^']+)' was not found|E: Couldn't find any package by"
)
# Lines that start with Err are not among them: apt may find the same list under another name.
_BROKEN_SOURCE = re.compile(r"E: |W: (Failed to fetch|GPG error|An error occurred)")
_LOCKED = re.compile(r"^E: (Could not get lock|Unable to (acquire|lock))", re.MULTILINE)
_NEEDED = re.compile(r"Need to get ([\d.]+) ([kMG]?B)\b")
_UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}
_ATTEMPTS = 5


class Transaction(NamedTuple):
    """What an installation would do."""

    install: dict[str, str]
    """Name -> version of all that would be installed or upgraded, dependencies included."""
    remove: list[str]
    size: int
    """Bytes to download."""


class Unknown(Failure):
    """The package lists know no such package, or not that version: newer lists may."""


class Outdated(Failure):
    """The package lists name files that the mirror no longer has."""


class Obstructed(Failure):
    """Installed packages would have to be removed first."""


def simulate_fresh(machine: Machine, packages: Sequence[str]) -> Transaction:
    """Return what installing `packages` would do with the newest lists, which are not kept.

    Raises: as `simulate`.
    """
    with tempfile.TemporaryDirectory(prefix="provision-lists-") as directory:
        os.chmod(directory, 0o755)  # apt reads them as another user
        kept = ("Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=", f"Dir::State::Lists={directory}")
        options = [f"-o{option}" for option in kept]
        _run(machine, ["update", *options])
        return simulate(machine, packages, options)


def simulate(machine: Machine, packages: Sequence[str], options: Sequence[str] = ()) -> Transaction:
    """Return what installing `packages` (`name` or `name=version`) would do. Needs neither root nor a lock.

    Raises:
        Unknown: a package or version is not in the lists.
        Failure: it cannot be installed for another reason.
    """
    # Locks are for those who change something; this one only looks.
    looking = ["-o", "Debug::NoLocking=1", *options, *_selection(packages)]
    done = _run(machine, ["install", "-s", *looking])
    if done.code != 0:
        raise explain(done)
    install = dict(re.findall(r"^Inst (\S+) (?:\[[^]]*\] )?\((\S+)", done.out, re.MULTILINE))
    remove = re.findall(r"^(?:Remv|Purg) (\S+)", done.out, re.MULTILINE)
    uris = _run(machine, ["install", "--print-uris", "-qq", *looking])
    size = sum(int(size) for size in re.findall(r"^'[^']+' \S+ (\d+) ", uris.out, re.MULTILINE))
    return Transaction(install, remove, size)


def update(machine: Machine, id: str) -> Failure | None:
    """Fetch the package lists; return what went wrong: often only one of many sources is broken."""
    done = _act(machine, id, ["update"])
    broken = [line for line in done.out.splitlines() if _BROKEN_SOURCE.match(line)]
    if not broken:
        return None
    return Failure("apt-failed", f"apt-get update: {_plain(broken[0])}", hint=_hint(done.out), log=broken)


def download(machine: Machine, id: str, packages: Sequence[str]) -> None:
    """Fetch what installing `packages` needs; it may be cut off at any time.

    Raises:
        Unknown: a package or version is not in the lists.
        Outdated: the mirror has newer ones by now.
        Obstructed: others would have to be removed.
        Failure: it cannot be fetched.
    """
    done = _act(machine, id, ["install", "--no-remove", "--download-only", *_selection(packages)])
    if done.code != 0:
        raise explain(done)


def install(machine: Machine, id: str, packages: Sequence[str], again: bool = False) -> None:
    """Install `packages` in one transaction that runs to its end even when the controller goes away.

    With `again`, even those are unpacked that apt takes for installed, as they are broken.

    Raises:
        Failure: apt or dpkg refuses, or a package's own script fails.
    """
    mode = ["--reinstall"] if again else []
    done = _act(machine, id, ["install", "--no-remove", *mode, *_selection(packages)], interruptible=False)
    if done.code != 0:
        raise explain(done)


def repair(machine: Machine, id: str) -> None:
    """Finish what a killed dpkg has begun, and fetch what is missing for it.

    Raises:
        Failure: it cannot be finished.
    """
    tell = _teller(machine, id)
    configure = ["dpkg", *_CONFFILES, "--configure", "-a"]
    configured = machine.run(configure, env=_ENVIRONMENT, on_line=tell, check=False, interruptible=False)
    done = _act(machine, id, ["install", "--no-remove", "-f"], interruptible=False)
    if done.code != 0:
        raise explain(Completed(done.code, configured.out + "\n" + done.out, ""))


def explain(done: Completed) -> Failure:
    """Return the one sentence that says why apt failed."""
    text = done.out + "\n" + done.err
    log = [line for line in text.splitlines() if line.strip() and not _NOISE.match(line)][-40:]

    def found(pattern: str) -> re.Match[str] | None:
        return re.search(pattern, text, re.MULTILINE)

    def failed(message: str) -> Failure:
        return Failure("apt-failed", message, hint=_hint(text), log=log)

    if _UNKNOWN.search(text):
        return Unknown("apt-package", *_unknown(text, log), log=log)
    if found(r"^(E: Failed to fetch|Err:).*\n?.*404 "):
        return Outdated("apt-failed", "the mirror no longer has the packages that the lists name", log=log)
    if "E: Packages need to be removed but remove is disabled." in text:
        return Obstructed("apt-removes", "other packages would have to be removed", log=log)
    space = found(r"enough free space in (\S+?)\.?$|No space left on device")
    if space:
        message = f"no space is left to install packages (in {space.group(1) or '/'})"
        return Failure("disk-full", message, hint="free some space", log=log)
    broken = found(r"^dpkg: error processing (?:package|archive) (\S+) .*:\n(.*)")
    if broken:
        message = f"package {broken.group(1)} could not be installed: {broken.group(2).strip()}"
        return Failure("apt-failed", message, log=log)
    unmet = found(r"^The following packages have unmet dependencies:\n +(.+)$")
    if unmet:
        return failed(f"apt-get: unmet dependencies: {unmet.group(1)}")
    errors = [_plain(line) for line in log if line.startswith("E: ")]
    return failed(f"apt-get: {[*errors, *log[-1:], f'exit {done.code}'][0]}")


def _unknown(text: str, log: list[str]) -> tuple[str, str]:
    """Return what is said of a package that the lists do not have, and what to do."""
    virtual = re.search(
        r"^Package (\S+) is a virtual package provided by:\n((?:  .+\n)+)", text, re.MULTILINE
    )
    if virtual:
        providers = ", ".join(line.split()[0] for line in virtual.group(2).splitlines())
        return f"package {virtual.group(1)} is provided by several", f"declare one of {providers}"
    version = re.search(r"^E: (Version '[^']*' for '[^']+' was not found)", text, re.MULTILINE)
    if version:
        return version.group(1), "`apt-cache policy` on the host shows the versions there are"
    names = sorted({next(filter(None, found), "") for found in _UNKNOWN.findall(text)} - {""})
    return (
        f"no package of this name: {', '.join(names) or _plain(log[-1])}",
        "check the spelling, and that the host's package sources have it",
    )


def _plain(line: str) -> str:
    return re.sub(r"^([EW]: |Err:\d+ )", "", line).strip()


_HINTS = (
    (
        "Temporary failure resolving|Could not resolve|Could not connect|Unable to connect|timed out",
        "check the host's network, its mirror in /etc/apt/sources.list and its proxy",
    ),
    (
        "--fix-broken install",
        "run `apt-get --fix-broken install` on the host, and look at what it wants to do",
    ),
    (
        "Hash Sum mismatch|File has unexpected size|Undetermined Error",
        "the mirror or a proxy gives a wrong file, or cuts it off: apply again, or use another mirror",
    ),
    (" 40[13]  ", "give apt the user name and password of the mirror, in /etc/apt/auth.conf"),
    ("Failed to fetch .* 5\\d\\d  ", "the mirror is out of order: try again later, or use another one"),
    ("NO_PUBKEY|EXPKEYSIG", "install the current signing key of that package source"),
    (
        "[Hh]eld packages.*--allow-change-held-packages",
        "`apt-mark showhold` names the packages that are held; `apt-mark unhold` lets them go",
    ),
)


def _hint(text: str) -> str | None:
    return next((hint for pattern, hint in _HINTS if re.search(pattern, text)), None)


def _selection(packages: Sequence[str]) -> list[str]:
    pinned = any("=" in package for package in packages)
    return [*(["--allow-downgrades"] if pinned else []), "--", *packages]


def _run(machine: Machine, arguments: Sequence[str]) -> Completed:
    return machine.run(["apt-get", *_OPTIONS, *arguments], env=_ENVIRONMENT, check=False)


def _act(machine: Machine, id: str, arguments: Sequence[str], interruptible: bool = True) -> Completed:
    """Run apt-get to change something; when another process takes the lock first, wait for it again."""
    for _ in range(_ATTEMPTS):
        dpkg.wait_until_free(machine, id)
        done = machine.run(
            ["apt-get", *_OPTIONS, "-o", "APT::Status-Fd=1", *arguments],
            env=_ENVIRONMENT,
            on_line=_teller(machine, id),
            check=False,
            interruptible=interruptible,
        )
        if done.code == 0 or not _LOCKED.search(done.out):
            break
    return done


def _teller(machine: Machine, id: str) -> Callable[[str], None]:
    """Return what turns lines of apt into progress and output."""
    size = 0.0

    def tell(line: str) -> None:
        nonlocal size
        needed = _NEEDED.match(line)
        if needed:
            size = float(needed.group(1)) * _UNITS[needed.group(2)]
        kind, _, rest = line.partition(":")
        if kind in ("dlstatus", "pmstatus") and rest.count(":") >= 2:
            _, percent, text = rest.split(":", 2)
            if kind == "dlstatus" and size:
                machine.progress(id, size * float(percent) / 100, size, text=text)
            else:
                machine.progress(id, float(percent), 100, unit="%", text=text)
        elif line.strip() and not _NOISE.match(line):
            machine.output(id, line)

    return tell
