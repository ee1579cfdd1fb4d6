"""From a service of kind `program` to its resources."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import join
from typing import TYPE_CHECKING

from provision.catalog import text
from provision.kinds.common import certificates, checks, files, modelpaths, spoken, supervised, turn
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.generated import MODPROBE, start_script
from provision.kinds.common.program import Program

if TYPE_CHECKING:
    from provision.kinds.program.fields import ProgramService


def lower(context: ServiceContext[ProgramService]) -> None:
    """Add the resources of a program."""
    builder = context.builder
    service = context.service
    problems = len(builder.problems)
    environment = context.environment() if service.environment is not None else None
    models = [context.model_at(where, name) for where, name in _models(service)]
    command = _command(context)
    if len(builder.problems) > problems:
        return
    given = [*command, *(value for value in service.env.values() if isinstance(value, str))]
    directories = [service.working_directory] if service.working_directory is not None else []
    needs = [model.id for model in models if model is not None]
    certificate = certificates.paths(service.tls)
    needs += certificates.needed(context, certificate)
    needs += modelpaths.named(builder, given)
    needs += [*files.named(builder, given), *files.below(builder, directories)]
    paths = [*directories, *certificate, *(word for word in command if word.startswith("/"))]
    defaults = {"PYTHONUNBUFFERED": "1"}
    if environment is not None:
        needs.append(environment.id)
        paths += [environment.path, environment.python or ""]
    if service.gpus is not None:
        defaults["CUDA_VISIBLE_DEVICES"] = ",".join(str(gpu) for gpu in service.gpus)
    taken = turn.of(service.gpus, service.env, turn.STILL if service.port is None else turn.SETTLED)
    script = start_script(
        context,
        environment,
        defaults,
        taken.command(context, service.port, service.host) if taken else None,
        directory=None if service.working_directory is None else text.sh(service.working_directory),
        command=[text.sh_words(line) for line in _lines(command)],
    )
    supervised.add(
        context,
        Program(
            script=script,
            port=service.port,
            bind=service.host,
            model=spoken.model(service, command),
            needs=needs,
            paths=paths,
            env=dict(service.env),
            key_name=spoken.key(service),
            key_field=spoken.KEY_FIELD,
            checks=checks.specs(context)
            or [checks.undeclared(service.port is not None or service.socket is not None)],
            before=[] if service.gpus == [] else [MODPROBE],
            writable=directories,
            tls=spoken.tls(service, command),
            ca=spoken.ca(service),
            socket=service.socket,
            turn=taken,
        ),
    )


def required(service: ProgramService) -> dict[str, list[str]]:
    """Return the files of its models that its command names."""
    found: dict[str, list[str]] = {name: [] for _, name in _models(service)}
    for word in service.command:
        if not isinstance(word, str) and word.file is not None:
            found[word.model].append(word.file)
    return found


def _models(service: ProgramService) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Give each place where a model is named, and its name."""
    yield from ((("models", index), name) for index, name in enumerate(service.models))
    for index, word in enumerate(service.command):
        if not isinstance(word, str):
            yield ("command", index, "model"), word.model


def _command(context: ServiceContext[ProgramService]) -> list[str]:
    """Return the arguments, models replaced by their paths."""
    found = []
    for index, word in enumerate(context.service.command):
        if not isinstance(word, str):
            model = context.models.get(word.model)
            word = join(model.path if model else "", word.file or "").rstrip("/")
        with context.blame("command", index):
            found.append(text.check(word))
    return found


def _lines(command: list[str]) -> list[list[str]]:
    """Return one line for each option, its values beside it."""
    lines = [command[:1]]
    for word in command[1:]:
        if word.startswith("-"):
            lines.append([word])
        else:
            lines[-1].append(word)
    return lines
