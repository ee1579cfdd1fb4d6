"""All checks at once: most read a file or two, a few wait for a hub or an index."""

from __future__ import annotations

from typing import Callable, Sequence

from provision.host import causes
from provision.host.preflight import disks, limits, memory, packages, ports, sources
from provision.host.preflight.scene import Found, Scene
from provision.host.threads import each
from provision.wire.events import Note
from provision.wire.finding import ERROR, WARNING, Finding, warning

CHECKS: Sequence[Callable[[Scene], Found]] = (
    lambda scene: ports.findings(scene),
    lambda scene: disks.findings(scene),
    lambda scene: sources.findings(scene),
    lambda scene: packages.findings(scene),
    lambda scene: memory.findings(scene),
    lambda scene: limits.findings(scene),
)
"""As functions, so that each module is imported when its check is made."""


def look(scene: Scene, ignored: Sequence[str]) -> tuple[list[Finding], list[Finding]]:
    """Make all checks, and tell what they have found; return the errors, and those that are ignored.

    Args:
        scene: the run.
        ignored: the codes of errors that the user wants to be warnings.
    """
    if not scene.changing():
        return [], []
    found: dict[int, Found] = {}

    def make(number: int) -> None:
        try:
            found[number] = CHECKS[number](scene)
        except Exception as error:
            # A check that cannot be made must not keep anybody from applying.
            failure = causes.explain(error)
            about = scene.changing()[0]
            found[number] = [(about, warning("not-checked", failure.message, failure.hint))]

    each(make, range(len(CHECKS)), len(CHECKS))
    errors: list[Finding] = []
    passed: list[Finding] = []
    for number in sorted(found):
        for item, finding in found[number]:
            if finding.severity == ERROR and finding.code in ignored:
                finding = finding.replace(severity=WARNING)
                passed.append(finding)
            scene.machine.emit(Note(id=item.id, finding=finding))
            if finding.severity == ERROR:
                errors.append(finding)
    return errors, passed
