"""All that an apply leaves on a host, so that two ends can be compared."""

from __future__ import annotations

import difflib
import json
import re
from typing import Any

from tests.chaos.scenario import FRONT, STARTS
from tests.lab import Lab

LOOK = """
import glob, grp, hashlib, json, os, pwd, re, subprocess, sys

ROOTS = ["/opt/provision", "/etc/site", "/etc/systemd/system", "/etc/sysctl.d", "/etc/haproxy", "/srv",
    "/run/lock", "/tmp", "/var/tmp", "/dev/shm", "/root"]
KINDS = {0o040000: "directory", 0o120000: "link", 0o100000: "file"}
found = {}

def look(path):
    try:
        status = os.lstat(path)
    except OSError:
        return
    kind = KINDS.get(status.st_mode & 0o170000, "other")
    owner = pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name
    about = [kind, oct(status.st_mode & 0o7777), *owner]
    if kind == "link":
        about.append(os.readlink(path))
    if kind == "file":
        with open(path, "rb") as file:
            data = file.read()
        text = len(data) < 200000 and b"\\0" not in data
        about.append(data.decode(errors="replace") if text else hashlib.sha256(data).hexdigest())
    found[path] = about

for root in ROOTS + glob.glob("/run/provision*"):
    look(root)
    for parent, folders, names in os.walk(root):
        for name in folders + names:
            look(os.path.join(parent, name))

def told(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout

units = {}
for line in told("systemctl", "list-units", "--all", "--plain", "--no-legend", "provision-*").splitlines():
    name = line.split()[0]
    shown = told("systemctl", "show", "-p", "ActiveState,SubState,NeedDaemonReload", "--value", name)
    units[name] = shown.split()
processes = sorted(line for line in told("ps", "-eo", "user,args", "--no-headers").splitlines())
somaxconn = open("/proc/sys/net/core/somaxconn").read()
print(json.dumps({"files": found, "units": units, "processes": processes, "user": told("id", "runner"),
    "somaxconn": somaxconn}))
"""

BUSY = re.compile(r"ps -eo|python3 -c|/usr/bin/env|\[.*\]|systemd|dbus|sshd|agetty|sh -c.*nsenter")
"""Processes that are no trace: those of the look, and the system's own."""

SKIPPED = re.compile(
    r"/__pycache__(/|$)|^/srv/(starts/|pair/|wheels)|^/(var/)?tmp/systemd-private|^/root/\.cache/provision/"
    r"|^/opt/provision/(logs/|state/stopping(/|$))|^/run/provision-gateways(/|$)"
    r"|^/run/provision-gateway/servers.state$"
)
"""What is made by whoever uses it, caches, logs, which process was told to stop, who kept a server out of
rotation, and what HAProxy keeps for a reload (its servers are compared by what it says of them).
"""

RELOADED = re.compile(r"(?<=haproxy) -sf [\d ]+ -x \S+")
"""What HAProxy has been told by a reload."""

DIFFERS = (
    (re.compile(r"\b\d+:\d+:[0-9a-f]{8}-[0-9a-f-]{27}\b"), "PROCESS"),
    (
        re.compile(r'("(?:at|when|since|began|ended|seconds|mtime|started|inode|ctime)": ?)[^,}\n]+'),
        r"\1TIME",
    ),
    (re.compile(r"^\d+\n", re.MULTILINE), "PID\n"),
    (re.compile(r'("pid": ?)\d+'), r"\1PID"),
    (re.compile(r"\b[0-9a-f]{12}:\d{4}-\d\d-\d\dT[\d:.]+Z"), "PROCESS"),
)
"""What is another text in each run, and what to put in its place: times, and processes."""


def of(lab: Lab, name: str) -> dict[str, Any]:
    """Return the traces of a host, by name."""
    told = json.loads(lab[name].exec(["python3", "-c", LOOK]).stdout)
    files = {path: about for path, about in told["files"].items() if not SKIPPED.search(path)}
    traces: dict[str, Any] = {f"file {path}": _plain(path, about) for path, about in files.items()}
    traces |= {f"unit {name}": state for name, state in told["units"].items()}
    lines = [RELOADED.sub("", line) for line in told["processes"] if not BUSY.search(line)]
    traces["processes"] = sorted(lines)
    traces["user"], traces["somaxconn"] = told["user"], told["somaxconn"]
    if name == FRONT:
        traces["rotation"] = rotation(lab)
    return traces


def rotation(lab: Lab) -> list[list[str]]:
    """Return each server of the gateway, and HAProxy's word for its state."""
    asked = ["python3", "/opt/provision/haproxy_admin.py", "/run/provision-gateway/admin.sock", "show"]
    shown = lab[FRONT].exec(asked, check=False).stdout
    return sorted(line.split()[:2] for line in shown.splitlines())


def starts(lab: Lab, name: str) -> dict[str, list[str]]:
    """Return with what each service of a host was started, one start after another."""
    told = {service: lab[name].root / path for service, path in STARTS[name].items()}
    return {service: path.read_text().split() if path.exists() else [] for service, path in told.items()}


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return what is not the same in two traces."""
    found = []
    for key in sorted(one.keys() | other.keys()):
        if one.get(key) != other.get(key):
            found.append(f"{key}: {_difference(_text(one.get(key)), _text(other.get(key)))}")
    return found


def _plain(path: str, about: list[Any]) -> list[Any]:
    if not path.startswith(("/opt/provision/state/", "/opt/provision/run/", "/run/")) or about[0] != "file":
        return about
    text = about[-1]
    if path.startswith("/opt/provision/state/revisions/"):
        text = _revisions(text)
    for differs, same in DIFFERS:
        text = differs.sub(same, text)
    return [*about[:-1], text]


def _revisions(text: str) -> str:
    """Return how the last change of a service has ended, and all that it can go back to, without numbers.

    Attempts count, and one that was cut off is in the history.
    """
    book = json.loads(text)
    kept = [{key: each[key] for key in each if key not in ("number", "change")} for each in book["kept"]]
    return json.dumps([book["history"][-1]["outcome"], kept], indent=1)


def _text(value: Any) -> list[str]:
    """Return lines for a person."""
    if isinstance(value, list):
        return [line for part in value for line in str(part).splitlines()]
    return [str(value)]


def _difference(one: list[str], other: list[str]) -> str:
    """Return the first lines that differ."""
    lines = [line for line in difflib.unified_diff(one, other, lineterm="", n=0) if line[0] in "+-"][2:]
    return " | ".join(line[:200] for line in lines[:6])
