"""From a service of kind `program` to its resources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from provision.catalog import text
from provision.config.services.arguments import named_models
from provision.kinds.common import certificates, checks, files, modelpaths, spoken, supervised, trust, turn
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.generated import by_option, start_script
from provision.kinds.common.offer import Offer, of_spoken
from provision.kinds.common.program import Program

if TYPE_CHECKING:
    from provision.kinds.program.fields import ProgramService


def lower(context: ServiceContext[ProgramService]) -> None:
    """Add the resources of a program."""
    builder, service = context.builder, context.service
    problems = len(builder.problems)
    environment = context.environment(service.environment) if service.environment is not None else None
    models = context.models_at(_models(service))
    if models is None:
        return
    command: list[str] = modelpaths.resolved(service.command, context.models)
    for index, word in enumerate(command):
        with context.blame("command", index):
            text.check(word)
    if len(builder.problems) > problems:
        return
    trust.own_code(context, command)
    options = by_option(command, lambda word: word.startswith("-"))
    given = [*command, *(value for value in service.env.values() if isinstance(value, str))]
    directories = [service.working_directory] if service.working_directory is not None else []
    still = turn.STILL if service.port is None else turn.SETTLED
    taken = turn.of(service.gpus, service.env, service.port, service.host, still)
    listens = service.port is not None or service.socket is not None
    supervised.add(
        context,
        Program(
            script=start_script(
                context,
                environment,
                {"PYTHONUNBUFFERED": "1", **turn.shown(service.gpus)},
                taken,
                directory=None if service.working_directory is None else text.sh(service.working_directory),
                command=list(map(text.sh_words, options)),
            ),
            options=options,
            port=service.port,
            bind=service.host,
            socket=service.socket,
            model=spoken.model(service, command),
            environment=environment,
            models=models,
            certificate=certificates.paths(service.tls),
            needs=[
                *modelpaths.named(builder, given),
                *files.named(builder, given),
                *files.below(builder, directories),
            ],
            paths=[*directories, *(word for word in command if word.startswith("/"))],
            key_name=spoken.key(service),
            key_field=spoken.KEY_FIELD,
            checks=checks.specs(context) or [checks.undeclared(listens)],
            nvidia=service.gpus != [],
            writable=directories,
            tls=spoken.tls(service, command),
            ca=certificates.ca(service.tls),
            turn=taken,
        ),
    )


def required(service: ProgramService) -> dict[str, list[str]]:
    """Return the files of its models that its command names."""
    return modelpaths.required(service.command, _models(service))


def offers(service: ProgramService, name: str) -> Offer:
    """Return what a program offers to a gateway."""
    return of_spoken(service, service.command, service.port, service.host)


def _models(service: ProgramService) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Give each place where a model is named, and its name."""
    yield from ((("models", index), name) for index, name in enumerate(service.models))
    yield from ((where, named.model) for where, named in named_models(service.command, ("command",)))
