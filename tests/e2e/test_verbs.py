"""Each verb as a user meets it, on a real host; the model server is a stand-in that starts in a moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import standin
from tests.e2e.command import REPOSITORY, Answer, Provision
from tests.e2e.terminal import Terminal
from tests.lab import Lab, LabHost

pytestmark = pytest.mark.lab

KEY = 'sk "one" $HOME'

MAIN = """\
- name: main
  hosts: box
  tags: [base]
  packages: [python3-venv]
  directories: {/etc/site: null}
  files:
    /etc/site/main.conf: {content: "colour = blue\\nsize = {{ size | default(3) }}\\n", mode: "0640"}
    /etc/site/shared.conf: {content: "both\\n"}
- name: serving
  hosts: box
  environments:
    vllm: {packages: ["vllm==0.33.0"], index_url: "file:///srv/index"}
  models: {m: {path: /srv/model}}
  services:
    tiny: &tiny
      kind: vllm
      environment: vllm
      model: m
      port: 8123
      tags: [tiny]
      api_key: {env: SITE_KEY}
      max_model_len: 512
      gpu_memory_utilization: 0.4
      checks: [{chat: hello, expect: hello}]
    second:
      <<: *tiny
      tags: [second]
      port: 8124
      supervisor: script
"""

OTHER = """\
- hosts: box
  files: {/etc/site/shared.conf: {content: "both\\n"}, /etc/site/other.conf: {content: "other\\n"}}
