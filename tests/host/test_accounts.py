"""The resource types `group` and `user`, with the real tools of a booted Debian."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provision.wire.specs.command import CommandSpec
from provision.wire.specs.group import GroupSpec
from provision.wire.specs.user import UserSpec
from tests.host import asked
from tests.host.conftest import EVENTS, Drive
from tests.host.entries import entry
from tests.lab import LabHost

pytestmark = pytest.mark.lab


def account(host: LabHost, name: str) -> list[str]:
    return host.exec(["getent", "passwd", name]).stdout.strip().split(":")


def ok(result: dict[str, Any]) -> dict[str, Any]:
    assert (result["error"], result.get("left", {})) == (None, {})
    return result


def test_a_group_is_made_renumbered_and_removed(there: Drive, host: LabHost) -> None:
    assert ok(there(GroupSpec(name="gpu", system=True)))["before"] == {"name": None}
    number = int(host.exec(["getent", "group", "gpu"]).stdout.split(":")[2])
    assert number < 1000
    assert there(GroupSpec(name="gpu"))["changes"] == {}
    assert ok(there(GroupSpec(name="gpu", gid=4711)))["changes"] == {"gid": [number, 4711]}
    assert there(GroupSpec(name="gpu", gid=4711))["changes"] == {}
    assert there(GroupSpec(name="gpu"), verb="remove")["removed"] is True
    assert there(GroupSpec(name="gpu"), verb="remove")["removed"] is False


def test_a_number_that_is_taken_is_refused_by_name(there: Drive) -> None:
    group = there(GroupSpec(name="mine", gid=0))
    assert group["error"] == "group mine cannot have gid 0: it is that of group root"
    user = there(UserSpec(name="mine", uid=0))
    assert user["error"] == "user mine cannot have uid 0: it is that of user root"


def test_a_system_user_is_made_as_services_need_it(there: Drive, host: LabHost) -> None:
    spec = UserSpec(name="model", system=True, home="/var/lib/model", create_home=False, groups=["video"])
    made = ok(there(spec))
    assert set(made["before"].values()) == {None}
    _, _, uid, _, _, home, shell = account(host, "model")
    assert int(uid) < 1000
    assert (home, shell) == ("/var/lib/model", "/usr/sbin/nologin")
    assert host.exec(["id", "-Gn", "model"]).stdout.split() == ["model", "video"]
    assert host.exec(["test", "-e", "/var/lib/model"], check=False).returncode == 1
    assert there(spec)["changes"] == {}


def test_only_what_differs_of_a_user_is_changed(there: Drive, host: LabHost) -> None:
    host.exec(["groupadd", "extra"])
    host.exec(["useradd", "-m", "-G", "games", "-s", "/bin/sh", "anna"])
    before = account(host, "anna")
    spec = UserSpec(name="anna", shell="/bin/bash", groups=["extra", "video"], home="/home/anna")
    assert ok(there(spec))["changes"] == {
        "shell": ["/bin/sh", "/bin/bash"],
        "groups": [[], ["extra", "video"]],
    }
    assert account(host, "anna") == [*before[:6], "/bin/bash"]
    assert set(host.exec(["id", "-Gn", "anna"]).stdout.split()) == {"anna", "games", "extra", "video"}
    host.exec(["gpasswd", "-d", "anna", "video"])
    assert ok(there(spec))["changes"] == {"groups": [["extra"], ["extra", "video"]]}
    assert ok(there(spec.replace(group="extra", uid=4321)))["left"] == {}
    assert account(host, "anna")[2] == "4321"
    assert there(spec.replace(group="extra", uid=4321))["changes"] == {}


def test_a_login_user_gets_a_home_and_a_group_that_is_there(there: Drive, host: LabHost) -> None:
    host.exec(["groupadd", "berta"])
    ok(there(UserSpec(name="berta", create_home=True)))
    assert host.exec(["id", "-gn", "berta"]).stdout.strip() == "berta"
    assert host.exec(["stat", "-c", "%U", "/home/berta"]).stdout.strip() == "berta"
    assert there(UserSpec(name="berta"), verb="remove")["removed"] is True
    assert there(UserSpec(name="berta"), verb="remove")["removed"] is False
    host.exec(["test", "-d", "/home/berta"])


def test_a_missing_group_and_a_busy_user_are_named(there: Drive, host: LabHost) -> None:
    missing = there(UserSpec(name="carl", group="no-such-group"))
    assert missing["error"] == 'group "no-such-group" does not exist'
    assert there(UserSpec(name="carl", groups=["no-such-group"]))["error"] == missing["error"]
    host.exec(["useradd", "-r", "busy"])
    host.exec(["systemd-run", "--quiet", "-p", "Type=exec", "-p", "User=busy", "--unit=busy", "sleep", "600"])
    try:
        assert "busy is currently used by process" in there(UserSpec(name="busy"), verb="remove")["error"]
    finally:
        host.exec(["systemctl", "stop", "busy"])


def test_accounts_held_by_another_tool_are_awaited(there: Drive, host: LabHost) -> None:
    # as `vipw` does: the lock file names a living process ("$$" is written "$$$$" for systemd-run)
    told = f"{EVENTS}root"
    host.exec(["rm", "-f", told])
    until_awaited = f"until grep -qs '\"waiting\"' {told}; do sleep 0.1; done"
    hold = f"printf %s $$$$ >/etc/group.lock; {until_awaited}; rm /etc/group.lock"
    host.exec(["systemd-run", "--quiet", "sh", "-c", hold])
    host.exec(["sh", "-c", "until test -s /etc/group.lock; do sleep 0.1; done"])
    result = ok(there(GroupSpec(name="patient")))
    assert [event for event in result["events"] if event["event"] == "waiting"]


def test_nobody_waits_for_account_files_that_cannot_be_written(there: Drive, host: LabHost) -> None:
    host.exec(["sh", "-c", "mount --bind /etc /etc && mount -o remount,bind,ro /etc"])
    try:
        result = there(GroupSpec(name="late"))
    finally:
        host.exec(["umount", "/etc"])
    assert result["error"] == "/etc: its file system is mounted read-only"
    assert result["hint"] == "remount /etc writable"
    assert not [event for event in result["events"] if event["event"] == "waiting"]


def test_without_root_or_tools_the_way_out_is_told(there: Drive, host: LabHost) -> None:
    unprivileged = there(UserSpec(name="dora"), user="ops")
    assert unprivileged["error"] == "only root can change users and groups"
    assert "become" in unprivileged["hint"]
    assert there(UserSpec(name="dora"), verb="inspect", user="ops")["error"] is None
    host.exec(["mv", "/usr/sbin/useradd", "/usr/sbin/useradd.away"])
    try:
        bare = there(UserSpec(name="dora"))
    finally:
        host.exec(["mv", "/usr/sbin/useradd.away", "/usr/sbin/useradd"])
    assert bare["error"] == "this host has no useradd"
    assert "passwd" in bare["hint"]


def test_many_accounts_at_once_do_not_fall_over_each_other(host: LabHost) -> None:
    code = """
