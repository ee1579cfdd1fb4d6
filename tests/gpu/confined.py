"""Runs a program as the shipped unit confines a service, where there is no systemd; by hand, as root.

    python confined.py --list > refused.json        where systemd is installed: the unit's filter as numbers
    python confined.py refused.json USER COMMAND…   where the GPUs are

The filter of system calls is the same as systemd's: those of `SystemCallFilter` fail with EPERM. Beside that:
no capabilities, NoNewPrivileges, a read-only file system but for /var/tmp/confined, /tmp of its own, and
/proc without the processes of other users.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import re
import struct
import subprocess
import sys
from pathlib import Path

NUMBERS = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
UNIT = Path(__file__).resolve().parents[2] / "templates/service.unit.j2"
PLACE = "/var/tmp/confined"

SET_NO_NEW_PRIVS, SET_SECCOMP, CAPBSET_DROP = 38, 22, 24
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000 | 1  # EPERM

libc = ctypes.CDLL(None, use_errno=True)


def listed() -> list[int]:
    """Return the numbers of the system calls that the shipped unit refuses."""
    from provision.kinds.common.reach import REFUSED

    again = re.search(r"^SystemCallFilter=(@chown .*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    assert again
    refused = _calls(REFUSED.removeprefix("~").split()) - _calls(again[1].split())
    text = NUMBERS.read_text(encoding="ascii")
    numbers = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", text)}
    return sorted(numbers[name] for name in refused if name in numbers)


def _calls(names: list[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        if not name.startswith("@"):
            found.add(name)
            continue
        shown = subprocess.run(
            ["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True
        )
        lines = [line.strip() for line in shown.stdout.splitlines()[1:]]
        found |= _calls([line for line in lines if line and not line.startswith("#")])
    return found


def confine(refused: list[int], user: str) -> None:
    """Give up what the unit of a service has not."""
    account = pwd.getpwnam(user)
    os.makedirs(PLACE, exist_ok=True)
    os.chown(PLACE, account.pw_uid, account.pw_gid)
    mounts = [
        ["mount", "--make-rprivate", "/"],
        ["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/tmp"],
        ["mount", "--bind", PLACE, PLACE],
        ["mount", "-o", "remount,bind,ro", "/"],
        ["mount", "-t", "proc", "-o", "hidepid=2", "proc", "/proc"],
    ]
    if libc.unshare(0x00020000):
        print(f"no mount namespace: {os.strerror(ctypes.get_errno())}", flush=True)
        mounts = []
    for command in mounts:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        print("ok  " if done.returncode == 0 else "NOT ", *command, done.stderr.strip(), flush=True)
    for capability in range(64):
        libc.prctl(CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.umask(0o077)
    libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    rules = [struct.pack("HBBI", LOAD, 0, 0, 0)]
    rules += [struct.pack("HBBI", EQUAL, len(refused) - place, 0, call) for place, call in enumerate(refused)]
    rules += [struct.pack("HBBI", RETURN, 0, 0, ALLOW), struct.pack("HBBI", RETURN, 0, 0, FAIL)]
    program = ctypes.create_string_buffer(b"".join(rules))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(rules), ctypes.addressof(program)))
    if libc.prctl(SET_SECCOMP, 2, head, 0, 0):
        raise OSError(ctypes.get_errno(), "the filter is not taken")


def main() -> None:
    """Parse the command line."""
    if sys.argv[1:] == ["--list"]:
        print(json.dumps(listed()))
        return
    path, user, *command = sys.argv[1:]
    confine(json.loads(Path(path).read_text(encoding="ascii")), user)
    with open("/proc/self/status", encoding="ascii") as file:
        print(*(line for line in file if re.match("Cap(Bnd|Eff)|NoNewPrivs|Seccomp:|Uid", line)), flush=True)
    try:
        os.chroot("/")
    except OSError as error:
        print(f"chroot: {error.strerror}", flush=True)
    os.chdir(PLACE)
    os.environ["HOME"] = os.environ["XDG_CACHE_HOME"] = PLACE
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
