"""From a service of kind `asr` to its resources: the speech app of this package goes along as files."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from posixpath import dirname, join
from typing import TYPE_CHECKING

from provision.asr.classes import CLASSES, COMMON, ROLES, WEIGHTS, fitting, misfit
from provision.asr.declared import OPTIONS
from provision.catalog import text
from provision.config.services.gpus import is_uuid
from provision.kinds.common import certificates, checks, more_keys, supervised, turn
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.generated import MODPROBE, start_script
from provision.kinds.common.program import Program
from provision.wire.checks import Http
from provision.wire.specs.model import Expectation
from provision.wire.specs.tree import TreeSpec

if TYPE_CHECKING:
    from provision.kinds.asr.fields import AsrService

NEEDED = ("funasr", "fastapi", "uvicorn", "python-multipart")
"""What the app imports beside what these bring."""

KEY = "ASR_API_KEY"
"""The variable from which the app takes its API key."""

UNKNOWN = "{class}"
"""What stands for the class in a sentence about one that is not known here."""

DEFAULTS = {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}

HEALTHY = Http(path="/health")
"""The proof when a service declares no checks: the app says so only after it has transcribed something."""


def lower(context: ServiceContext[AsrService]) -> None:
    """Add the resources of a speech service."""
    service = context.service
    environment, model = context.environment(), context.model()
    models = {option: context.model(option) for option in _options(service)}
    if environment is None or model is None or None in models.values():
        return
    paths = {option: found.path for option, found in models.items() if found is not None}
    ids = [found.id for found in models.values() if found is not None]
    missing = [name for name in NEEDED if environment.find(name) is None]
    if missing and not environment.open:
        context.problem(
            "missing-engine",
            ("environment",),
            f"environment {environment.name} does not install {', '.join(missing)}",
            "add what is missing to its packages",
        )
        return
    app = join(context.layout.prefix, "app")
    certificate = certificates.paths(service.tls)
    flags: list[tuple[str, ...]] = [(f"--{option.replace('_', '-')}", path) for option, path in paths.items()]
    flags += [*_flags(service), *((f"--hotword={word}",) for word in service.hotwords)]
    if service.tls is not None:
        flags += [("--ssl-certfile", service.tls.cert), ("--ssl-keyfile", service.tls.key)]
    taken = _turn(service)
    script = start_script(
        context,
        environment,
        {"PYTHONPATH": app, **_cards(service), **DEFAULTS},
        taken.command(context, service.port, service.host) if taken else None,
        python=text.sh(environment.program("python")),
        flags=[text.sh_words(flag) for flag in flags],
    )
    env = dict(service.env)
    env.update(more_keys.variables(service.api_key, KEY, f"{KEY}_"))
    gpu = service.device.startswith("cuda") or is_uuid(service.device)
    supervised.add(
        context,
        Program(
            script=script,
            port=service.port,
            bind=service.host,
            model=model.path.rpartition("/")[2],
            needs=[
                environment.id,
                *ids,
                _app(context, app),
                *certificates.needed(context, certificate),
            ],
            paths=[environment.path, *paths.values(), app, *certificate, environment.python or ""],
            env=env,
            key_name=KEY if KEY in env else None,
            health=True,
            checks=checks.specs(context) or [HEALTHY],
            drain=service.request_timeout,
            before=[MODPROBE] if gpu else [],
            tls=service.tls is not None,
            ca=service.tls.ca if service.tls is not None else None,
            turn=taken,
        ),
    )


def required(service: AsrService) -> dict[str, list[str]]:
    """Return the files of its models that do not depend on their classes, by model."""
    found = {}
    for option, name in _options(service).items():
        fit = _fitting(service, option)
        shared = set.intersection(*(set(CLASSES[each].files) for each in fit))
        # The weights of a speaker model have a name of their own.
        weights = [] if option == "spk_model" else [WEIGHTS]
        found[name] = [*COMMON, *weights, *sorted(shared)]
    return found


def expects(service: AsrService, name: str) -> dict[str, list[Expectation]]:
    """Return what each of its models must be, by the class that its own `config.yaml` names."""
    found: dict[str, list[Expectation]] = {}
    asked = {"punctuation": service.punc_model is not None, "hotwords": bool(service.hotwords)}
    for option, model in _options(service).items():
        fit = _fitting(service, option)
        others = [None, *(each for each in CLASSES if each not in fit)]
        wanted = Expectation(
            service=name,
            files={each: list(CLASSES[each].files) for each in fit},
            misfits={each or "": misfit(option, each, fit, **asked) for each in others},
            otherwise=misfit(option, UNKNOWN, fit, **asked),
        )
        found.setdefault(model, []).append(wanted)
    return found


def _options(service: AsrService) -> dict[str, str]:
    """Return the models that it names, by the field that names each."""
    named = {option: getattr(service, option) for option in ROLES}
    return {option: name for option, name in named.items() if name is not None}


def _fitting(service: AsrService, option: str) -> list[str]:
    return fitting(option, punctuation=service.punc_model is not None, hotwords=bool(service.hotwords))


def _turn(service: AsrService) -> turn.Turn | None:
    """Return its turn on the one card that it computes on; None on a CPU."""
    if is_uuid(service.device):
        return turn.of([service.device], {})
    kind, _, index = service.device.partition(":")
    if kind not in ("cuda", "npu"):
        return None
    shown = turn.visible(service.env)
    return turn.of([int(index or 0)] if shown is None else shown[int(index or 0) :][:1], {})


def _cards(service: AsrService) -> dict[str, str]:
    """Return what shows a process the one card that `device` names by UUID; torch counts it as the first."""
    return {"CUDA_VISIBLE_DEVICES": service.device} if is_uuid(service.device) else {}


def _flags(service: AsrService) -> list[tuple[str, ...]]:
    """Return a flag for each option that a playbook can set."""
    found: list[tuple[str, ...]] = []
    for name, option in OPTIONS.items():
        if option.field is None:
            continue
        value, flag = getattr(service, option.field), name.replace("_", "-")
        if name == "device" and is_uuid(value):
            value = "cuda:0"  # the only card that it is shown
        if isinstance(value, bool):
            found.append((f"--{flag}" if value else f"--no-{flag}",))
        else:
            found.append((f"--{flag}", _written(value)))
    return found


def _written(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _app(context: ServiceContext[AsrService], app: str) -> str:
    """Add the app, which all speech services of a host share; returns its id."""
    sources = _sources()
    spec = TreeSpec(path=app, files=sources)
    context.builder.imply_tree(context.play, context.where, context.layout.prefix, dirname(app))
    label = f"speech app ({len(sources)} files)"
    return context.builder.add(context.play, context.where, f"tree:{app}", spec, label).id


@cache
def _sources() -> dict[str, str]:
    """Return the app's files by their path below the directory that goes into PYTHONPATH."""
    package = files("provision.asr")
    sources = {
        f"provision/asr/{entry.name}": entry.read_text(encoding="utf-8")
        for entry in sorted(package.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".py")
    }
    # Only a name for the package: the rest of it stays on the controller.
    return {"provision/__init__.py": "", **sources}
