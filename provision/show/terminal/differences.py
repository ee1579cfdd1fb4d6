"""A plan in words: for each host what differs, what it takes, and what will restart and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from posixpath import basename
from typing import Any

from provision.show.report import HostReport, Report
from provision.show.terminal import outlook
from provision.show.terminal.findings import cause, coded, located, sentence
from provision.show.terminal.flags import changed_flags
from provision.show.terminal.grouping import grouped, heading
from provision.show.terminal.style import BAD, GOOD, LOUD, NEW, OLD, QUIET, paint
from provision.show.words import count, human_bytes, last_start, listing, orphan_words
from provision.wire import events

NEW_LINES = 24
"""Lines of a new file that a plan shows: all of a start script, the beginning of a unit."""


def plan_lines(report: Report, diffs: bool = True) -> Iterator[str]:
    """Return the whole plan, line by line: equal hosts together, then the totals."""

    def alike(host: HostReport) -> list[str]:
        return [*host_lines(host, diffs), *outlook.outline(host)]

    for hosts, _ in grouped(report.hosts.values(), alike):
        yield heading(hosts)
        yield from host_lines(hosts[0], diffs)
        yield from outlook.outlook_lines(hosts)
        yield from last_starts(hosts)
        yield ""
    yield summary(report)


def last_starts(hosts: Sequence[HostReport]) -> Iterator[str]:
    """Return what is known of the last start of each service that restarts, of a group together.

    Where it is foreseen how the next start will be, that says it, too.
    """
    told = [each.service for each in hosts[0].outlook.forecasts] if hosts[0].outlook else []
    for service in hosts[0].restarts:
        if service in told:
            continue
        known = [figures for host in hosts if (figures := host.restarts[service].figures)]
        if known:
            yield f"    {paint(f'{service}: {last_start(known)}', QUIET)}"


def host_lines(host: HostReport, diffs: bool = True) -> Iterator[str]:
    """Return the lines of a plan about one host."""
    trouble = cause(host)
    if trouble:
        yield f"  {paint('!', BAD)} {trouble}"
        return
    for finding in host.foreseen:
        yield f"  {paint('!', BAD)} {located(finding)}"
    for seen in host.differing:
        if not restarts(host, seen):
            yield from resource_lines(seen, diffs)
    for restart in host.restarts.values():
        yield f"  {paint('↻', OLD)} {_restart_words(host, restart)}"
        if restart.drained:
            yield f"      first out of rotation at {' and '.join(restart.drained)}"
    for orphan in host.orphans:
        yield f"  {paint('-', BAD)} {orphan_words(orphan)}"
    for note in host.doubts:
        yield f"  {paint('i', QUIET)} {located(note)}"
    for seen in host.inspected.values():
        yield from (f"  {paint('i', QUIET)} {seen.label}: {sentence(note)}" for note in seen.notes)
    if host.done is None:
        yield f"  {paint('!', BAD)} the host did not finish"
    elif host.hello is not None and not host.differing and not host.orphans:
        yield f"  {paint('=', GOOD)} nothing to change"


def _restart_words(host: HostReport, restart: events.Restart) -> str:
    verb = "reload" if restart.reload else "restart"
    where = f" on {listing(restart.nodes)} together" if restart.nodes else ""
    if restart.led_by:
        why = f"what changes on {listing(restart.led_by)}"
    else:
        why = listing([host.label(id) for id in restart.because], 4) or "an earlier change"
    return f"{verb} {restart.service}{where}, because of {why}"


def resource_lines(seen: events.Inspected, diffs: bool = True) -> Iterator[str]:
    """Return the lines of a plan about one resource that differs."""
    if seen.finding:
        yield coded(f"  {paint('!', BAD)} {seen.label}: {seen.finding.message}", seen.finding.code)
        if seen.finding.hint:
            yield f"      {paint(seen.finding.hint, QUIET)}"
        return
    if seen.role == events.PROOF:
        yield f"  {paint('?', OLD)} then prove that {seen.service} answers"
        return
    if seen.changes.keys() == {"there"}:
        yield f"  {paint('-', BAD)} {seen.label}: remove it"
        return
    new = seen.new
    mark = paint("+", NEW) if new else paint("~", OLD)
    details = [] if new else [_difference(key, *values) for key, values in seen.changes.items()]
    details += work_words(seen.work) if seen.work else []
    yield f"  {mark} {seen.label}{': ' if details else ''}{'; '.join(filter(None, details))}"
    for flag in changed_flags(*seen.options) if seen.options else ():
        yield f"      {paint(flag, OLD)}"
    if seen.diff and diffs:
        yield from (f"      {_paint_diff(line)}" for line in _diff_lines(seen.diff, new))


def restarts(host: HostReport, seen: events.Inspected) -> bool:
    """Whether a difference is the restart of a service or its proof, which have a line of their own."""
    return seen.service in host.restarts and seen.changes.keys() <= {"current", "proven"}


def work_words(work: events.Work) -> list[str]:
    """Return what a change has to fetch or do."""
    words = [
        (work.install, f"install {listing(work.install)}"),
        (work.remove, f"remove {listing(work.remove)}"),
        (work.pull, f"pull {work.pull}"),
        (work.load, f"load the image from {work.load}"),
        (work.recreate, "recreate it"),
        (work.because, f"runs because of {listing(work.because, 4)}"),
        (work.bytes, f"download {human_bytes(work.bytes or 0)}"),
        (work.linked, f"{human_bytes(work.linked or 0)} are here already"),
        (work.beside, f"in a new directory beside {basename(work.beside or '')}, which stays as it is"),
        (work.disk, f"takes about {human_bytes(work.disk or 0)} of disk"),
    ]
    return [text for needed, text in words if needed]


def summary(report: Report) -> str:
    """Return the plan's last line."""
    hosts = report.hosts.values()
    seen = [each for host in hosts for each in host.inspected.values()]
    differing = [each for host in hosts for each in host.differing if not restarts(host, each)]
    acting = [each for each in differing if not each.finding and each.role != events.PROOF]
    added = sum(1 for each in acting if each.new)
    changed = len(acting) - added
    proofs = sum(1 for each in seen if each.role == events.PROOF and each.changes and not each.finding)
    # Those of the nodes of one service are one.
    turned = {
        (each.service, tuple(each.nodes or [host.name])): each.reload
        for host in hosts
        for each in host.restarts.values()
    }
    again = sum(not reload for reload in turned.values())
    fetched = sum(each.work.bytes or 0 for each in seen if each.work)
    unseen = sum(1 for each in seen if each.finding)
    orphans = sum(len(host.orphans) for host in hosts)
    broken = sum(1 for host in hosts if not host.ok)
    wrong = sum(len(host.foreseen) for host in hosts)
    unusual = [
        (wrong, paint(f"{count(wrong, 'error')} foreseen", BAD)),
        (again, count(again, "restart")),
        (len(turned) - again, count(len(turned) - again, "reload")),
        (proofs, f"{count(proofs, 'service')} to prove"),
        (unseen, paint(f"{count(unseen, 'resource')} could not be inspected", BAD)),
        (orphans, f"{orphans} orphaned"),
        (broken, paint(f"{count(broken, 'host')} in trouble", BAD)),
    ]
    declared = sum(1 for each in seen if not each.changes and not each.finding)
    parts = [f"{added} to add", f"{changed} to change", *(text for number, text in unusual if number)]
    parts.append(f"{declared} as declared")
    download = f" Downloads: {human_bytes(fetched)}." if fetched else ""
    return f"{paint('Plan:', LOUD)} {count(len(report.hosts), 'host')}, {', '.join(parts)}.{download}"


