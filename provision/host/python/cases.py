"""Content that depends on the version of a package, such as flags that came and went."""

from __future__ import annotations

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.python import dist_info
from provision.host.python.versions import compare, normalise, parse
from provision.wire.cases import Case, Cases


def choose(machine: Machine, cases: Cases | None, assumed: Case) -> Case:
    """Return the case for the version that an environment has of a package.

    A pre-release, or a development build before a release, counts as that release. `assumed` is returned
    where nothing depends on a version, and as long as the package is not installed; also for a development
    build whose version, below `oldest`, tells nothing of its age.

    Raises:
        Failure: the installed version is older than every case, or its case is an error.
    """
    if cases is None:
        return assumed
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
    return best
