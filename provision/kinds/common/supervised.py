"""What every supervised service is made of: directory, script, env file, unit or process, and its proof."""

from __future__ import annotations

import shlex
from posixpath import dirname
from typing import Any

from provision.catalog.layout import HOME, USER, unit_name, unit_path
from provision.catalog.text import SecretText
from provision.config.hosts import PREFIX
from provision.kinds.common import turn
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.generated import env_content, unit_content
from provision.kinds.common.program import Program
from provision.kinds.common.reach import reach
from provision.wire.cases import Cases
from provision.wire.requests import Service
from provision.wire.server import Server
from provision.wire.specs.file import FileSpec
from provision.wire.specs.probe import ProbeSpec
from provision.wire.specs.process import ProcessSpec
from provision.wire.specs.unit import UnitSpec
from provision.wire.specs.user import UserSpec

GRACE = 15.0
"""Seconds that a stop is given beyond the draining of requests."""


def add(context: ServiceContext[Any], program: Program) -> None:
    """Add a service's resources, and what there is to say of it."""
    builder, play, layout = context.builder, context.play, context.layout
    name, service = context.name, context.service
    _check_readable(context, program)
    reached = reach(context, program)
    _own_user(context)
    builder.imply_tree(play, context.where, layout.prefix, layout.service(name))
    stop_timeout = max(service.stop_timeout, program.drain + GRACE if program.drain else 0)
    # systemd reads them all as root, and what starts a service must not be its own to change.
    root = "root" if context.systemd else None
    env = env_content(context, program.env)
    files = [
        _file(context, context.script, program.script, "0755", program, owner=root, cases=program.cases),
        _file(context, context.env_file, env, "0600", program, owner=root or context.user),
    ]
    if context.systemd:
        content = unit_content(context, program, reached, stop_timeout)
        unit = _file(context, unit_path(name), content, "0644", program, owner=root, validate="systemd")
        files.append(unit)
    for id in program.needs:
        if id in builder.resources and name not in builder.resources[id].triggers:
            builder.resources[id].triggers.append(name)
    needs = [*context.after, *program.needs, *files]
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
    }
    spec: Server
    if context.systemd:
        runner = f"unit:{name}"
        spec = UnitSpec(unit=unit_name(name), **common)
    else:
        runner = f"process:{name}"
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
    context.add(runner, spec, f"service {name}", needs=needs)
    proof = context.add(f"probe:{name}", _probe(context, program, spec), f"answer of {name}", needs=[runner])
    stop = f"provision remove {shlex.quote(str(play.raw.playbook.path))} --service {name}"
    context.describe(_facts(context, program, spec), stop, [*files, runner, proof])


def _check_readable(context: ServiceContext[Any], program: Program) -> None:
    """Note a path in root's home, which no other user gets into, before anything long is downloaded."""
    if context.user in (None, "root"):
        return
    for path in [context.script, *program.paths]:
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


def _file(
    context: ServiceContext[Any],
    path: str,
    content: str,
    mode: str,
    program: Program,
    *,
    cases: Cases | None = None,
    owner: str | None = None,
    validate: str | None = None,
) -> str:
    spec = FileSpec(
        path=path,
        content=content,
        owner=owner,
        mode=mode,
        secret=isinstance(content, SecretText),
        validate=validate,
        cases=cases,
        quiet=turn.QUIET if program.turn else None,
    )
    # After what it is about: a script for another vLLM must not lie there while that cannot be installed, and
    # what is tried out before the change is the program as it will be.
    return context.add(f"file:{path}", spec, path, needs=program.needs, triggers=[context.name])


def _probe(context: ServiceContext[Any], program: Program, runner: Server) -> ProbeSpec:
    return ProbeSpec(
        service=context.name,
        unit=runner.unit,
        log=runner.log,
        pid_file=runner.pid_file,
        health=program.health,
        url=_url(program, "127.0.0.1") or "",
        ca=program.ca,
        model=program.model,
        key_file=context.env_file if program.key_name else None,
        key_name=program.key_name,
        key_field=program.key_field,
        checks=program.checks,
        timeout=context.service.start_timeout,
        cards=runner.cards,
    )


def _url(program: Program, everywhere: str) -> str | None:
    """Return where a program answers, None without a port or a socket.

    Args:
        program: with the address it is bound to.
        everywhere: the address to name when it is bound to every one.
    """
    if program.socket is not None:
        return f"unix:{program.socket}"
    if program.port is None:
        return None
    address = everywhere if program.bind in (None, "", "0.0.0.0", "::", "*") else str(program.bind)
    return address_url(address, program.port, program.tls)


def address_url(address: str, port: int, tls: bool) -> str:
    """Return the URL of what listens on a port of an address."""
    scheme = "https" if tls else "http"
    return f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"


def _facts(context: ServiceContext[Any], program: Program, runner: Server) -> Service:
    return Service(
        service=context.name,
        unit=runner.unit,
        log=runner.log,
        pid_file=runner.pid_file,
        kind=context.service.kind,
        supervisor="systemd" if runner.unit else "script",
        port=program.port,
        url=_url(program, context.outside),
        model=program.model,
    )
