"""The resource types `file` and `directory`, on this machine's own file system."""

from __future__ import annotations

import getpass
import os
import stat
import subprocess
import sys
import textwrap
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from provision.wire.cases import Case, Cases
from provision.wire.finding import fault
from provision.wire.specs.directory import DirectorySpec
from provision.wire.specs.file import FileSpec
from tests.host.conftest import REPOSITORY, Drive

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def mode_of(path: Path) -> str:
    return format(stat.S_IMODE(path.stat().st_mode), "04o")


def file(path: Path, content: str = "hello\n", **more: Any) -> FileSpec:
    return FileSpec(path=str(path), content=content, **more)


# -- files: content and mode


def test_a_file_is_made_and_then_left_alone(here: Drive, tmp_path: Path) -> None:
    target = tmp_path / "x.conf"
    made = here(file(target, "größe = 1\nname = 模型", mode="0640"))
    assert (made["error"], made["left"]) == (None, {})
    assert made["before"] == {"kind": None, "content": None, "mode": None}
    assert target.read_bytes() == "größe = 1\nname = 模型".encode()
    assert mode_of(target) == "0640"
    inode = target.stat().st_ino
    assert here(file(target, "größe = 1\nname = 模型", mode="0640"))["changes"] == {}
    assert target.stat().st_ino == inode
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != "state"] == ["x.conf"]


def test_the_umask_does_not_count(here: Drive, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        here(file(tmp_path / "x", mode="0666"))
        here(DirectorySpec(path=str(tmp_path / "a/b"), mode="1777"))
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "x") == "0666"
    assert mode_of(tmp_path / "a/b") == "1777"
    assert mode_of(tmp_path / "a") == "0755"


@pytest.mark.parametrize(
    ("spoil", "changed"),
    [
        (lambda path: path.chmod(0o666), {"mode"}),
        (lambda path: path.write_bytes(b"hello\r\n"), {"content"}),
        (lambda path: path.unlink(), {"kind", "content", "mode"}),
        (lambda path: (path.unlink(), path.symlink_to("elsewhere")), {"kind", "content", "mode"}),
        (lambda path: (path.unlink(), os.mkfifo(path)), {"kind", "content"}),
    ],
    ids=["mode", "content", "missing", "dangling link", "pipe"],
)
def test_what_was_done_by_hand_is_seen_and_mended(
    here: Drive, tmp_path: Path, spoil: Any, changed: set[str]
) -> None:
    target = tmp_path / "x"
    here(file(target))
    spoil(target)
    result = here(file(target))
    assert set(result["changes"]) == changed
    assert result["left"] == {}
    assert target.read_bytes() == b"hello\n"
    assert not target.is_symlink()


