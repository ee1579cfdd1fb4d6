"""What every supervised service consists of: directory, script, env file, unit or process, and its proof."""

from __future__ import annotations

import shlex
from dataclasses import replace
from posixpath import dirname
from typing import TYPE_CHECKING, Any

from provision.catalog.layout import HOME, USER, unit_name, unit_path
from provision.catalog.text import SecretText
from provision.config.hosts import PREFIX
from provision.config.references import each_key
from provision.kinds.common import certificates, endpoint, firewall, turn
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.generated import env_content, unit_content
from provision.kinds.common.program import Program
from provision.kinds.common.reach import reach
from provision.wire.server import Server
from provision.wire.specs.file import FileSpec
from provision.wire.specs.process import ProcessSpec
from provision.wire.specs.unit import Place, UnitSpec
from provision.wire.specs.user import UserSpec

if TYPE_CHECKING:
    from provision.config.secrets import Secret

GRACE = 15.0
"""Seconds that a stop is given beyond the draining of requests."""


def add(context: ServiceContext[Any], program: Program) -> None:
    """Add a service's resources, and describe the service."""
    builder, play, layout = context.builder, context.play, context.layout
    name, service = context.name, context.service
    _check_readable(context, program)
    reached = reach(context, program)
    _own_user(context)
    builder.imply_tree(play, context.where, layout.prefix, layout.service(name))
    stop_timeout = max(service.stop_timeout, program.drain + GRACE if program.drain else 0)
    uses = [*program.uses(), *certificates.needed(context, program.certificate)]
    for id in uses:
        if id in builder.resources and name not in builder.resources[id].triggers:
            builder.resources[id].triggers.append(name)

    def file(path: str, content: str, mode: str, owner: str | None, **more: Any) -> str:
        secret, quiet = isinstance(content, SecretText), turn.QUIET if program.turn else None
        spec = FileSpec(
            path=path, content=content, owner=owner, mode=mode, secret=secret, quiet=quiet, **more
        )
        # After what it runs: there must be no script for another vLLM while that cannot be installed, and
        # what is tried before the change is the program as it will be.
        return context.add(f"file:{path}", spec, path, needs=uses, triggers=[name])

    # systemd reads all of them as root, and a service must not be able to change what starts it.
    root = "root" if context.systemd else None
    env = _env(context, program)
    files = [
        file(
            context.script,
            program.script,
            "0755",
            root,
            options=list(map(list, program.options)),
            cases=program.cases,
        ),
        file(context.env_file, env_content(context, env), "0600", root or context.user),
    ]
    if context.systemd:
        unit = unit_content(context, program, reached, stop_timeout)
        if program.firewall is not None:
            closing = program.firewall
            files.append(file(closing.path, closing.content, "0644", root, validate=firewall.CHECK))
            if closing.path not in unit:
                message = (
                    f"its own template of {program.unit[0]} leaves out `before`, which closes the firewall"
                )
                where = ("nodes", "firewall") if hasattr(service, "nodes") else ("firewall",)
                context.problem("firewall-left-out", where, message, "add `before` and `after`")
        # The shipped unit is known to be right; asking systemd takes longer than writing all files.
        written = service.sandbox or context.templates.own(program.unit[0])
        files.append(file(unit_path(name), unit, "0644", root, validate="systemd" if written else None))
    needs = [*context.after, *uses, *program.launchers, *files, *_led(context, program)]
    if program.turn:
        needs.append(turn.add(context))
        if turn.FILE not in program.script:
            context.note(
                "turn-left-out",
                "its own template of the start script leaves out `turn`, so it does not "
                "wait for others that start on its GPUs",
            )
    if context.user is not None and f"user:{context.user}" in builder.resources:
        needs.append(f"user:{context.user}")
    common: dict[str, Any] = {
        "service": name,
        "port": program.port,
        "bind": program.bind,
        "stop_timeout": stop_timeout,
        "cards": list(program.turn.cards) if program.turn else None,
        "access": reached.access,
        "preflight": program.preflight,
        "demands": program.demands,
        "meeting": program.meeting,
    }
    spec: Server
    if context.systemd:
        spec = UnitSpec(
            unit=unit_name(name),
            reloads=list(program.reloads),
            beside=_beside(context, program),
            follows=[unit_name(each) for each in program.follows],
            **common,
        )
    else:
        log, pid_file = layout.log(name), layout.pid_file(name)
        for path in (log, pid_file):
            needs.append(builder.imply_tree(play, context.where, layout.prefix, dirname(path)))
        spec = ProcessSpec(
            script=context.script,
            directory=layout.service(name),
            log=log,
            pid_file=pid_file,
            user=context.user,
            **common,
        )
    known = program.key_name in env or program.key_file is not None
    reached_at = replace(program, key_name=program.key_name if known else None)
    stop = f"provision remove {shlex.quote(str(play.raw.playbook.path))} --service {name}"
    stake = program.stake(name)
    drain = program.drain
    endpoint.add(context, spec, reached_at, needs=needs, made=files, stop=stop, stake=stake, drain=drain)


def _led(context: ServiceContext[Any], program: Program) -> list[str]:
    """Return the ids of what runs and proves the services that it follows; they restart it."""
    resources = context.builder.resources
    found = [id for each in program.follows for id in (f"unit:{each}", f"probe:{each}") if id in resources]
    for each in program.follows:
        runner = resources.get(f"unit:{each}")
        if runner is not None and context.name not in runner.triggers:
            runner.triggers.append(context.name)
    return found


def _beside(context: ServiceContext[Any], program: Program) -> list[Place]:
    """Return where a service listens besides the port of its program."""
    further = program.node is not None and program.node.rank > 0
    return [
        Place(port=each.port, bind=each.address)
        for each in context.service.listeners()
        if each.protocol == "tcp" and each.port != program.port and not (further and each.head)
    ]


def _check_readable(context: ServiceContext[Any], program: Program) -> None:
    """Note a path in root's home, which no other user can enter, before a long download begins."""
    if context.user in (None, "root"):
        return
    for path in [context.script, *program.reads()]:
        if path.startswith("/root/"):
            context.problem(
                "unreadable-by-service",
                (),
                f"service {context.name} runs as {context.user}, who cannot read {path}",
                f"set prefix: {PREFIX} on the host, or supervisor: script on the service"
                if context.layout.ours(path)
                else f"put it where {context.user} can read it, or set user: root on the service",
            )
            return


def _own_user(context: ServiceContext[Any]) -> None:
    """Add the system user that services run as, unless a play declares it."""
    if context.user != USER:
        return
    spec = UserSpec(name=USER, home=HOME, system=True)
    declared = context.builder.resources.get(f"user:{USER}")
    if declared is None or declared.spec == spec:
        context.builder.add(context.play, context.where, f"user:{USER}", spec, f"user {USER}")


def _env(context: ServiceContext[Any], program: Program) -> dict[str, str | Secret]:
    """Return the variables of the env file: the user's, and one for each API key."""
    keys = each_key(program.api_key)
    more = [f"{program.more_keys}{number}" for number in range(2, len(keys) + 1)]
    return {**context.service.env, **dict(zip([program.key_name or "", *more], keys, strict=False))}
