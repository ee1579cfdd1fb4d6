"""Nothing secret leaves the request: a mark by every way in, and a look at everything that comes out."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import REPOSITORY, Provision

MARK = "Mk7q"
"""What every secret begins with."""

OPEN = "Op3n"
"""What is no secret begins with: the search has to find it wherever such things may come out."""

APPLIED = """\
- hosts: here
  vars: {token: Mk7q-variable, word: Op3n-variable}
  directories: {ROOT/etc: {}}
  files:
    ROOT/etc/env: {content: {env: SECRET_LINES}}
    ROOT/etc/file: {content: {file: secret-file}}
    ROOT/etc/command: {content: {command: [cat, secret-command]}}
    ROOT/etc/content: {content: "Mk7q-content\\n", secret: true, validate: [sh, ROOT/snap, "{path}"]}
    ROOT/etc/source: {source: secret-source, secret: true}
    ROOT/etc/template: {template: secret.j2, secret: true}
    ROOT/etc/open: {content: "Op3n-content {{ word }} {{ given | default('') }}\\n"}
  commands:
    look: {run: "sh ROOT/snap Op3n-argument"}
  services:
    worker:
      kind: program
      supervisor: script
      command: [sh, -c, "echo Op3n-log; exec sleep 1000000", SECOND]
      env: {ONE: {env: SECRET_ENV}, TWO: {file: secret-env}, THREE: {command: [cat, secret-env]}}
"""

LOOKED_AT = """\
- hosts: here
  environments: {e: {packages: ["vllm==0.33.0", "huggingface-hub"]}}
  files: {ROOT/open: {content: Op3n-content}}
  models: {m: {huggingface: owner/name, token: {env: SECRET_ENV}, endpoint: "http://127.0.0.1:9"}}
  services:
    s:
      kind: vllm
      environment: e
      model: m
      port: PORT
      supervisor: script
      api_key: {file: secret-env}
      env: {OTHER: {command: [cat, secret-env]}}
    c:
      kind: container
      image: "localhost/none:1"
      env: {ONE: {env: SECRET_ENV}}
"""

SNAP = """\
# The processes of this moment, with their arguments; "$1" is one of them.
for each in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < "$each"; echo; done >> ROOT/processes 2>/dev/null
true
"""

FILES = {
    "secret-file": "Mk7q-file\n  second line\n",
    "secret-command": "Mk7q-command\n\tsecond line",
    "secret-source": "Mk7q-source\n",
    "secret.j2": "{{ token }} Mk7q-template\n",
    "secret-env": "Mk7q-env-file\n",
}


class Site:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.project = root / "project"
        self.project.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        inventory = f"hosts: {{here: {{connection: local, prefix: {root}/prefix}}}}\n"
        for name, text in {
            **FILES,
            "hosts.yml": inventory,
            "applied.yml": APPLIED,
            "looked-at.yml": LOOKED_AT.replace("PORT", str(port)),
        }.items():
            (self.project / name).write_text(text.replace("ROOT", str(root)))
        (root / "snap").write_text(SNAP.replace("ROOT", str(root)))
        env = {
            "PYTHONPATH": str(REPOSITORY),
            "XDG_CACHE_HOME": str(root / "cache"),
            "SECRET_ENV": "Mk7q-env",
            "SECRET_LINES": "Mk7q-lines\nsecond line",
        }
        self.provision = Provision(["-i", "hosts.yml"], env, self.project)

    def edit(self, old: str, new: str) -> None:
        path = self.project / "applied.yml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def said(self) -> str:
        return "\n".join(self.provision.log)

    def holding(self, mark: str, *folders: str) -> set[str]:
        """Return the files below these folders that hold a mark."""
        found = set()
        for folder in folders:
            for path in (self.root / folder).rglob("*"):
                if path.is_file() and not path.is_symlink() and mark.encode() in path.read_bytes():
                    found.add(str(path.relative_to(self.root)))
        return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.provision.run("remove", "applied.yml", "--yes")


def test_no_secret_comes_out_anywhere(site: Site) -> None:
    run = site.provision.run
    for page in ("applied.yml", "looked-at.yml"):
        assert run("validate", page).code == 0
        run("plan", page, json=True)
        assert run("render", page).code == 0
    assert run("render", "applied.yml", "looked-at.yml", "--to", "rendered").code == 0
    assert run("plan", "applied.yml", "-e", "given=Op3n-given", "--out", "saved").code == 0
    saved = Provision([], site.provision.env, site.project, site.provision.log)
    applied = saved.run("apply", "saved", "--yes")
    assert applied.code == 0, applied
    assert run("apply", "applied.yml", "--yes", json=True).code == 0

    # They are where they belong, exactly as they were given.
    etc = site.root / "etc"
    assert {path.name: path.read_text() for path in etc.iterdir() if path.name != "open"} == {
        "env": "Mk7q-lines\nsecond line\n",
        "file": FILES["secret-file"],
        "command": FILES["secret-command"],
        "content": "Mk7q-content\n",
        "source": FILES["secret-source"],
        "template": "Mk7q-variable Mk7q-template\n",
    }

    # A change that fails: the former files are kept, and put back.
    site.edit("exec sleep 1000000", "exit 3")
    site.provision.env["SECRET_ENV"] = "Mk7q-another"
    assert run("apply", "applied.yml", "--yes").code == 1
    assert run("apply", "applied.yml", "--yes", "--no-rollback", json=True).code == 1
    for verb in ("verify", "status", "logs"):
        run(verb, "applied.yml", json=verb != "logs")
    # What is said where secrets cannot be had, or cannot be used.
    (site.project / "secret-env").write_text("Mk7q-two\nMk7q-lines\n")
    for verb in ("validate", "plan"):
        answer = run(verb, "applied.yml")
        assert (answer.code, "several lines" in answer.err) == (1, True)
    (site.project / "secret.j2").write_text("{{ {}[token] }} {{ token | int + 'x' }}")
    assert run("validate", "applied.yml").code == 1
    (site.project / "secret.j2").write_text(FILES["secret.j2"])
    (site.project / "secret-env").write_text(FILES["secret-env"])
    run("remove", "applied.yml", "--service", "worker", "--yes")

    assert MARK not in site.said()
    assert site.holding(MARK, "cache", "project/rendered", "processes") == set()
    assert MARK not in (site.project / "saved").read_text().replace("Mk7q-variable", "")
    assert MARK not in (site.root / "processes").read_text()
    kept = site.holding(MARK, "prefix", "etc")
    for path in kept:
        assert stat.S_IMODE((site.root / path).stat().st_mode) == 0o600, path
        folder = path.split("/")[:3]
        assert folder[0] == "etc" or folder[:2] == ["prefix", "services"] or "former" in folder, path

    # The search finds what may come out, in each of these places.
    assert "Op3n-content Op3n-variable" in site.said()
    assert "Op3n-log" in site.said()
    assert site.holding(OPEN, "cache")
    assert site.holding(OPEN, "project/rendered")
    assert "Op3n-given" in (site.project / "saved").read_text()
    assert "Op3n-argument" in (site.root / "processes").read_text()