import json, sys
sys.path.insert(0, "/src")
from concurrent.futures import ThreadPoolExecutor
from provision.host.machine import Machine
from provision.host.resources.group import Group
from provision.host.resources.user import User
from provision.wire.specs.group import GroupSpec
from provision.wire.specs.user import UserSpec
machine = Machine(lambda event: None, "/var/tmp/state")
def add(number):
    type, spec = (User, UserSpec) if number % 2 else (Group, GroupSpec)
    resource = type("x", spec(name="many%d" % number, system=True))
    resource.fix(machine, {"name": (None, "x")})
    return resource.actual(machine) == resource.expected(machine)
with ThreadPoolExecutor(8) as pool:
    print(json.dumps(list(pool.map(add, range(10)))))
"""
    assert json.loads(host.exec(["python3", "-c", code]).stdout) == [True] * 10


def test_accounts_without_a_number_get_theirs_by_name_whatever_runs_at_once(host: LabHost) -> None:
    names = ["zoe", "bob", "mia", "ann", "kim"]

    # The first by name has to wait for a command: the others must not overtake it.
    slow = CommandSpec(name="slow", argv=["sleep", "1"], timeout=60)
    resources = [
        entry("command:slow", slow),
        *(
            entry(f"user:{name}", UserSpec(name=name), needs=["command:slow"] if name == "ann" else [])
            for name in names
        ),
        *(entry(f"group:g{name}", GroupSpec(name=f"g{name}")) for name in names),
    ]
    request = asked.request("apply", resources, state="/var/tmp/state-order").plain()
    program = (
        "import sys, json; sys.path.insert(0, '/src'); from provision.host.machine import Machine; "
        "from provision.host.runner import converge; from provision.wire.requests import Request; "
        "request = Request.parse(json.load(sys.stdin)); "
        "done = converge(Machine(lambda event: None, request.state), request, request.asked); "
        "print(json.dumps(done.plain()))"
    )
    done = host.exec(["python3", "-c", program], input=json.dumps(request))
    assert json.loads(done.stdout)["ok"], done.stdout
    by_number = sorted(names, key=lambda name: int(account(host, name)[2]))
    assert by_number == sorted(names)
    groups = host.exec(["getent", "group", *("g" + name for name in names)]).stdout.split()
    assert sorted(groups, key=lambda line: int(line.split(":")[2])) == sorted(groups)