"""


class Site:
    """A user's project, its host, and the command line in the project's directory."""

    def __init__(self, folder: Path, lab: Lab, host: LabHost) -> None:
        self.folder = folder
        self.host = host
        self.options = ["-i", str(lab.inventory), "--limit", host.name]
        self.env = {"SITE_KEY": KEY, "PYTHONPATH": str(REPOSITORY)}
        self.provision = Provision(self.options, self.env, folder)
        (folder / "playbooks").mkdir()
        self.main = folder / "playbooks/main.yml"
        self.other = folder / "playbooks/other.yml"
        self.main.write_text(MAIN.replace("hosts: box", f"hosts: {host.name}"))
        self.other.write_text(OTHER.replace("hosts: box", f"hosts: {host.name}"))

    def sh(self, script: str) -> str:
        return self.host.exec(["sh", "-c", script]).stdout

    def run(self, verb: str, *args: str | Path, **how: Any) -> Answer:
        return self.provision.run(verb, *args, **how)

    def terminal(self, *args: str | Path, **more: str) -> Terminal:
        return Terminal(*args, *self.options, cwd=self.folder, env={**self.env, **more})

    def edit(self, old: str, new: str) -> None:
        text = self.main.read_text()
        assert old in text
        self.main.write_text(text.replace(old, new))

    @property
    def pids(self) -> list[str]:
        """The process ids of the two services."""
        unit = self.sh("systemctl show -p MainPID --value provision-tiny")
        return [unit.strip(), self.sh("cat /opt/provision/run/second.pid | tr -dc 0-9' '").split()[0]]


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    host = lab.add("box")[0]
    standin.install(host.root)
    yield Site(tmp_path_factory.mktemp("site"), lab, host)
    lab.remove("box")


def test_the_first_apply_asks_and_no_means_no(site: Site) -> None:
    with site.terminal("apply", site.main) as terminal:
        # What is typed ahead must not agree to a plan that nobody has seen.
        terminal.send("y\n")
        terminal.until("Apply this? [y/N]: ")
        assert "+ service tiny" in terminal.text
        assert "to add, 0 to change" in terminal.text
        terminal.send("n\n")
        assert terminal.end() == 1
        assert "nothing was changed" in terminal.text
    assert site.sh("ls /etc/site /opt/provision 2>/dev/null || true") == ""


def test_yes_means_yes_and_what_was_rendered_is_what_is_there(site: Site, tmp_path: Path) -> None:
    with site.terminal("apply", site.main) as terminal:
        terminal.until("Apply this? [y/N]: ")
        terminal.send("y\n")
        assert terminal.end(300) == 0, terminal.text[-3000:]
        assert "second answers (chat" in terminal.text
        assert "\x1b[" in terminal.seen
        assert "stop: systemctl stop provision-tiny" in terminal.text

    rendered = site.run("render", site.main, "--to", tmp_path / "out")
    assert rendered.code == 0
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) >= 7
    for path in files:
        inside = path.relative_to(tmp_path / "out/box")
        real = site.host.root / inside
        want = path.read_text()
        if "***" in want:
            assert KEY.encode() not in path.read_bytes()
            assert real.read_text().startswith(want.split("***")[0])
            assert "sk" in real.read_text()
        else:
            assert real.read_bytes() == want.encode(), inside
        assert real.stat().st_mode & 0o777 == path.stat().st_mode & 0o777, inside


def test_again_nothing_changes(site: Site) -> None:
    pids = site.pids
    answer = site.run("apply", site.main, "--yes")
    assert answer.code == 0
    assert "0 changed" in answer.out
    plan = site.run("plan", site.main, "--detailed-exitcode")
    assert plan.code == 0
    assert plan.out.splitlines()[1] == "  = nothing to change"
    assert plan.out.splitlines()[-1].startswith("Plan: 1 host, 0 to add, 0 to change, ")
    assert site.pids == pids


def test_json_is_one_object_a_line_and_nothing_else(site: Site) -> None:
    runs = [
        ("validate", site.main),
        ("plan", site.main),
        ("apply", site.main, "--yes", "--verify"),
        ("verify", site.main),
        ("status", site.main),
        ("logs", "tiny", site.main, "-n", "3"),
    ]
    for argv in runs:
        answer = site.run(*argv, json=True)
        assert answer.code == 0
        assert answer.err == ""
        rows = [json.loads(line) for line in answer.out.splitlines()]
        assert rows
        assert all(row["version"] == 1 and row["event"] for row in rows)
        if argv[0] != "validate":
            assert {row["host"] for row in rows} == {"box"}
        assert KEY not in answer.out


def test_only_looking_needs_no_secret(site: Site) -> None:
    bare = Provision(site.options, {"PYTHONPATH": str(REPOSITORY)}, site.folder)
    assert "SITE_KEY" not in os.environ
    assert "running" in bare.run("status", site.main).out
    verified = bare.run("verify", site.main)
    assert verified.code == 0
    assert verified.out.splitlines()[-1] == "Verify: 2 checks passed."
    assert "Application startup complete" in bare.run("logs", "second", site.main).out
    refused = bare.run("plan", site.main)
    assert refused.code == 1
    assert refused.err.startswith(f"{site.main}:21:16: ")
    assert "SITE_KEY is not set" in refused.err


def test_one_changed_flag_is_one_restart_and_says_so(site: Site) -> None:
    before = site.pids
    site.edit("max_model_len: 512", "max_model_len: 1024")
    site.edit("port: 8124", "port: 8124\n      max_model_len: 512")
    plan = site.run("plan", site.main)
    assert "--max-model-len 512 → 1024" in plan.out
    assert "restart tiny, because of" in plan.out
    assert "restart second" not in plan.out
    last = plan.out.splitlines()[-1]
    assert last.startswith("Plan: 1 host, 0 to add, 1 to change, 1 restart, 1 service to prove, ")
    assert site.run("apply", site.main, "--yes").code == 0
    assert site.pids[0] != before[0]
    assert site.pids[1] == before[1]


def test_a_saved_plan_is_done_and_nothing_else(site: Site) -> None:
    saved = site.folder / "plan.json"
    bare = Provision([], site.env, site.folder)

    site.edit("colour = blue", "colour = red")
    planned = site.run("plan", site.main, "--out", saved)
    assert (planned.code, saved.stat().st_mode & 0o777) == (0, 0o600)
    assert KEY not in saved.read_text()
    site.edit("colour = red", "colour = green")
    refused = bare.run("apply", saved, "--yes")
    assert refused.code == 1
    assert "have changed since this plan was made" in refused.err

    site.edit("colour = green", "colour = red")
    site.sh("echo by hand >> /etc/site/shared.conf")
    moved = bare.run("apply", saved, "--yes")
    assert moved.code == 1
    assert "this host has changed since the plan was made" in moved.out
    assert "blue" in site.sh("cat /etc/site/main.conf")

    site.sh("printf 'both\\n' > /etc/site/shared.conf")
    applied = bare.run("apply", saved, "--yes")
    assert applied.code == 0, applied.out
    assert "1 changed" in applied.out
    assert "red" in site.sh("cat /etc/site/main.conf")


def test_extra_variables_win_and_tags_narrow(site: Site) -> None:
    site.sh("echo x > /etc/site/main.conf; echo '# x' >> /etc/systemd/system/provision-tiny.service")
    plan = site.provision.plan(site.main, "--tags", "base", "-e", "size=7", code=2)
    assert set(plan.changes()) == {"file:/etc/site/main.conf"}
    assert site.run("apply", site.main, "--yes", "--tags", "base", "-e", "size=7").code == 0
    assert "size = 7" in site.sh("cat /etc/site/main.conf")
    left = site.provision.plan(site.main, "-e", "size=7", code=2).changes()
    assert "file:/etc/systemd/system/provision-tiny.service" in left
    assert site.run("apply", site.main, "--yes").code == 0
    assert site.provision.plan(site.main, code=0).changes() == {}


def test_plan_without_arguments_takes_all_playbooks(site: Site) -> None:
    plan = site.run("plan")
    assert "+ /etc/site/other.conf" in plan.out
    assert plan.out.splitlines()[-1].startswith("Plan: 1 host, 1 to add, 0 to change, ")
    assert site.run("apply", "--yes").code == 0


def test_a_reader_that_leaves_early_hears_nothing_more(site: Site) -> None:
    for argv in (
        ["schema", "playbook"],
        ["plan", *site.options],
        ["plan", *site.options, "--output", "json"],
    ):
        command = [sys.executable, "-m", "provision", *argv]
        with subprocess.Popen(
            command,
            cwd=site.folder,
            env={**os.environ, **site.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout
            assert process.stderr
            process.stdout.close()
            assert process.stderr.read() == b""


def test_colour_only_where_it_is_wanted(site: Site) -> None:
    with site.terminal("plan", site.main, NO_COLOR="1") as terminal:
        assert terminal.end() == 0
        assert "\x1b[3" not in terminal.seen
        assert "\x1b[1" not in terminal.seen
    assert "\x1b" not in site.run("plan", site.main).out


def test_a_log_is_followed_until_ctrl_c_and_nothing_stays_behind(site: Site) -> None:
    for service in ("tiny", "second"):
        with site.terminal("logs", service, site.main, "-f", "-n", "2") as terminal:
            terminal.until("Application startup complete")
            terminal.interrupt()
            assert terminal.end() == 0, terminal.text
        deadline = time.monotonic() + 60
        while site.sh("pgrep -fa 'journalctl|tail -|PROVISION' | grep -v pgrep || true"):
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_ctrl_c_ends_the_work_on_the_host_and_the_summary_says_so(site: Site) -> None:
    slow = site.folder / "slow.yml"
    slow.write_text("- hosts: box\n  commands: {slow: {run: 'sleep 987', creates: /srv/never}}\n")
    with site.terminal("apply", slow, "--yes") as terminal:
        terminal.until("command slow")
        deadline = time.monotonic() + 120
        while not site.sh("pgrep -fx 'sleep 987' || true"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        terminal.interrupt()
        assert terminal.end() == 130
        assert "box  0 changed" in terminal.text
    assert site.sh("pgrep -fx 'sleep 987' || true") == ""
    assert site.run("remove", slow, "--yes").code == 0


def test_a_killed_controller_leaves_a_host_that_the_next_apply_mends(site: Site) -> None:
    site.edit("colour = red", "colour = black")
    site.edit("port: 8123", "port: 8123\n      max_num_seqs: 9")
    with site.terminal("apply", site.main, "--yes") as terminal:
        terminal.until("/etc/site/main.conf")
        terminal.kill()
    assert site.run("apply", site.main, "--yes").code == 0
    assert site.provision.plan(site.main, code=0).changes() == {}
    assert "--max-num-seqs 9" in site.sh(f"tr '\\0' ' ' < /proc/{site.pids[0]}/cmdline")


def test_what_left_the_playbook_is_orphaned_and_pruned(site: Site) -> None:
    text = site.main.read_text()
    start = text.index("    second:")
    site.main.write_text(text[:start].replace('    /etc/site/shared.conf: {content: "both\\n"}\n', ""))
    plan = site.run("plan", site.main, "--detailed-exitcode")
    assert plan.code == 2
    assert "- orphaned: service second" in plan.out
    assert "/etc/site/shared.conf" not in plan.out, "the other playbook wants it"
    kept = site.run("apply", site.main, "--yes")
    assert kept.code == 0
    assert "`apply --prune` removes it" in kept.out
    assert site.sh("cat /opt/provision/run/second.pid")

    pruned = site.run("apply", site.main, "--yes", "--prune")
    assert pruned.code == 0, pruned.out
    assert site.sh("ls /opt/provision/services").split() == ["tiny"]
    assert site.sh("cat /etc/site/shared.conf") == "both\n", "the other playbook wants it"
    assert '"other"' in site.sh("grep -A9 'file:/etc/site/shared.conf' /opt/provision/state/ledger.json")
    assert site.run("plan", site.main, "--detailed-exitcode").code == 0


def test_remove_asks_and_takes_only_what_is_its_own(site: Site) -> None:
    site.sh("echo mine > /etc/site/mine.conf")
    with site.terminal("remove", site.main) as terminal:
        terminal.until("Remove all this? [y/N]: ")
        terminal.send("\n")
        assert terminal.end() == 1
    assert site.sh("systemctl is-active provision-tiny") == "active\n"

    bare = Provision(site.options, {"PYTHONPATH": str(REPOSITORY)}, site.folder)
    removed = bare.run("remove", site.main, "--yes")
    assert removed.code == 0, removed.out
    assert "/etc/site stays: holds files of others" in removed.out
    assert sorted(site.sh("ls /etc/site").split()) == ["mine.conf", "other.conf", "shared.conf"]
    assert site.sh("ls -d /opt/provision/services /etc/systemd/system/provision-* 2>/dev/null || true") == ""
    assert site.sh("dpkg-query -W -f '${Status}' python3-venv") == "install ok installed"
    assert site.sh("ls /srv/model") == "config.json\n"
    again = bare.run("remove", site.main, "--yes")
    assert again.code == 0
    assert "these playbooks have put nothing here" in again.out

    assert bare.run("remove", site.other, "--yes").code == 0
    assert site.sh("ls /etc/site") == "mine.conf\n"


def test_the_sudo_password_is_asked_for_once(site: Site, tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.yml"
    inventory.write_text((Path(site.options[1])).read_text())
    text = inventory.read_text().replace("user: root", "user: {user}\n    become: true")
    play = site.folder / "who.yml"
    play.write_text("- hosts: box\n  files: {/root/who: {content: x}}\n")
    ops, deploy = tmp_path / "ops.yml", tmp_path / "deploy.yml"
    ops.write_text(text.replace("{user}", "ops"))
    deploy.write_text(text.replace("{user}", "deploy"))

    def asked(password: str, *more: str) -> tuple[int, str]:
        argv = ["plan", play, "-i", ops, "--limit", "box", "--ask-become-pass", *more]
        with Terminal(*argv, cwd=site.folder, env=site.env) as terminal:
            terminal.until("sudo password: ")
            terminal.send(password + "\n")
            return terminal.end(), terminal.text

    code, said = asked("ops")
    assert code == 0
    assert "+ /root/who" in said
    code, said = asked("wrong")
    assert code == 1
    assert "  ! sudo did not accept the password [sudo-password]\n" in said
    assert "wrong" not in said

    bare = Provision(["--limit", "box"], site.env, site.folder)
    silent = bare.run("plan", play, "-i", ops)
    assert silent.code == 1
    assert "--ask-become-pass" in silent.out
    assert bare.run("apply", play, "-i", deploy, "--yes").code == 0
    assert bare.run("remove", play, "-i", deploy, "--yes").code == 0


def test_sigterm_is_as_good_as_ctrl_c(site: Site) -> None:
    slow = site.folder / "slow.yml"
    slow.write_text("- hosts: box\n  commands: {slow: {run: 'sleep 986', creates: /srv/never}}\n")
    command = [sys.executable, "-m", "provision", "apply", str(slow), "--yes", *site.options]
    with subprocess.Popen(
        command, cwd=site.folder, env={**os.environ, **site.env}, stdout=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 120
        while not site.sh("pgrep -fx 'sleep 986' || true"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "box  0 changed" in out
    assert site.sh("pgrep -fx 'sleep 986' || true") == ""
    assert site.run("remove", slow, "--yes").code == 0