def _difference(key: str, actual: Any, expected: Any) -> str:
    if isinstance(actual, dict) and isinstance(expected, dict):
        differing = [name for name in expected if actual.get(name) != expected[name]]
        parts = [_difference(name, actual.get(name), expected[name]) for name in differing]
        return f"{key} {', '.join(filter(None, parts))}"
    if key == "content" or _long(actual) or _long(expected):
        return f"{key} differs"
    if expected is True:
        return f"not {key}"
    return f"{key} {_value(actual)} → {_value(expected)}"


def _long(value: Any) -> bool:
    return isinstance(value, (str, list)) and len(json.dumps(value, ensure_ascii=False)) > 60


def _value(value: Any) -> str:
    if value is None:
        return "absent"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _diff_lines(diff: str, new: bool) -> list[str]:
    """Return the lines of a diff without its header; of a new file, only the beginning."""
    lines = [line for line in diff.splitlines() if not line.startswith(("--- ", "+++ "))]
    if not new:
        return lines
    lines = [line for line in lines if not line.startswith("@@")]
    more = len(lines) - NEW_LINES
    return (
        [*lines[:NEW_LINES], f"… {more} more lines, as `provision render` shows them"] if more > 1 else lines
    )


def _paint_diff(line: str) -> str:
    return paint(line, {"+": GOOD, "-": BAD}.get(line[:1], QUIET))
