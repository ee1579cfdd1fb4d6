"""The fleet that is disturbed: three hosts with most types of resource, two waves, a gateway and a pair."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

from tests.e2e import standin
from tests.e2e.gateway.drained import UPSTREAM
from tests.host.apt_source import package, publish
from tests.host.wheels import wheel
from tests.lab import Lab

FRONT, REPLICAS = "chaosfront", ("chaos1", "chaos2")

HOSTS = (FRONT, *REPLICAS)

PAIR = (FRONT, "chaos2")
"""The hosts of one service that runs over both."""

ENV = {"ALICE": "sk-alice-1", "UP": "up-1"}

SERVICE = """\
    {name}:
      kind: program
      {more}
      command:
        - /bin/sh
        - -c
        - 'echo "$WORD" >>/srv/starts/{name}; exec /usr/bin/python3 /srv/upstream.py {port} "$HOST" {name}'
{arguments}
      port: {port}
      served_model_name: {name}
      start_timeout: 20s
      writable: [/srv/starts]
      env:
        VLLM_API_KEY: {{env: UP}}
        WORD: "{{{{ word }}}}"
        HOST: "{{{{ host.name }}}}"
        START_SECONDS: "0.3"
      checks: [{{completion: ping}}]
"""

BOX = """\
import os, http.server as h
open("/srv/starts/box", "a").write(os.environ["WORD"] + "\\n")
h.ThreadingHTTPServer(("", 8120), h.SimpleHTTPRequestHandler).serve_forever()
"""

PLAYBOOK = f"""\
- hosts: [{", ".join(REPLICAS)}]
  rollout: {{canary: 1}}
  vars: {{word: w0, release: "1.0", mode: "0750", shell: /bin/sh}}
  packages: [python3-venv, "chaos-{{{{ word }}}}"]
  groups: {{serving: {{}}}}
  users: {{runner: {{groups: [serving], shell: "{{{{ shell }}}}"}}}}
  sysctls: {{net.core.somaxconn: "{{{{ 4000 + release | float | int }}}}"}}
  directories: {{/etc/site: {{mode: "{{{{ mode }}}}"}}, /srv/starts: {{owner: provision}}}}
  files:
    /srv/upstream.py: {{source: {UPSTREAM}}}
    /etc/site/main.conf: {{content: "word = {{{{ word }}}}\\n"}}
    /etc/site/key: {{content: {{env: UP}}}}
  commands:
    once: {{run: "echo {{{{ word }}}} >/srv/once-{{{{ word }}}}", creates: "/srv/once-{{{{ word }}}}"}}
    follows: {{run: "cp /etc/site/main.conf /srv/followed", when_changed: [/etc/site/main.conf]}}
  environments:
    app:
      packages: ["demo-serve=={{{{ release }}}}"]
      find_links: [/srv/wheels]
      index_url: "file:///nowhere"
      installer: pip
  services:
{SERVICE.format(name="chat", port=8101, more="environment: app", arguments="")}
{SERVICE.format(name="other", port=8102, more="supervisor: script", arguments="")}
- hosts: [{", ".join(PAIR)}]
  vars: {{word: w0}}
  directories: {{/srv/pair: {{owner: provision}}}}
  environments:
    fast: {{packages: ["vllm==0.33.0"], path: /srv/env}}
  models: {{tiny: {{path: /srv/model}}}}
  services:
    pair:
      kind: vllm
      environment: fast
      model: tiny
      nodes: {{hosts: [{", ".join(PAIR)}]}}
      tensor_parallel_size: 2
      port: 8106
      writable: [/srv/pair]
      env: {{WORD: "{{{{ word }}}}", STANDIN_STARTS: /srv/pair/pair}}
      start_timeout: 60s
      checks: [{{chat: hello, timeout: 20s}}]
- hosts: {FRONT}
  vars: {{word: w0, queue: 30s}}
  services:
    gateway:
      kind: gateway
      upstreams: [chat, other]
      keys: {{alice: {{env: ALICE}}}}
      queue: "{{{{ queue }}}}"
"""

CONTAINER = f"""\
- hosts: {FRONT}
  vars: {{word: w0}}
  packages: [podman, crun]
  directories: {{/srv/starts: null}}
  services:
    box:
      kind: container
      image: localhost/empty:1
      archive: /srv/image.tar
      command: [python3, -c, {json.dumps(BOX)}]
      network: host
      ports: ["8120:8120"]
      volumes: ["/usr:/usr:ro", "/etc:/etc:ro", "/srv/starts:/srv/starts"]
      env: {{WORD: "{{{{ word }}}}", KEY: {{env: UP}}}}
      stop_timeout: 1s
      checks: [{{http: /srv/}}]
"""

FIRST = ["-e", "word=w0"]

CHANGED = {"word": "w1", "release": "2.0", "mode": "0755", "shell": "/bin/bash", "queue": "40s"}

CHANGE = [part for name, value in CHANGED.items() for part in ("-e", f"{name}={value}")]
"""Changes something of each resource; restarts all services but the gateway, which reloads."""

STARTS = {
    FRONT: {"pair": "srv/pair/pair", "box": "srv/starts/box"},
    "chaos1": {"chat": "srv/starts/chat", "other": "srv/starts/other"},
    "chaos2": {"chat": "srv/starts/chat", "other": "srv/starts/other", "pair": "srv/pair/pair"},
}
"""By host, the services that write down with what they were started, and where."""

MADE = f"""
python3 -m venv --without-pip /srv/env
python3 -m zipfile -e {standin.INDEX}/vllm/*.whl /srv/env/lib/python3.11/site-packages
"""
"""Makes the environment of the pair, for which the hosts lack pip."""


def boot(lab: Lab) -> None:
    """Boot the hosts, with all on them that the playbook finds there."""
    lab.add(FRONT, nested=True)
    lab.add(*REPLICAS)
    for name in REPLICAS:
        _equip(lab, name)
    for name in PAIR:
        standin.install(lab[name].root)
        lab[name].exec(["sh", "-ec", MADE])
    (lab[FRONT].root / "srv/image.tar").write_bytes(_image())


def _equip(lab: Lab, name: str) -> None:
    root = lab[name].root
    wheels = root / "srv/wheels"
    wheels.mkdir(parents=True)
    for version in ("1.0", "2.0"):
        wheel(wheels, "demo-serve", version, files=50)
    packages = root / "srv/apt"
    packages.mkdir()
    for word in ("w0", "w1"):
        package(packages, f"chaos-{word}")
    publish(packages)
    source = root / "etc/apt/sources.list.d/chaos.list"
    source.write_text("deb [trusted=yes] file:/srv/apt ./\n", encoding="ascii")
    lab[name].exec(["apt-get", "update", "-qq"])


def _image() -> bytes:
    """Return the archive of an image that holds links only; the programs are those of the host."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for link in ("bin", "lib", "lib64", "sbin"):
            made = tarfile.TarInfo(link)
            made.type, made.linkname = tarfile.SYMTYPE, f"usr/{link}"
            tar.addfile(made)
        for folder in ("usr", "etc", "srv", "srv/starts", "tmp", "proc", "sys", "dev", "run"):
            made = tarfile.TarInfo(folder)
            made.type, made.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(made)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": ["localhost/empty:1"], "Layers": ["layer.tar"]}]
    parts = {
        "config.json": json.dumps(config).encode(),
        "layer.tar": layer.getvalue(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    image = io.BytesIO()
    with tarfile.open(fileobj=image, mode="w") as tar:
        for name, data in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return image.getvalue()
