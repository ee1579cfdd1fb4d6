"""Content that depends on the version of a package, such as flags that came and went."""

from __future__ import annotations

from typing import Any, Mapping

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.python import dist_info
from provision.host.python.versions import compare, normalise, parse


def choose(machine: Machine, cases: Mapping[str, Any], assumed: Any) -> Any:
    """Return the content for the version that an environment has of a package.

    A pre-release, or a build from the way to a release, is taken for that release.

    Args:
        machine: where the environment is.
        cases: `environment` (its path), `package` with `others` that count when it is not there, and
            `versions`: pairs of a lowest version and the content from there on, or `{"error": …, "hint": …}`
            where there can be none. A build below `oldest` that is no release says nothing of its age.
        assumed: the content as long as the package is not installed.

    Raises:
        Failure: the installed version is older than every case, or its case is an error.
    """
    package: str = cases["package"]
    here = dist_info.installed(machine, cases["environment"])
    found = [name for name in (package, *cases.get("others", ())) if normalise(name) in here]
    if not found:
        return assumed
    package = found[0]
    installed = here[normalise(package)]
    try:
        version = parse(installed)
        if version.dev is not None and cases.get("oldest") and compare(version, cases["oldest"]) < 0:
            return assumed
        reached = [case for case in cases["versions"] if compare(case[0], version.base()) <= 0]
    except ValueError as error:
        raise Failure(f"{package} in {cases['environment']}: {error}") from None
    if not reached:
        raise Failure(f"{package} {installed} in {cases['environment']} is older than any version known here")
    best = reached[0]
    for case in reached[1:]:
        if compare(case[0], best[0]) > 0:
            best = case
    content: Any = best[1]
    if isinstance(content, dict):
        raise Failure(content["error"], hint=content.get("hint"))
    return content
