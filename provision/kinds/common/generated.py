"""The env file and the unit of a service, and the variables of its script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from provision.catalog import text
from provision.catalog.layout import USER, unit_name
from provision.catalog.text import SecretPart, SecretText
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.program import Program
from provision.kinds.common.reach import Reach, hardening

if TYPE_CHECKING:
    from provision.catalog.environments import Environment
    from provision.config.secrets import Secret
    from provision.kinds.common.turn import Turn

MODPROBE = "-+/usr/bin/nvidia-modprobe -c 0 -u"
"""For `ExecStartPre=`: after a reboot a setuid helper has to create /dev/nvidia-uvm, and a hardened service
may not start it. A host without the helper continues."""


def start_script(
    context: ServiceContext[Any],
    environment: Environment | None,
    variables: Mapping[str, str],
    turn: Turn | None,
    **values: object,
) -> str:
    """Return the start script, by the template of the service's kind.

    Args:
        context: the service.
        environment: its programs come first on PATH; None for none.
        variables: those that the user's `env` does not set.
        turn: its turn on a GPU, for which it waits; None for a service that takes none.
        values: what only the template of this kind needs, quoted for a shell.
    """
    own = context.service.env
    return context.templates.render(
        f"{context.service.kind}/start.sh.j2",
        {
            "managed": context.managed,
            "service": context.name,
            "env_file": None if context.systemd else text.sh(context.env_file),
            "exports": [f"{name}={text.sh(value)}" for name, value in variables.items() if name not in own],
            "bin": None if environment is None else text.sh(f"{environment.path}/bin"),
            "python": None if environment is None else text.sh(environment.program("python")),
            "turn": text.sh_words(turn.words(context)) if turn else None,
            **values,
        },
    )


def by_option(words: Iterable[str], begins: Callable[[str], bool]) -> list[tuple[str, ...]]:
    """Return words in groups: each that begins an option, with its values."""
    groups: list[tuple[str, ...]] = []
    for word in words:
        if begins(word) or not groups:
            groups.append(())
        groups[-1] += (word,)
    return groups


def env_content(context: ServiceContext[Any], env: Mapping[str, str | Secret]) -> str:
    """Return the env file; until it is rendered, the place of a secret is marked by characters that no value
    may hold.
    """
    lines = []
    hidden: list[SecretPart] = []
    for name, value in env.items():
        if isinstance(value, str):
            lines.append(text.env_line(name, value))
        else:
            lines.append(text.env_line(name, "").replace('""', f'"\0{len(hidden)}\0"'))
            hidden.append(SecretPart(value, "envfile"))
    values = {"managed": context.managed, "lines": lines, "service": context.name}
    rendered = context.templates.render("service.env.j2", values)
    if not hidden:
        return rendered
    pieces = rendered.split("\0")
    return SecretText(tuple(hidden[int(piece)] if odd % 2 else piece for odd, piece in enumerate(pieces)))


def unit_content(context: ServiceContext[Any], program: Program, reach: Reach, stop_timeout: float) -> str:
    """Return the unit: hardened, except for what the service reads, writes and lifts."""
    low_port = program.port is not None and program.port < 1024
    values = hardening(context, reach, low_port)
    template, more = program.unit
    rule = program.firewall
    return context.templates.render(
        template,
        {
            "managed": context.managed,
            "description": text.unit(f"{context.service.kind} service {context.name} (provision)"),
            "service": text.unit(context.name),
            "unit_name": text.unit(unit_name(context.name).removesuffix(".service")),
            "user": text.unit(context.user or "root"),
            "env_file": text.unit(context.env_file),
            "follows": [text.unit(unit_name(each)) for each in program.follows],
            "before": [*([MODPROBE] if program.nvidia else []), *([rule.before] if rule else [])],
            "after": [rule.after] if rule else [],
            "reload": [rule.before] if rule and program.reloads else [],
            "script": text.unit_word(context.script, command=True),
            # Workers of nodes are often killed, and leave what they share. The user is nobody's but ours.
            "remove_ipc": program.node is not None and context.user == USER,
            "stop_timeout": f"{stop_timeout:.0f}",
            "protect_home": values["ProtectHome"],
            "writable": [text.unit_word(path) for path in reach.writable],
            "runtime": [text.unit_word(path) for path in reach.runtime],
            "low_port": low_port,
            "sandbox": values,
            **more,
        },
    )
