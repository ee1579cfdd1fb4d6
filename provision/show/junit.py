"""A run as JUnit XML: a suite per host, a case per check and per failed step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO
from xml.etree import ElementTree

from provision.show.items import Item, Run
from provision.show.report import HostReport, Report
from provision.show.writer import Writer
from provision.wire.finding import Finding, fault

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot have, not even escaped."""


@dataclass(frozen=True)
class Case:
    """One test case.

    Args:
        about: the service or type of resource that it belongs to, or the verb.
        name: the check, the step, or the host as a whole.
        seconds: how long it took.
        finding: why it did not pass; None when it did.
        broken: it could not be tried at all: an error of JUnit, not a failure.
    """

    about: str
    name: str
    seconds: float = 0.0
    finding: Finding | None = None
    broken: bool = False


class JUnit(Writer):
    """Remembers the run, and writes the XML at the end."""

    def __init__(self, run: Run, out: TextIO) -> None:
        super().__init__(run, out)
        self._report = Report(run.hosts)

    def take(self, item: Item) -> None:
        """Remember one item."""
        self._report.take(item)

    def close(self) -> None:
        """Write the XML."""
        verb, hosts = self.run.verb, self._report.hosts.values()
        root = ElementTree.Element("testsuites", name=f"provision {verb}")
        told = [case for host in hosts for case in _suite(root, host, list(cases(verb, host)))]
        _count(root, told, sum(map(_seconds, hosts)))
        ElementTree.indent(root)
        self.out.write(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True).decode() + "\n")


def cases(verb: str, host: HostReport) -> Iterator[Case]:
    """Return the cases of one host: itself, its checks, and what failed or could not be inspected."""
    trouble = host.unreachable or host.error
    ended = trouble.finding if trouble else None
    if ended is None and host.done is None:
        ended = fault("run-cancelled", "the run ended before this host was done")
    yield Case(verb, "host", _seconds(host), ended, broken=True)
    for each in host.foreseen:
        yield Case(verb, f"foreseen: {each.where}" if each.where else "foreseen", 0.0, each, broken=True)
    for seen in host.inspected.values():
        if seen.finding and seen.id not in host.results:
            yield Case(seen.service or seen.type, seen.label, 0.0, seen.finding, broken=True)
    for proof in host.proofs:
        finding = proof.finding
        if not proof.ok and finding is None:
            finding = fault("not-answering", "the check did not pass")
        yield Case(proof.service, proof.check, proof.seconds, None if proof.ok else finding)
    for result in host.results.values():
        if result.status == "failed" and not host.told(result):
            finding = result.finding or fault("not-converged", "the step failed")
            about = host.inspected.get(result.id)
            group = (about.service or about.type) if about else verb
            yield Case(group, host.label(result.id), result.seconds, finding)
    for removed in host.removed:
        if removed.finding:
            yield Case(verb, removed.label or removed.id, 0.0, removed.finding)


def _suite(root: ElementTree.Element, host: HostReport, told: list[Case]) -> list[Case]:
    suite = ElementTree.SubElement(root, "testsuite", name=_clean(host.name), hostname=_clean(host.name))
    _count(suite, told, _seconds(host))
    for case in told:
        element = ElementTree.SubElement(
            suite,
            "testcase",
            classname=_clean(f"{host.name}.{case.about}"),
            name=_clean(case.name),
            time=f"{case.seconds:.3f}",
        )
        if case.finding:
            failure = ElementTree.SubElement(
                element,
                "error" if case.broken else "failure",
                type=case.finding.code,
                message=_clean(case.finding.message),
            )
            failure.text = _clean(_told(case.finding))
    return told


def _count(element: ElementTree.Element, told: list[Case], seconds: float) -> None:
    element.set("tests", str(len(told)))
    element.set("failures", str(sum(1 for case in told if case.finding and not case.broken)))
    element.set("errors", str(sum(1 for case in told if case.finding and case.broken)))
    element.set("time", f"{seconds:.3f}")


def _seconds(host: HostReport) -> float:
    return host.done.seconds if host.done else 0.0


def _told(finding: Finding) -> str:
    lines = [f"{finding.message} [{finding.code}]"]
    lines += [finding.hint] if finding.hint else []
    return "\n".join([*lines, *finding.log])


def _clean(text: str) -> str:
    """Return a text in which characters that XML cannot have are written by their numbers."""
    return _FORBIDDEN.sub(lambda found: ascii(found[0])[1:-1], text)
