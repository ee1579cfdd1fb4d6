"""Disks that are full, have no inodes left, or cannot be written to."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.trouble import CODED, Trouble, causes

pytestmark = pytest.mark.lab

PREFIX = "/opt/provision"

SERVICE = """\
directories: {{/etc/site: null}}
files: {{/etc/site/{name}.conf: {{content: "{name}\\n"}}}}
services:
  {name}:
    kind: program
    command: [/usr/bin/python3, -m, http.server, "81{port}"]
    port: 81{port}
    checks: [{{http: /}}]
"""


@pytest.fixture
def grown(trouble: Trouble) -> Iterator[Trouble]:
    """A host whose directory of provision is a file system that grows."""
    trouble.sh(f"mkdir -p {PREFIX} && mount -t tmpfs -o size=4k,nr_inodes=3,mode=755 tmpfs {PREFIX}")
    yield trouble
    trouble.run("remove")
    trouble.sh(f"umount -l {PREFIX}")


def grows(trouble: Trouble, option: str, first: int, step: int) -> list[str]:
    """Apply, with a little more room each time, until all is well; return what was said until then."""
    said = []
    for room in range(first, first + 40 * step, step):
        trouble.sh(f"mount -o remount,{option.format(room)} {PREFIX}")
        if trouble.run().code == 0:
            break
        lines = causes(trouble.printed)
        assert lines, trouble.printed
        assert {CODED.findall(line)[0] for line in lines} == {"disk-full"}, trouble.printed
        said.append(lines[0])
    trouble.settled()
    # What a later change needs to be taken back was noted, however often that has failed.
    assert trouble.sh(f"ls {PREFIX}/state/former") == "web\n"
    trouble.note("code", "disk-full")
    trouble.note("printed", said[0])
    return said


def test_no_room_at_any_write(grown: Trouble) -> None:
    """The disk is full at any write: 4 kB more each time, until all is written"""
    grown.play(SERVICE.format(name="web", port=41))
    said = grows(grown, "size={}k,nr_inodes=200", 4, 4)
    assert len(said) > 4
    assert all("no space is left" in line for line in said)


def test_no_inode_at_any_write(grown: Trouble) -> None:
    """No inodes are left: two more each time, until all is written"""
    grown.play(SERVICE.format(name="web", port=42))
    said = grows(grown, "size=2m,nr_inodes={}", 1, 2)
    assert len(said) > 4
    assert all("no inodes are left" in line for line in said), said


@pytest.fixture(scope="module")
def served(site: Trouble) -> Trouble:
    """The host, with a service that answers."""
    site.play(SERVICE.format(name="web", port=40))
    site.works()
    return site


def test_etc_is_full(served: Trouble, trouble: Trouble) -> None:
    """The disk of /etc is full"""
    trouble.play("directories: {/etc/app: null}\nfiles: {/etc/app/a.conf: {content: x}}")
    with trouble.small("/etc/app", "8k"), trouble.full("/etc/app"):
        trouble.fails("disk-full", r"/etc/app/a\.conf: no space is left on its file system")
        assert trouble.sh("ls -A /etc/app") == ".fill\n"
    trouble.works()


def test_units_cannot_be_written(served: Trouble, trouble: Trouble) -> None:
    """The disk of systemd's units is full"""
    trouble.play(SERVICE.format(name="unit", port=43))
    with trouble.small("/etc/systemd/system", "128k"), trouble.full("/etc/systemd/system"):
        trouble.fails("disk-full", "no space is left|No space left")
    trouble.sh("systemctl daemon-reload")
    trouble.works()


def test_prefix_is_read_only(served: Trouble, trouble: Trouble) -> None:
    """The file system of provision's directory is read-only"""
    trouble.play(SERVICE.format(name="web", port=40).replace("81", "82"))
    with trouble.read_only(PREFIX):
        trouble.fails("file-refused", f"its file system is mounted read-only; remount {PREFIX} writable")
        assert trouble.sh("ss -Hltn sport = :8140") != ""
    trouble.works()


def test_etc_is_read_only(served: Trouble, trouble: Trouble) -> None:
    """The file system of /etc is read-only"""
    trouble.play("files: {/etc/ro.conf: {content: x}}")
    with trouble.read_only("/etc"):
        trouble.fails("file-refused", "its file system is mounted read-only")
    trouble.works()


def test_units_are_read_only(served: Trouble, trouble: Trouble) -> None:
    """A unit cannot be enabled, as its directory is read-only"""
    trouble.play(SERVICE.format(name="web", port=40))
    trouble.works()
    trouble.sh("systemctl disable -q provision-web")
    with trouble.read_only("/etc/systemd/system"):
        trouble.fails("file-refused", "Read-only file system")
    trouble.works()


@pytest.fixture
def own_disk(tmp_path: Path) -> Iterator[Path]:
    """A full disk of the machine that provision runs on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(disk)], check=True)
    (disk / "fill").write_bytes(b"\0" * 4096)
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_disk_of_this_machine_is_full(served: Trouble, trouble: Trouble, own_disk: Path) -> None:
    """The disk of the machine that provision runs on is full"""
    trouble.play("files: {/etc/note.conf: {content: x}}")
    saved = own_disk / "site.plan"
    trouble.fails("system-error", f"{saved}: no space left on device", "--out", str(saved), verb="plan")
    assert not saved.exists()
    (own_disk / "fill").unlink()
    assert trouble.run("plan", "--out", str(saved)).code == 0, trouble.printed
    # Full again. What is only kept for later runs is no fault.
    trouble.provision.env["XDG_CACHE_HOME"] = str(own_disk)
    trouble.works()
    del trouble.provision.env["XDG_CACHE_HOME"]


def test_standard_output_is_full(trouble: Trouble) -> None:
    """Standard output is a full disk"""
    trouble.play("files: {/etc/note.conf: {content: x}}")
    with open("/dev/full", "w") as full:
        for more in ("--output=json", "--output=text"):
            command = ["plan", trouble.page, more, *trouble.provision.options]
            ended = trouble.start(*command, stdout=full)
            assert ended.wait(120) == 1
            assert ended.stderr is not None
            said = ended.stderr.read()
            assert said.count("\n") == 1, said
            assert CODED.findall(said.strip()) == ["system-error"]
