"""What Ansible's keys are called here, or that there is none: for errors about unknown keys."""

from __future__ import annotations

import re
from collections.abc import Sequence

from provision.config.documents import Part

_CONDITION = "there are no conditions: put the hosts into a group, and the play on that group"
_LOOP = "there are no loops: write each item, or make the text with Jinja2"
_FOLLOW = "a command follows changes: commands: {NAME: {run: …, when_changed: [PATH]}}"
_ORDER = "there are no tasks: say what a host shall have in `packages`, `files`, `commands`, `services`, …"
_BECOME = "set `become` on the host or its group in the inventory"
_USER = "a command, a service and a file's owner have a `user` or `owner` of their own"

KEYS = {
    "notify": _FOLLOW,
    "handlers": _FOLLOW,
    "listen": _FOLLOW,
    "on_change": "write `when_changed`",
    "state": "what is declared is there; for a file that must not be, write {absent: true}",
    "ensure": "what is declared is there; for a file that must not be, write {absent: true}",
    "when": _CONDITION,
    "only_if": _CONDITION,
    "register": "there are no results to use: a later command can look for itself",
    "loop": _LOOP,
    "with_items": _LOOP,
    "with_fileglob": _LOOP,
    "with_dict": _LOOP,
    "become": _BECOME,
    "become_method": _BECOME,
    "become_user": _USER,
    "remote_user": "set `user` on the host or its group in the inventory",
    "connection": "set `connection` on the host or its group in the inventory",
    "gather_facts": "leave it out: nothing is gathered",
    "tasks": _ORDER,
    "pre_tasks": _ORDER,
    "post_tasks": _ORDER,
    "block": _ORDER,
    "rescue": "a service that fails gets its former files back; other failures end what needs them",
    "always": _ORDER,
    "roles": "there are no roles: a play can be in a file of its own, and several are given at once",
    "include_tasks": "there are no includes: several playbooks are given at once",
    "import_playbook": "there are no includes: several playbooks are given at once",
    "delegate_to": "a play is for the hosts that it names: write a play for that host",
    "run_once": "a play is for all of its hosts: name one of them in a play of its own",
    "local_action": "a play is for the hosts that it names: write a play for localhost",
    "serial": "hosts are worked on side by side; apply to some at a time with --limit",
    "strategy": "hosts are worked on side by side, each by itself",
    "max_fail_percentage": "each host is by itself: a failure on one ends no other",
    "any_errors_fatal": "each host is by itself: a failure on one ends no other",
    "ignore_errors": "a failure is never passed over: write `|| true` into the command if it may fail",
    "failed_when": "the exit code decides: write the test into the command",
    "changed_when": "`creates`, `unless` or `when_changed` say when a command has to run",
    "check_mode": "`plan` shows what would change",
    "no_log": "a file with secrets has `secret: true`; a secret in `env` is a reference",
    "args": "write `creates` and `directory` beside `run`",
    "removes": "write `unless: [test, '!', -e, PATH]`",
    "chdir": "write `directory`",
    "cmd": "write `run`",
    "shell": "write `run`",
    "command": "write `run`",
    "retries": "write the repetition into the command",
    "until": "write the repetition into the command",
    "async": "a command ends before what follows; what keeps running is a service",
    "poll": "a command ends before what follows; what keeps running is a service",
    "environment": "write `env`",
    "vars_files": "write `vars`, or variables of hosts and groups in the inventory",
    "vars_prompt": "give it as -e NAME=VALUE, or as a reference to a secret",
    "dest": "the path is the key: files: {/etc/x.conf: {…}}",
    "path": "the path is the key",
    "src": "write `source` or `template`",
    "backup": "no copy is kept; what a service last answered with is, until it answers again",
    "recurse": "each directory is declared by itself",
    "force": "the content is always what is declared",
    "enabled": "a service of this playbook starts at boot",
    "daemon_reload": "systemd is reloaded by itself after a declared unit file has changed",
    "reboot": "there is no reboot: do it by hand between two applies",
    "absent": "only files can be declared absent",
}
"""Key of Ansible's -> what to write, in one sentence."""


def hint(key: Part, known: Sequence[str]) -> str | None:
    """Return what to write instead of a key of Ansible's; None when it is none, or when it is had here."""
    found = KEYS.get(str(key))
    if found is None or key in known:
        return None
    # The advice must fit the place: `cmd` of a service is not `run`, and only paths are keys.
    advised = re.findall(r"write `([a-z_]+)`", found)
    if key in ("dest", "path"):
        advised = ["owner"]
    return found if not advised or any(name in known for name in advised) else None
