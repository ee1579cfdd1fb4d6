"""The fleet that is disturbed: two hosts with every type of resource, and a gateway in front of them."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.gateway.drained import UPSTREAM
from tests.host.wheels import wheel

FRONT, REPLICAS = "chaosfront", ("chaos1", "chaos2")

HOSTS = (FRONT, *REPLICAS)

ENV = {"ALICE": "sk-alice-1", "UP": "up-1"}

SERVICE = """\
    {name}:
      kind: program
      {more}
      command:
        - /bin/sh
        - -c
        - 'echo "$WORD" >>/srv/starts/{name}; exec /usr/bin/python3 /srv/upstream.py {port} "$HOST" {name}'
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

PLAYBOOK = f"""\
- hosts: [{", ".join(REPLICAS)}]
  rollout: {{canary: 1}}
  vars: {{word: w0, release: "1.0"}}
  packages: [python3-venv]
  groups: {{serving: {{}}}}
  users: {{runner: {{groups: [serving]}}}}
  sysctls: {{net.core.somaxconn: "{{{{ 4000 + release | float | int }}}}"}}
  directories: {{/etc/site: {{mode: "0750"}}, /srv/starts: {{owner: provision}}}}
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
{SERVICE.format(name="chat", port=8101, more="environment: app")}
{SERVICE.format(name="other", port=8102, more="supervisor: script")}
- hosts: {FRONT}
  services:
    gateway:
      kind: gateway
      upstreams: [chat, other]
      keys: {{alice: {{env: ALICE}}}}
"""

FIRST = ["-e", "word=w0", "-e", "release=1.0"]

CHANGE = ["-e", "word=w1", "-e", "release=2.0"]
"""Changes files, commands, a kernel parameter and the environment; restarts all but the gateway."""

SERVICES = {"chat": 8101, "other": 8102}


def equip(root: Path) -> None:
    """Put on a host what the playbook finds there."""
    wheels = root / "srv/wheels"
    wheels.mkdir(parents=True)
    for version in ("1.0", "2.0"):
        wheel(wheels, "demo-serve", version, files=50)
