"""What a service is told to read and write on a host under systemd: it can, or an error says why not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import REPOSITORY, Provision
from tests.lab import Lab, LabHost

pytestmark = pytest.mark.lab

APP = """\
import http.server, json, os, socket, sys

told = dict(word.split("=", 1) for word in sys.argv[1:])
for path in (told["--config"], os.environ["TEMPLATE"], json.loads(told["--lora"])["sql"]):
    open(path).close()
for place in (os.environ["HF_HOME"], "/data/said", told["--log-dir"]):
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, "written"), "w") as file:
        file.write("x")
if os.path.exists(told["--uds"]):
    os.unlink(told["--uds"])
socket.socket(socket.AF_UNIX).bind(told["--uds"])
http.server.HTTPServer(("127.0.0.1", 8141), http.server.SimpleHTTPRequestHandler).serve_forever()
"""

PLAYBOOK = """\
- hosts: HOST
  files: {/srv/app.py: {source: app.py}}
  directories:
    /data/cache: {owner: provision}
    /home/ops/log: {owner: provision}
  services:
    box:
      kind: program
      command:
        - python3
        - /srv/app.py
        - --config=/home/ops/app.yml
        - '--lora={"sql": "/home/ops/lora"}'
        - --uds=/run/box/box.sock
        - --log-dir=/home/ops/log
      port: 8141
      env: {HF_HOME: /data/cache/hf, TEMPLATE: /home/ops/chat.jinja}
      writable: [/data/said]
      sandbox: {UMask: "0022", RestrictNamespaces: no}
"""


class Site:
    """A project and its host."""

    def __init__(self, folder: Path, lab: Lab, host: LabHost) -> None:
        self.host = host
        self.provision = Provision(
            ["-i", str(lab.inventory), "--limit", host.name], {"PYTHONPATH": str(REPOSITORY)}, folder
        )
        (folder / "app.py").write_text(APP)
        self.playbook = folder / "main.yml"
        self.playbook.write_text(PLAYBOOK.replace("HOST", host.name))

    def sh(self, script: str) -> str:
        return self.host.exec(["sh", "-c", script]).stdout.strip()


@pytest.fixture
def site(lab: Lab, tmp_path: Path) -> Iterator[Site]:
    host = lab.add("confined")[0]
    yield Site(tmp_path, lab, host)
    lab.remove("confined")


def test_what_it_is_told_it_can_reach_or_it_is_said_why_not(site: Site) -> None:
    site.sh("mkdir -p /home/ops && cd /home/ops && touch app.yml lora chat.jinja && chmod 700 /home/ops")
    planned = site.provision.run("plan", site.playbook).out
    assert "box writes to /data/said (writable), which is not there" in planned
    assert "its unit is opened by RestrictNamespaces=no, UMask=0022" in planned

    refused = site.provision.run("apply", site.playbook, "--yes")
    assert refused.code == 1
    assert "service box runs as provision, who cannot read /home/ops/chat.jinja" in refused.out
    planned = site.provision.run("plan", site.playbook).out
    assert "who cannot read /home/ops/lora" in planned

    site.sh("chmod 755 /home/ops")
    refused = site.provision.run("apply", site.playbook, "--yes")
    assert (refused.code, "declare it: `directories: {/data/said: " in refused.out) == (1, True)

    text = site.playbook.read_text()
    site.playbook.write_text(
        text.replace("  directories:\n", "  directories:\n    /data/said: {owner: provision}\n")
    )
    site.provision.apply(site.playbook)
    written = site.sh("stat -c '%U %a %n' /data/cache/hf/written /data/said/written /home/ops/log/written")
    assert written.splitlines() == [
        "provision 644 /data/cache/hf/written",
        "provision 644 /data/said/written",
        "provision 644 /home/ops/log/written",
    ]
    assert site.sh("stat -c %F /run/box/box.sock") == "socket"
    assert site.provision.apply(site.playbook).done(site.host.name)["counts"]["changed"] == 0


CELL = """\
import ctypes, http.server, json, os

libc = ctypes.CDLL(None, use_errno=True)


def refused(call, *values):
    return libc[call](*values) == -1 and ctypes.get_errno() == 1


os.chown(".", os.getuid(), os.getgid())
os.setuid(os.getuid())
found = {
    "ptrace": refused("ptrace", 0, 0, 0, 0),
    "unshare": refused("unshare", 0x10000000),
    "others": any(os.stat(f"/proc/{each}").st_uid == 0 for each in os.listdir("/proc") if each.isdigit()),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())


http.server.HTTPServer(("127.0.0.1", 8142), Handler).serve_forever()
"""

CELLS = """\
- hosts: HOST
  files: {/srv/cell.py: {source: cell.py}}
  services:
    cell:
      kind: program
      command: [python3, /srv/cell.py]
      port: 8142
      checks: [{http: /, expect: EXPECTED}]
"""

SCORE = 3.0
"""What `systemd-analyze security` may say at most; 10 is a service that nothing confines."""


def test_what_a_server_never_needs_is_refused_and_what_opens_it_opens_it(site: Site) -> None:
    (site.playbook.parent / "cell.py").write_text(CELL)
    text = CELLS.replace("HOST", site.host.name)
    closed = text.replace("EXPECTED", """'{"ptrace": true, "unshare": true, "others": false}'""")
    site.playbook.write_text(closed)
    site.provision.apply(site.playbook)
    told = site.sh("systemd-analyze security --no-pager provision-cell.service | tail -n 1")
    assert float(told.split(": ")[1].split()[0]) <= SCORE

    opened = text.replace("EXPECTED", """'{"ptrace": false, "unshare": true, "others": true}'""")
    site.playbook.write_text(opened + "      sandbox: {SystemCallFilter: no, ProtectProc: no}\n")
    site.provision.apply(site.playbook)