def test_a_link_in_place_of_a_file_is_replaced_and_its_target_untouched(here: Drive, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    precious.chmod(0o600)
    (tmp_path / "x").symlink_to(precious)
    assert here(file(tmp_path / "x"))["left"] == {}
    assert precious.read_text() == "mine"
    assert mode_of(precious) == "0600"


def test_a_hard_link_is_cut_and_the_other_name_untouched(here: Drive, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("hello\n")
    other.chmod(0o600)
    (tmp_path / "x").hardlink_to(other)
    assert set(here(file(tmp_path / "x"))["changes"]) == {"mode"}
    assert mode_of(other) == "0600"


# -- files: diff and secrets


def test_the_diff_is_unified_and_bounded(here: Drive, tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_text("a = 1\nb = 2")
    diff = here(file(target, "a = 1\nb = 3\n"), verb="inspect")["diff"]
    assert diff.splitlines() == [
        f"--- {target}",
        f"+++ {target}",
        "@@ -1,2 +1,2 @@",
        " a = 1",
        "-b = 2",
        "\\ No newline at end of file",
        "+b = 3",
    ]
    assert here(file(tmp_path / "new"), verb="inspect")["diff"].startswith("--- /dev/null\n")
    long = here(file(target, "line\n" * 5000), verb="inspect")["diff"].splitlines()
    assert len(long) < 250
    assert "more lines" in long[-1]
    target.write_bytes(b"\0\1\2")
    assert here(file(target, "text"), verb="inspect")["diff"] == f"{target}: 3 bytes become 4 bytes"
    target.write_bytes(b"")
    assert "+hello" in here(file(target), verb="inspect")["diff"]


def test_a_secret_file_is_never_shown(here: Drive, tmp_path: Path) -> None:
    target = tmp_path / "env"
    target.write_text("KEY=old-secret\n")
    target.chmod(0o644)
    spec = file(target, "KEY=new-secret\n", mode="0600", secret=True)
    plan = here(spec, verb="inspect")
    assert plan["changes"]["content"] == ("something else", "as declared")
    assert plan["changes"]["mode"] == ("0644", "0600")
    made = here(spec)
    assert (made["error"], made["left"]) == (None, {})
    assert target.read_text() == "KEY=new-secret\n"
    assert "secret" not in repr([plan, made, here(spec.replace(validate=["cat", "{path}", "/no/such"]))])
    again = here(
        file(target, "KEY=third-secret\n", secret=True, validate=["grep", "-v", "X", "/no", "{path}"])
    )
    assert "does not accept" in again["error"]
    assert "third" not in repr(again)


@as_root
def test_a_secret_file_that_was_waiting_there_is_taken_from_its_owner(here: Drive, tmp_path: Path) -> None:
    target = tmp_path / "env"
    target.touch()
    os.chown(target, 65534, 65534)
    assert here(file(target, secret=True, mode="0600"))["left"] == {}
    assert target.owner() == "root"


# -- files: owners


@as_root
def test_owner_and_group_are_seen_and_set(here: Drive, tmp_path: Path) -> None:
    target = tmp_path / "x"
    spec = file(target, owner="nobody", group="daemon", mode="4755")
    assert here(spec)["left"] == {}
    assert (target.owner(), target.group(), mode_of(target)) == ("nobody", "daemon", "4755")
    os.chown(target, 0, 0)
    assert set(here(spec, verb="inspect")["changes"]) >= {"owner", "group"}
    assert here(spec)["left"] == {}
    numbers = file(target, owner=str(target.stat().st_uid), group=str(target.stat().st_gid), mode="4755")
    assert here(numbers)["changes"] == {}
    # an owner that is not declared stays when the content changes
    assert here(file(target, "other"))["left"] == {}
    assert (target.owner(), target.group()) == ("nobody", "daemon")


def test_an_owner_who_does_not_exist_yet_is_no_error_in_a_plan(here: Drive, tmp_path: Path) -> None:
    for spec in (file(tmp_path / "x"), DirectorySpec(path=str(tmp_path))):
        plan = here(spec.replace(owner="no-such-user", group="no-such-group"), verb="inspect")
        assert plan["error"] is None
        assert plan["changes"]["owner"][1] == "no-such-user"
    assert here(file(tmp_path / "x", owner="no-such-user"))["error"] == 'user "no-such-user" does not exist'
    assert not (tmp_path / "x").exists()


# -- what is in the way


def test_other_kinds_in_the_way_are_named(here: Drive, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").touch()
    assert here(file(tmp_path / "d"))["error"] == f"{tmp_path}/d is a directory, but should be a file"
    wrong = here(DirectorySpec(path=str(tmp_path / "f"), mode="0755"))
    assert wrong["error"] == f"{tmp_path}/f is not a directory, but should be one"
    below = here(DirectorySpec(path=str(tmp_path / "f/g"), mode="0755"))
    assert below["error"] == f"{tmp_path}/f is not a directory, but should be one"
    assert here(file(tmp_path / "f/g"))["error"] == f"{tmp_path}/f/g: something above it is not a directory"
    missing = here(file(tmp_path / "no/x"))
    assert missing["error"] == f"{tmp_path}/no does not exist"
    assert missing["before"]["kind"] is None


@as_root
def test_full_and_read_only_disks_are_called_that(here: Drive, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=True)
    try:
        here(file(disk / "x", "old"))
        full = here(file(disk / "x", "n" * 200_000))
        assert full["error"] == f"{disk}/x: no space is left on its file system"
        assert full["hint"] == f"free space below {disk}"
        assert [entry.name for entry in disk.iterdir()] == ["x"]
        assert (disk / "x").read_text() == "old"
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert here(file(disk / "x"))["error"] == f"{disk}/x: its file system is mounted read-only"
        read_only = here(DirectorySpec(path=str(disk / "d"), mode="0755"))
        assert read_only["error"] == f"{disk}/d: its file system is mounted read-only"
        assert read_only["hint"] == f"remount {disk} writable"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@as_root
def test_a_directory_mounted_on_itself_is_what_to_remount(here: Drive, tmp_path: Path) -> None:
    disk = tmp_path / "my disk"
    disk.mkdir()
    subprocess.run(["mount", "--bind", str(disk), str(disk)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(disk)], check=True)
        refused = here(file(disk / "x"))
        assert refused["error"] == f"{disk}/x: its file system is mounted read-only"
        assert refused["hint"] == f"remount {disk} writable"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# -- validators


def test_a_validator_sees_the_content_under_its_name_before_it_counts(here: Drive, tmp_path: Path) -> None:
    target = tmp_path / "x.sh"
    target.write_text("true\n")
    good = here(file(target, "exit 0\n", validate=["bash", "-n", "{path}"]))
    assert (good["error"], good["left"]) == (None, {})
    bad = here(file(target, "if then\n", validate=["bash", "-n", "{path}"]))
    assert bad["error"].startswith(f"{target}: bash does not accept the new content: {target}: line ")
    assert target.read_text() == "exit 0\n"
    name = here(file(target, "named\n", validate=["sh", "-c", 'test "${1##*/}" = x.sh', "sh", "{path}"]))
    assert name["error"] is None
    missing = here(file(target, "other\n", validate=["no-such-validator", "{path}"]))
    assert missing["error"] == "no-such-validator: no such file or command"
    assert list((tmp_path / "state").iterdir()) == []


UNIT = """\
[Unit]
Description=test
[Service]
ExecStart={start}
{more}
[Install]
WantedBy=multi-user.target
"""


@pytest.mark.skipif(not Path("/usr/bin/systemd-analyze").exists(), reason="needs systemd-analyze")
@pytest.mark.parametrize(
    ("start", "more", "error"),
    [
        ("/bin/true", "", None),
        ("/not/there/yet/start.sh", "", None),
        ("/bin/true", "KeyOfALaterSystemd=yes", None),
        ("relative/path", "", "neither a valid executable name nor an absolute path"),
        ("", "", "has no execstart="),
        ('/bin/sh -c "unbalanced', "", "unbalanced quoting"),
    ],
)
def test_systemd_judges_a_unit(here: Drive, tmp_path: Path, start: str, more: str, error: str | None) -> None:
    target = tmp_path / "provision-test.service"
    result = here(file(target, UNIT.format(start=start, more=more), validate="systemd"))
    if error is None:
        assert (result["error"], result["left"]) == (None, {})
    else:
        assert result["error"].startswith(f"{target}: systemd would refuse this unit: ")
        assert error in result["error"].lower()
        assert not target.exists()


# -- content by version


def package(directory: Path, name: str, version: str) -> None:
    """Write the metadata of an installed package."""
    directory.mkdir(parents=True)
    (directory / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (directory / "RECORD").touch()


def engine(root: Path, package: str, *versions: Case) -> Cases:
    environment = str(root / "env")
    return Cases(environment=environment, package=package, others=[], oldest="0.1", versions=list(versions))


@pytest.mark.parametrize(
    ("installed", "content"),
    [(None, "assumed"), ("0.10.0", "old"), ("0.10.1rc1", "new"), ("0.10.1+cpu", "new"), ("0.33.0", "new")],
)
def test_content_follows_the_installed_version(
    here: Drive, tmp_path: Path, installed: str, content: str
) -> None:
    site = tmp_path / "env/lib/python3.11/site-packages"
    site.mkdir(parents=True)
    if installed:
        package(site / f"my_engine-{installed}.dist-info", "my_engine", installed)
        (site / "~y_engine-0.1.dist-info").mkdir()
    gone = Case(since="1.0", finding=fault("unknown-flag", "my-engine 1 has no such flag", "use the other"))
    versions = [Case(since="0.8", content="old"), Case(since="0.10.1", content="new"), gone]
    cases = engine(tmp_path, "My.Engine", *versions)
    assert here(file(tmp_path / "x", "assumed", cases=cases))["left"] == {}
    assert (tmp_path / "x").read_text() == content


def test_a_version_without_content_is_an_error(here: Drive, tmp_path: Path) -> None:
    info = tmp_path / "env/lib/python3.11/site-packages/engine-0.5.dist-info"
    package(info, "engine", "0.5")
    cases = engine(tmp_path, "engine", Case(since="0.8", content="x"))
    assert "older than any version known" in here(file(tmp_path / "x", cases=cases))["error"]
    cases = engine(tmp_path, "engine", Case(since="0.5", finding=fault("unknown-flag", "gone", "other")))
    result = here(file(tmp_path / "x", cases=cases))
    assert (result["error"], result["hint"]) == ("gone", "other")


# -- removal


def test_removal_takes_just_what_is_ours(here: Drive, tmp_path: Path) -> None:
    here(DirectorySpec(path=str(tmp_path / "d"), mode="0755"))
    here(file(tmp_path / "d/x"))
    (tmp_path / "d/foreign").touch()
    assert here(FileSpec(path=str(tmp_path / "d/x")), verb="remove")["removed"] is True
    assert here(FileSpec(path=str(tmp_path / "d/x")), verb="remove")["removed"] is False
    assert here(DirectorySpec(path=str(tmp_path / "d")), verb="remove")["removed"] is False
    (tmp_path / "d/foreign").unlink()
    assert here(DirectorySpec(path=str(tmp_path / "d")), verb="remove")["removed"] is True
    assert here(FileSpec(path=str(tmp_path / "d/x")), verb="remove")["removed"] is False


# -- directories


@as_root
def test_a_directory_is_made_with_owner_and_mode_and_mended(here: Drive, tmp_path: Path) -> None:
    target = tmp_path / "a/b/c"
    spec = DirectorySpec(path=str(target), owner="nobody", group="daemon", mode="2750")
    made = here(spec)
    assert set(made["before"].values()) == {None}
    assert made["left"] == {}
    assert (target.owner(), target.group(), mode_of(target)) == ("nobody", "daemon", "2750")
    assert (target.parent.owner(), mode_of(target.parent)) == ("root", "0755")
    os.chown(target, 0, 0)
    target.chmod(0o777)
    assert set(here(spec)["changes"]) == {"owner", "group", "mode"}
    assert here(spec)["changes"] == {}


def test_a_directory_may_be_a_link_of_ones_own(here: Drive, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to("real")
    assert here(DirectorySpec(path=str(tmp_path / "link"), mode="0755"))["changes"] == {}
    assert here(file(tmp_path / "link/x"))["left"] == {}
    assert (tmp_path / "real/x").exists()


def test_links_that_run_in_a_circle_end(here: Drive, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert "oo many levels" in here(DirectorySpec(path=str(tmp_path / "a/x"), mode="0755"))["error"]


# -- strangers' links


@as_root
def test_root_follows_no_link_of_a_stranger(here: Drive, tmp_path: Path) -> None:
    public = tmp_path / "public"
    public.mkdir()
    public.chmod(0o1777)
    precious = tmp_path / "precious"
    precious.mkdir(mode=0o700)
    (public / "trap").symlink_to(precious)
    os.lchown(public / "trap", 65534, 65534)
    for spec in (
        DirectorySpec(path=str(public / "trap"), owner="nobody", mode="0777"),
        DirectorySpec(path=str(public / "trap/new"), mode="0777"),
        file(public / "trap/x"),
    ):
        result = here(spec)
        assert "symbolic link" in result["error"], spec
        assert "65534" in result["error"]
    assert (mode_of(precious), precious.owner(), list(precious.iterdir())) == ("0700", "root", [])
    assert "symbolic link" in here(FileSpec(path=str(public / "trap/x")), verb="remove")["error"]


@as_root
def test_swapping_a_directory_for_a_link_meanwhile_leads_nobody_astray(here: Drive, tmp_path: Path) -> None:
    """A stranger flips a directory of their own and a link without pause while root writes below it."""
    home, precious = tmp_path / "home", tmp_path / "precious"
    home.mkdir()
    precious.mkdir(mode=0o700)
    tmp_path.parent.chmod(0o755)
    tmp_path.parent.parent.chmod(0o755)
    tmp_path.chmod(0o755)
    os.chown(home, 65534, 65534)
    flip = textwrap.dedent(
        f"""
        import itertools, os
        os.chdir({str(home)!r}); os.setgid(65534); os.setuid(65534)
        os.mkdir("real"); os.symlink({str(precious)!r}, "link"); os.rename("real", "work")
        away = map("away{{}}".format, itertools.count())
        def put(name):
            while True:
                try:
                    return os.rename(name, "work")
                except OSError:  # root has made the directory that was missing for a moment
                    os.rename("work", next(away))
        print("ready", flush=True)
        while True:
            os.rename("work", "real"); put("link")
            os.rename("work", "link"); put("real")
        """
    )
    attacker = subprocess.Popen([sys.executable, "-c", flip], stdout=subprocess.PIPE)
    try:
        assert attacker.stdout is not None
        assert attacker.stdout.readline() == b"ready\n"
        outcomes: set[str | None] = set()
        latest = time.monotonic() + 120
        for round in count():
            if round >= 300 and (len(outcomes) > 1 or time.monotonic() > latest):
                break
            outcomes.add(here(file(home / "work/x", str(round)))["error"])
            here(DirectorySpec(path=str(home / "work/d"), owner="nobody", mode="0777"))
    finally:
        attacker.kill()
        attacker.wait()
    assert len(outcomes) > 1, "the attack never met a write, so this has shown nothing"
    assert list(precious.iterdir()) == []
    assert (mode_of(precious), precious.owner()) == ("0700", "root")


# -- crashes


def test_a_kill_at_any_moment_leaves_the_old_or_the_new_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_bytes(b"o" * 300_000)
    code = textwrap.dedent(
        f"""
        import sys
        sys.path.insert(0, {str(REPOSITORY)!r})
        from provision.host.files import atomic
        print("ready", flush=True)
        while True:
            for letter in (b"a", b"b"):
                atomic.write({str(target)!r}, letter * 300_000, 0o640)
        """
    )
    for wait in range(12):
        writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        try:
            writer.wait(timeout=0.01 + wait * 0.003)
        except subprocess.TimeoutExpired:
            writer.kill()
        writer.wait()
        data = target.read_bytes()
        assert len(data) == 300_000
        assert len(set(data)) == 1
        assert len(list(tmp_path.iterdir())) <= 2
    from provision.host.files import atomic

    atomic.write(str(target), b"end", 0o640)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


# -- ordinary users


@pytest.mark.lab
def test_an_ordinary_user_is_told_to_become_root(there: Drive) -> None:
    for spec in (
        file(Path("/etc/provision-test")),
        file(Path("/etc/shadow")),
        DirectorySpec(path="/etc/provision-test", mode="0755"),
        DirectorySpec(path="/tmp", owner="ops"),
    ):
        result = there(spec, user="ops")
        assert result["error"] == f"{spec.path}: permission denied"
        assert "become" in result["hint"]


def test_ones_own_name_is_an_owner(here: Drive, tmp_path: Path) -> None:
    assert here(file(tmp_path / "x", owner=getpass.getuser()))["left"] == {}
