"""The lines of a run that stay: what was done, what failed and why, what a service answered."""

from __future__ import annotations

from provision.show.items import Item
from provision.show.report import HostReport, Report
from provision.show.terminal.findings import coded, located, sentence
from provision.show.terminal.style import BAD, GOOD, LOUD, OLD, QUIET, paint
from provision.show.words import human_seconds, listing
from provision.wire import events, rollout
from provision.wire.finding import ERROR, INFO, Finding


def lasting(report: Report, item: Item) -> list[str]:
    """Return the lines that an item leaves on the screen, the first with its host; most leave none."""
    match item:
        case rollout.Wave():
            return [wave_words(item)]
        case rollout.Outlook():
            told = [finding for finding in item.findings if finding.severity != INFO]
            return [f"{paint(item.host, LOUD)}  {_mark(finding)} {located(finding)}" for finding in told]
        case events.Error() if report.hosts[item.host].held:
            return []  # said once for all hosts
        case events.Result():
            lines = _result(report.hosts[item.host], item)
        case events.Proof():
            lines = _proof(item)
        case events.Restored():
            mark = paint("✓", GOOD) if item.ok else paint("·", OLD)
            why = f": {item.finding.message}" if item.finding else ""
            lines = [_coded(f"{mark} {item.service}: {item.text}{why}", item.finding), *_below(item.finding)]
        case rollout.Rotated():
            lines = _rotated(item)
        case events.Removed():
            lines = [_removed(item)]
        case rollout.Bootstrapped():
            took = human_seconds(item.seconds)
            lines = [f"{paint('✓', GOOD)} python3 {item.python} installed ({took})"]
        case events.Note() if item.finding.severity != INFO:
            lines = [f"{_mark(item.finding)} {located(item.finding)}", *_log(item.finding)]
        case rollout.Unreachable() | events.Error():
            lines = [f"{paint('✗', BAD)} {sentence(item.finding)}", *_log(item.finding)]
        case _:
            return []
    first = [f"{paint(item.host, LOUD)}  {line}" for line in lines[:1]]
    return [*first, *lines[1:]]


def wave_words(wave: rollout.Wave) -> str:
    """Return that a wave begins, or that no further host is changed."""
    names = listing(wave.hosts)
    if wave.stopped is None:
        return paint(f"wave {wave.number} of {wave.of}: {names}", LOUD)
    return f"{paint('✗', BAD)} {names}: {sentence(wave.stopped)}"


def failed(label: str, error: str) -> str:
    """Return what has failed and why, without naming it twice: many errors begin with its name."""
    kind, _, subject = label.rpartition(" ")
    for name in (label, subject):
        if error.startswith(f"{name}: "):
            return f"{label}: {error[len(name) + 2 :]}"
    if kind and " " not in kind and error.startswith(f"{subject} "):
        return f"{kind} {error}"
    return f"{label}: {error}"


def _mark(finding: Finding) -> str:
    return paint("✗", BAD) if finding.severity == ERROR else paint("!", OLD)


def _result(host: HostReport, event: events.Result) -> list[str]:
    label = host.label(event.id)
    took = paint(f" ({human_seconds(event.seconds)})", QUIET) if event.seconds >= 0.1 else ""
    finding = event.finding
    match event.status:
        case "ok":
            return []
        case "skipped":
            return [f"{paint('·', OLD)} {label}{took} skipped: {finding.message if finding else ''}"]
        case "changed":
            return [f"{paint('✓', GOOD)} {label}{took}"]
    mark = paint("✗", BAD)
    if finding is None:
        return [f"{mark} {label}{took}"]
    told = host.told(event)
    first = coded(f"{mark} {failed(label, finding.message)}{took}", finding.code)
    return [
        first,
        *([] if told else _log(finding)),
        *([] if told and told.hint == finding.hint else _hint(finding)),
    ]


def _proof(event: events.Proof) -> list[str]:
    """Return a check with what was sent and what came back."""
    mark = paint("✓", GOOD) if event.ok else paint("✗", BAD)
    verdict = f"does not pass: {event.finding.message}" if event.finding else "answers"
    how = f"({event.check}, {human_seconds(event.seconds)})"
    lines = [_coded(f"{mark} {event.service} {verdict} {how}", event.finding)]
    if event.sent:
        lines.append(f"    {paint('>', QUIET)} {event.sent}")
    if event.received:
        lines.append(f"    {paint('<', QUIET)} {event.received}")
    return [*lines, *_below(event.finding)]


def _rotated(event: rollout.Rotated) -> list[str]:
    """Return that a service has left the rotation of a gateway, or is back, and what is to be known of it."""
    gateway = f"{event.gateway} on {event.at}"
    finding = event.finding
    if finding and finding.severity != INFO:
        return [f"{paint('!', OLD)} {located(finding)}", *_hint(finding)]
    took = paint(f" ({human_seconds(event.seconds)})", QUIET) if event.seconds >= 0.1 else ""
    where = "out of" if event.out else "back in"
    told = [f"    {finding.message}"] if finding else []
    return [f"{paint('✓', GOOD)} {event.service} is {where} rotation at {gateway}{took}", *told]


def _removed(event: events.Removed) -> str:
    if event.finding:
        return coded(f"{paint('✗', BAD)} {event.label}: {event.finding.message}", event.finding.code)
    if event.kept:
        return f"{paint('=', QUIET)} {event.label} stays: {event.kept}"
    return f"{paint('-', BAD)} {event.label}{'' if event.planned else ' removed'}"


def _coded(text: str, finding: Finding | None) -> str:
    return coded(text, finding.code) if finding else text


def _below(finding: Finding | None) -> list[str]:
    """Return the lines below a finding: what was printed, and the way out."""
    return [*_log(finding), *_hint(finding)] if finding else []


def _log(finding: Finding) -> list[str]:
    return [paint(f"    | {line}", QUIET) for line in finding.log]


def _hint(finding: Finding) -> list[str]:
    return [f"    {finding.hint}"] if finding.hint else []
