"""An apply on the screen: what is done, and at the end a line for each host and its services."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from provision.show.items import Item, Run
from provision.show.report import HostReport, Report
from provision.show.terminal.findings import cause
from provision.show.terminal.grouping import grouped, names
from provision.show.terminal.lasting import failed, lasting
from provision.show.terminal.progress import LiveProgress, PlainProgress
from provision.show.terminal.screen import Screen
from provision.show.terminal.style import BAD, GOOD, LOUD, OLD, QUIET, paint
from provision.show.words import clip, count, human_seconds, listing, orphan_words
from provision.wire import events

if TYPE_CHECKING:
    from provision.catalog.catalog import ServiceInfo

REASON = 160
"""Columns of a failure in the summary: its step has shown all of it."""

TROUBLED = {
    "before": ("runs as before the change", OLD),
    "unproven": ("not proven yet", OLD),
    "failing": ("does not answer", BAD),
    "stopped": ("does not run", BAD),
}
"""The words for a service that had trouble, by its state in the event `done`."""


class Apply(Screen):
    """What is done while it runs, and a summary when it ends."""

    def __init__(self, run: Run, out: TextIO) -> None:
        super().__init__(run, out)
        self._progress = LiveProgress(out) if out.isatty() else PlainProgress(out)

    def lines(self, item: Item) -> list[str]:
        """Return what an item leaves on the screen."""
        if isinstance(item, events.Event) and item.host:
            self._progress.take(self.report.hosts[item.host], item)
        return lasting(self.report, item)

    def say(self, lines: Iterable[str]) -> None:
        """Print lines above what hosts are busy with."""
        self._progress.say(lines)

    def close(self) -> None:
        """Print the summary."""
        self._progress.close()
        super().say(["", *apply_summary(self.report, self.run.services)])


def apply_summary(report: Report, services: Mapping[str, Sequence[ServiceInfo]]) -> Iterator[str]:
    """Return how an apply ended, line by line: every host, and the totals where there are several."""

    def words(host: HostReport) -> list[str]:
        return [verdict(host), failures(host), *service_lines(host, services.get(host.name, []))]

    for hosts, (said, why, *more) in grouped(report.hosts.values(), words):
        seconds = max((host.done.seconds for host in hosts if host.done), default=0.0)
        took = f" in {human_seconds(seconds)}" if seconds and not cause(hosts[0]) else ""
        yield f"{names(hosts)}  {said}{took}{why}"
        yield from more
    if len(report.hosts) > 1:
        yield totals(report)
    if any(host.cut for host in report.hosts.values()):
        yield paint("Stopped before the end: what is done stays done, and the next apply does the rest.", OLD)


def totals(report: Report) -> str:
    """Return the last line: the totals of all hosts."""
    hosts = report.hosts.values()
    done = [host.done.counts for host in hosts if host.done]
    parts = [count(len(hosts), "host")]
    parts += [f"{sum(each.get(name, 0) for each in done)} {name}" for name in ("changed", "ok")]
    undone = [_undone(host) for host in hosts]
    for name in ("failed", "skipped"):
        if any(each[name] for each in undone):
            parts.append(paint(f"{sum(each[name] for each in undone)} {name}", BAD))
    held = sum(1 for host in hosts if host.held)
    if held:
        parts.append(f"{count(held, 'host')} not changed")
    cut = sum(1 for host in hosts if host.cut)
    if cut:
        parts.append(f"{count(cut, 'host')} not finished")
    broken = sum(1 for host in hosts if not host.ok and not host.held and not host.cut)
    if broken:
        parts.append(paint(f"{count(broken, 'host')} in trouble", BAD))
    return f"{paint('Apply:', LOUD)} {', '.join(parts)}."


def service_lines(host: HostReport, services: Sequence[ServiceInfo]) -> Iterator[str]:
    """Return the address and state of a host's services, and what no playbook declares any more."""
    for service in services:
        state = _service_state(host, service)
        if state:
            words = (service.name, service.facts.url, state, paint(f"stop: {service.stop}", QUIET))
            yield f"    {'  '.join(filter(None, words))}"
    removed = {event.id for event in host.removed}
    for orphan in host.orphans:
        if not removed.issuperset(orphan.ids):
            yield f"    {paint('-', OLD)} {orphan_words(orphan)}"


def verdict(host: HostReport) -> str:
    """Return a host's counts, or the one cause of its trouble."""
    trouble = cause(host)
    if host.held and host.error:
        return paint(host.error.finding.message, OLD)
    if host.cut and host.done is None and host.error:
        changed = sum(1 for result in host.results.values() if result.status == "changed")
        return f"{changed} changed, {paint(host.error.finding.sentence(), OLD)}"
    if trouble:
        return f"{paint('failed', BAD)}: {trouble}"
    if host.done is None:
        return paint("did not finish", BAD)
    counts = host.done.counts
    words = [f"{counts.get('changed', 0)} changed", f"{counts.get('ok', 0)} ok"]
    for name, number in _undone(host).items():
        if number:
            words.append(paint(f"{number} {name}", BAD))
    removed = sum(1 for event in host.removed if not event.kept and not event.finding)
    if removed:
        words.append(f"{removed} removed")
    return ", ".join(words)


def failures(host: HostReport) -> str:
    """Return the first failure of a host in one line, how many others, and what ^C has left undone."""
    said = [
        failed(host.label(result.id), result.finding.message if result.finding else "")
        for result in host.results.values()
        if result.status == "failed" and not _cut_off(result)
    ]
    said = said or [f"{proof.service}: {proof.finding.message}" for proof in host.proofs if proof.finding]
    more = f", and {count(len(said) - 1, 'more failure')}" if len(said) > 1 else ""
    first = f"; {clip(said[0].partition(chr(10))[0], REASON)}{more}" if said else ""
    return f"{first}; not done: {listing(host.left)}" if host.left else first


def _cut_off(result: events.Result) -> bool:
    """Whether ^C has ended this step, or kept it from being begun."""
    return result.finding is not None and result.finding.code == events.CANCELLED


def _undone(host: HostReport) -> dict[str, int]:
    """Return how many steps have failed, and how many were skipped for that; not those that ^C has ended."""
    counts = host.done.counts if host.done else {}
    cut = sum(1 for result in host.results.values() if result.status == "failed" and _cut_off(result))
    skipped = 0 if host.cut else counts.get("skipped", 0)
    return {"failed": counts.get("failed", 0) - cut, "skipped": skipped}


def _service_state(host: HostReport, service: ServiceInfo) -> str | None:
    proofs = [proof for proof in host.proofs if proof.service == service.name]
    results = [host.results[id] for id in service.resources if id in host.results]
    state = host.done.services.get(service.name) if host.done else None
    if state == "before" and proofs and proofs[-1].ok:
        return paint("answers as before the change", OLD)
    if state in TROUBLED:
        return paint(*TROUBLED[state])
    if proofs:
        return paint("answers", GOOD) if proofs[-1].ok else paint("does not answer", BAD)
    if results and all(result.status == "ok" for result in results):
        return paint("unchanged", GOOD)
    if results and host.done is None:  # the host was lost, or the run was ended before it was done
        return paint(*TROUBLED["unproven"])
    return None
