"""Hosts that are not what one expects: their shells, systemd, journal, clock, memory and power."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml

from tests.faults.trouble import CODED, Trouble
from tests.lab.cgroup import ControlGroup

pytestmark = pytest.mark.lab

NOTE = "files: {/var/tmp/note: {content: x}}"

ENDS = """\
services:
  bad: {kind: program, command: [/bin/sh, -c, "echo one reason; sleep 0.5; exit 3"], port: 8150}
"""

STANDS = """\
services:
  web: {kind: program, command: [/usr/bin/python3, -m, http.server, "8151"], port: 8151, checks: [{http: /}]}
"""


@contextmanager
def start_file(trouble: Trouble, text: str) -> Iterator[None]:
    """Have the login shell of root read something before each command, over connections of their own."""
    bashrc = trouble.host.root / "root/.bashrc"
    former = bashrc.read_bytes()
    # A socket in a directory of its own: no connection is kept from before, or for later.
    runtime = tempfile.mkdtemp()
    trouble.provision.env["XDG_RUNTIME_DIR"] = runtime
    bashrc.write_text(text + "\n")
    try:
        yield
    finally:
        bashrc.write_bytes(former)
        del trouble.provision.env["XDG_RUNTIME_DIR"]
        shutil.rmtree(runtime)


# -- shells -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("while :; do echo a notice; done", "host-timeout", "printed: a notice; see what a start file"),
        ("read -r answer", "host-failed", "python3 has not got what was sent"),
        ("exit 0", "host-failed", "the login shell of the host ended without running anything"),
        ("sleep 3600", "host-timeout", "or a start file of its login shell, such as .bashrc, waits"),
    ],
    ids=["prints for ever", "reads", "exits", "waits"],
)  # fmt: skip
def test_a_start_file_is_in_the_way(trouble: Trouble, text: str, code: str, says: str) -> None:
    """A start file of the login shell prints for ever, reads, exits or waits"""
    trouble.play(NOTE)
    with start_file(trouble, text):
        trouble.fails(code, says, "--connect-timeout", "4")
    trouble.works()


def test_banners_and_noise(trouble: Trouble) -> None:
    """Banners, and noise of start files on both streams: no fault"""
    trouble.play("files: {/var/tmp/noisy: {content: x}}")
    noise = (
        "echo hello; printf 'no line end'; echo oh no >&2; (sleep 2; echo late) & echo '{\"event'; set -eu"
    )
    (trouble.host.root / "etc/motd").write_text("hello\n" * 50)
    (trouble.host.root / "etc/ssh/sshd_config.d/banner.conf").write_text("Banner /etc/motd\n")
    trouble.sh("systemctl reload ssh")
    with start_file(trouble, noise):
        trouble.works()
        trouble.settled()
    assert "hello" not in trouble.printed


def test_odd_environment_of_a_host(trouble: Trouble) -> None:
    """An odd PATH, locale, umask, HOME and PYTHON… on the host: no fault"""
    trouble.play("directories: {/var/tmp/odd: null}\nfiles: {/var/tmp/odd/é: {content: ü}}\n" + STANDS)
    odd = (
        "export PATH=/nonexistent LC_ALL=tr_TR.ISO-8859-9 LANG=xx TMPDIR=/nonexistent HOME=/nonexistent "
        "PYTHONHOME=/nonexistent PYTHONPATH=/nonexistent CDPATH=/; umask 0777"
    )
    with start_file(trouble, odd):
        trouble.works()
        trouble.settled()
    assert trouble.sh("stat -c %a /var/tmp/odd /var/tmp/odd/é") == "755\n644\n"
    trouble.run("remove")


def test_odd_environment_of_this_machine(trouble: Trouble) -> None:
    """An odd locale, umask and HOME on the machine that provision runs on: no fault"""
    trouble.play("files: {/var/tmp/ö: {content: ü}}")
    odd = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "HOME": "/proc/nonexistent"}
    trouble.provision.env.update(odd, XDG_CACHE_HOME="/proc/nonexistent", TMPDIR="/proc/nonexistent")
    former = os.umask(0o777)
    try:
        printed = trouble.works()
    finally:
        os.umask(former)
        for name in (*odd, "XDG_CACHE_HOME", "TMPDIR"):
            del trouble.provision.env[name]
    assert "1 changed" in printed


def test_no_ssh_on_this_machine(trouble: Trouble) -> None:
    """There is no ssh in the PATH of the machine that provision runs on"""
    trouble.play(NOTE)
    with start_file(trouble, ""):
        trouble.provision.env["PATH"] = "/nonexistent"
        try:
            trouble.fails("missing-program", "the program ssh is not on this machine; install it")
        finally:
            del trouble.provision.env["PATH"]
    trouble.works()


@pytest.mark.parametrize(
    ("user", "rule", "code", "says"),
    [
        ("ops", "", "sudo-password", "sudo wants a password; run with --ask-become-pass"),
        ("ops", "Defaults:ops requiretty", "sudo-refused", "sudo insists on a terminal"),
        ("nobody2", "", "sudo-password", "sudo wants a password"),
    ],
    ids=["asks", "wants a terminal", "is not for this user"],
)
def test_sudo_is_in_the_way(trouble: Trouble, user: str, rule: str, code: str, says: str) -> None:
    """sudo asks for a password, and there is none"""
    trouble.play(NOTE)
    if user == "nobody2":
        trouble.sh(
            "id nobody2 2>/dev/null || useradd -m -s /bin/sh nobody2; "
            "cp -r /home/ops/.ssh /home/nobody2/; chown -R nobody2 /home/nobody2"
        )
    rules = trouble.host.root / "etc/sudoers.d/fault"
    rules.write_text(rule + "\n")
    rules.chmod(0o440)
    hosts = yaml.safe_load(trouble.lab.inventory.read_text())
    hosts["hosts"][trouble.host.name].update(user=user, become=True)
    (trouble.folder / "hosts.yml").write_text(json.dumps(hosts))
    former, trouble.provision.options = trouble.provision.options, ["-i", "hosts.yml"]
    try:
        trouble.fails(code, says)
    finally:
        trouble.provision.options = former
        rules.unlink()
    trouble.works()


# -- systemd and its journal ---------------------------------------------------------------------------------


def test_systemd_does_not_answer(trouble: Trouble) -> None:
    """systemd, process 1, does not answer: found before anything is changed"""
    trouble.play("files: {/var/tmp/before: {content: x}}\n" + STANDS)
    init = trouble.host.init
    assert init is not None
    os.kill(init.pid, signal.SIGSTOP)
    try:
        trouble.fails("systemd-silent", "service web: systemd does not answer")
    finally:
        os.kill(init.pid, signal.SIGCONT)
    assert trouble.sh("ls /var/tmp/before || true") == ""
    trouble.works()
    trouble.run("remove")


def test_the_journal_is_full(trouble: Trouble) -> None:
    """The journal has no room: a service that ends is still told of"""
    trouble.play(ENDS)
    trouble.sh(
        "for place in /run/log/journal /var/log/journal; do mkdir -p $place; "
        "mount -t tmpfs -o size=16k tmpfs $place; dd if=/dev/zero of=$place/fill bs=4k status=none; done; "
        "systemctl restart systemd-journald",
        check=False,
    )
    try:
        trouble.fails("service-ended", r"answer of bad: bad ended \(exit 3\)")
    finally:
        trouble.sh("umount -l /run/log/journal /var/log/journal; systemctl restart systemd-journald")
    trouble.play(ENDS.replace("exit 3", "exec python3 -m http.server 8150"))
    trouble.works()
    trouble.run("remove")


def test_the_journal_does_not_answer(trouble: Trouble) -> None:
    """systemd-journald does not answer"""
    trouble.play(ENDS)
    trouble.sh("pkill -STOP -x systemd-journal")
    try:
        trouble.fails("service-ended", r"answer of bad: bad ended \(exit 3\)")
    finally:
        trouble.sh("pkill -CONT -x systemd-journal")
    assert "systemd-journald does not answer, so the last lines of services may be missing" in trouble.printed
    trouble.play(ENDS.replace("exit 3", "exec python3 -m http.server 8150"))
    trouble.works()
    trouble.run("remove")


# -- clock, memory, power ------------------------------------------------------------------------------------


def test_the_clock_is_off_by_a_year(trouble: Trouble) -> None:
    """The clock of a host is off by a year: a warning, and no fault"""
    # The host shares its clock with this machine, so its Python is one that reads another.
    (trouble.host.root / "usr/local/bin/elsewhen").write_text(
        "#!/usr/bin/python3 -IS\nimport sys, time\nreal = time.time\ntime.time = lambda: real() - 31536000\n"
        "exec(sys.argv[sys.argv.index('-c') + 1])\n"
    )
    trouble.sh("chmod 755 /usr/local/bin/elsewhen")
    hosts = yaml.safe_load(trouble.lab.inventory.read_text())
    hosts["hosts"][trouble.host.name].update(python="/usr/local/bin/elsewhen")
    (trouble.folder / "clock.yml").write_text(json.dumps(hosts))
    former, trouble.provision.options = trouble.provision.options, ["-i", "clock.yml"]
    try:
        trouble.play("files: {/var/tmp/clock: {content: x}}\n" + STANDS)
        printed = trouble.works()
        (told,) = [line for line in printed.splitlines() if line.endswith("[clock-skew]")]
        assert re.search("the clock of this host is 36[45] d .*behind the controller's", told)
        trouble.note("code", "clock-skew")
        trouble.note("printed", told)
        trouble.settled()
        # With the right time again nothing has to be done again.
        trouble.provision.options = former
        trouble.settled()
        trouble.run("remove")
    finally:
        trouble.provision.options = former


@contextmanager
def little_memory(trouble: Trouble, bytes: int) -> Iterator[None]:
    """Give the host no more than so many bytes above what it uses now."""
    (group,) = [
        path
        for path in ControlGroup(trouble.host.machine_name).directories()
        if (path / "memory.limit_in_bytes").exists() or (path / "memory.max").exists()
    ]
    old = (group / "memory.limit_in_bytes").exists()
    limit = group / ("memory.limit_in_bytes" if old else "memory.max")
    used = int((group / ("memory.usage_in_bytes" if old else "memory.current")).read_text())
    limit.write_text(str(used + bytes))
    try:
        yield
    finally:
        limit.write_text("-1" if old else "max")


def test_the_kernel_kills_a_service_for_memory(trouble: Trouble) -> None:
    """A service takes more memory than there is, and the OOM killer ends it"""
    eats = "import time; time.sleep(1); x = bytearray(2 * 10**9); time.sleep(99)"
    trouble.play(
        f"services:\n  eater: {{kind: program, command: [/usr/bin/python3, -c, {eats!r}], port: 8152}}"
    )
    with little_memory(trouble, 300 << 20):
        trouble.fails("memory-full", r"answer of eater: eater ended \(out of memory\)")
    trouble.play(STANDS.replace("web", "eater").replace("8151", "8152"))
    trouble.works()
    trouble.run("remove")


def test_the_kernel_kills_a_command_for_memory(trouble: Trouble) -> None:
    """A command takes more memory than there is, and the OOM killer ends it"""
    trouble.play(
        "commands: {eat: {run: [/usr/bin/python3, -c, 'bytearray(2 * 10**9)'], creates: /var/tmp/ate}}"
    )
    with little_memory(trouble, 300 << 20):
        trouble.fails("memory-full", "eat: python3 was killed, as the memory of the host was full")
    trouble.play("commands: {eat: {run: [touch, /var/tmp/ate], creates: /var/tmp/ate}}")
    trouble.works()


def test_a_host_reboots_in_mid_apply(trouble: Trouble) -> None:
    """A host reboots in the middle of an apply"""
    trouble.play(
        "commands:\n  boot: {run: 'touch /var/tmp/boots; sync; sleep 1000', creates: /var/tmp/boots}\n"
        + STANDS
    )
    begun = trouble.start("apply", trouble.page, "--yes", *trouble.provision.options)
    reboot = threading.Thread(target=lambda: (wait_for(trouble, "/var/tmp/boots"), trouble.host.reboot()))
    reboot.start()
    out, _ = begun.communicate(timeout=150)
    reboot.join()
    assert begun.returncode == 1, out
    lines = [line for line in out.splitlines() if "  ✗ " in line]
    assert [CODED.findall(line) for line in lines] == [["connection-lost"]], out
    assert "what was done until then stays done; run again to go on" in lines[0]
    trouble.note("code", "connection-lost")
    trouble.note("printed", lines[0])
    trouble.works()
    trouble.settled()


def wait_for(trouble: Trouble, path: str) -> None:
    trouble.sh(f"until ls {path} >/dev/null 2>&1; do sleep 0.1; done")
