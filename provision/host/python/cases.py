"""Content that depends on the version of a package, such as flags that came and went."""

from __future__ import annotations

from typing import Any

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.python import dist_info
from provision.host.python.versions import compare, normalise, parse
from provision.wire.cases import Cases


def choose(machine: Machine, cases: Cases, assumed: Any) -> Any:
    """Return the content for the version that an environment has of a package.

    A pre-release, or a development build before a release, counts as that release. As long as the package is
    not installed, `assumed` is the content; so it is for a development build whose version, below `oldest`,
    tells nothing of its age.

    Raises:
        Failure: the installed version is older than every case, or its case is an error.
    """
    here = dist_info.installed(machine, cases.environment)
    found = [name for name in (cases.package, *cases.others) if normalise(name) in here]
    if not found:
        return assumed
    package = found[0]
    installed = here[normalise(package)]
    try:
        version = parse(installed)
        if version.dev is not None and compare(version, cases.oldest) < 0:
            return assumed
        reached = [case for case in cases.versions if compare(case.since, version.base()) <= 0]
    except ValueError as error:
        raise Failure("unknown-flag", f"{package} in {cases.environment}: {error}") from None
    if not reached:
        raise Failure(
            "unknown-flag",
            f"{package} {installed} in {cases.environment} is older than any version known here",
        )
    best = max(reached, key=lambda case: parse(case.since).key())
    if best.finding is not None:
        raise Failure(best.finding.code, best.finding.message, hint=best.finding.hint)
    return best.content
