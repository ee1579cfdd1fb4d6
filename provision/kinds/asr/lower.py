"""From a service of kind `asr` to its resources: the speech app of this package goes along as files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from posixpath import dirname, join

from provision.asr.classes import CLASSES, COMMON, WEIGHTS, fitting, misfit, named
from provision.catalog import text
from provision.config.references import each_key
from provision.config.services.gpus import is_uuid
from provision.kinds.asr.fields import OPTION_FIELDS, AsrService
from provision.kinds.common import certificates, checks, supervised, trust, turn
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.generated import start_script
from provision.kinds.common.offer import Offer
from provision.kinds.common.program import Program
from provision.wire.checks import Http
from provision.wire.specs.model import Expectation
from provision.wire.specs.tree import TreeSpec

NEEDED = ("funasr", "fastapi", "uvicorn", "python-multipart")
"""What the app imports, besides what these install."""

KEY = "ASR_API_KEY"
"""The variable from which the app takes its API key."""

UNKNOWN = "{class}"
"""Stands for the class in a sentence about one that is not known here."""

DEFAULTS = {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}

SPEECH = ("/v1/audio/transcriptions", "/recognize", "/recognize/")
"""The paths of the app that transcribe."""

HEALTHY = Http(path="/health")
"""The proof when a service declares no checks: the app says so only after it has transcribed something."""


def lower(context: ServiceContext[AsrService]) -> None:
    """Add the resources of a speech service."""
    service, used = context.service, named(context.service)
    environment = context.environment(service.environment)
    models = context.models_at(((option,), name) for option, name in used.items())
    if environment is None or models is None:
        return
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
    flags: list[tuple[str, ...]] = [
        (_flag(option), model.path) for option, model in zip(used, models, strict=True)
    ]
    flags += [*_flags(service), *((f"--hotword={word}",) for word in service.hotwords)]
    if service.tls is not None:
        flags += [("--ssl-certfile", service.tls.cert), ("--ssl-keyfile", service.tls.key)]
    key = bool(each_key(service.api_key)) or KEY in service.env
    trust.everybody(context, service.port, service.host, key=key)
    taken = _turn(service)
    # torch counts the one card that it sees by its UUID as the first.
    cards = turn.shown([service.device] if is_uuid(service.device) else None)
    supervised.add(
        context,
        Program(
            script=start_script(
                context,
                environment,
                {"PYTHONPATH": app, **cards, **DEFAULTS},
                taken,
                flags=list(map(text.sh_words, flags)),
            ),
            options=flags,
            port=service.port,
            bind=service.host,
            model=models[0].path.rpartition("/")[2],
            environment=environment,
            engine=NEEDED[:1],
            models=models,
            certificate=certificates.paths(service.tls),
            needs=[_app(context, app)],
            paths=[app],
            api_key=service.api_key,
            key_name=KEY,
            more_keys=f"{KEY}_",
            health=True,
            checks=checks.specs(context) or [HEALTHY],
            drain=service.request_timeout,
            nvidia=service.device.startswith("cuda") or is_uuid(service.device),
            tls=service.tls is not None,
            ca=certificates.ca(service.tls),
            turn=taken,
        ),
    )


def offers(service: AsrService, name: str) -> Offer:
    """Return what a speech service offers to a gateway."""
    return Offer(
        port=service.port,
        bind=service.host,
        tls=service.tls is not None,
        key=next(iter(each_key(service.api_key)), service.env.get(KEY)),
        posts=SPEECH,
        silent=SPEECH,
        health=True,
    )


def required(service: AsrService) -> dict[str, list[str]]:
    """Return the files of its models that do not depend on their classes, by model."""
    found = {}
    for option, name in named(service).items():
        shared = set.intersection(*(set(CLASSES[each].files) for each in fitting(option, service)))
        # The weights of a speaker model have a name of their own.
        weights = [] if option == "spk_model" else [WEIGHTS]
        found[name] = [*COMMON, *weights, *sorted(shared)]
    return found


def expects(service: AsrService, name: str) -> dict[str, list[Expectation]]:
    """Return what each of its models must be, by the class in its own `config.yaml`."""
    found: dict[str, list[Expectation]] = {}
    for option, model in named(service).items():
        fit = fitting(option, service)
        others = [None, *(each for each in CLASSES if each not in fit)]
        wanted = Expectation(
            service=name,
            files={each: list(CLASSES[each].files) for each in fit},
            misfits={each or "": misfit(option, each, service) for each in others},
            otherwise=misfit(option, UNKNOWN, service),
        )
        found.setdefault(model, []).append(wanted)
    return found


def _turn(service: AsrService) -> turn.Turn | None:
    """Return its turn on the one card that it computes on; None on a CPU."""
    kind, _, index = service.device.partition(":")
    cards: list[object] = []
    if is_uuid(service.device):
        cards = [service.device]
    elif kind in ("cuda", "npu"):
        shown = turn.visible(service.env)
        cards = [int(index or 0)] if shown is None else [*shown[int(index or 0) :][:1]]
    return turn.of(cards, {}, service.port, service.host)


def _flags(service: AsrService) -> Iterator[tuple[str, ...]]:
    """Give a flag for each option that a playbook can set."""
    for name, field in OPTION_FIELDS.items():
        value = getattr(service, field)
        if name == "device" and is_uuid(value):
            value = "cuda:0"  # the only card that it is shown
        if isinstance(value, bool):
            yield (_flag(name if value else f"no-{name}"),)
        else:
            whole = isinstance(value, float) and value.is_integer()
            yield _flag(name), str(int(value) if whole else value)


def _flag(option: str) -> str:
    return "--" + option.replace("_", "-")


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
        if entry.name.endswith((".py", ".html"))
    }
    # Only the name of the package: the rest of it stays on the controller.
    return {"provision/__init__.py": "", **sources}
