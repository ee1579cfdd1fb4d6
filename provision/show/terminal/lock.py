"""What has been locked, and what differs from the lock before."""

from __future__ import annotations

from collections.abc import Iterator

from provision.lock.changes import Change, counted, unhashed
from provision.show.items import Item, Locked
from provision.show.terminal.findings import cause, sentence
from provision.show.terminal.screen import Screen
from provision.show.terminal.style import BAD, NEW, OLD, QUIET, paint
from provision.show.words import count
from provision.wire.taken import Taken


class Lock(Screen):
    """A few lines for each playbook, after those for what could not be locked."""

    def lines(self, item: Item) -> Iterator[str]:
        """Return the lines."""
        if isinstance(item, Taken) and item.finding:
            yield f"{item.host}  {paint('!', BAD)} {sentence(item.trouble)}"
        elif isinstance(item, Locked):
            yield from _of(item)

    def ending(self) -> Iterator[str]:
        """Return the hosts that had nothing to say."""
        for host in self.report.hosts.values():
            trouble = cause(host)
            if trouble:
                yield f"{host.name}  {paint('!', BAD)} {trouble}"


def _of(locked: Locked) -> Iterator[str]:
    has = [count(number, name) for name, number in counted(locked.after).items() if number]
    if locked.before == locked.after:
        yield f"{locked.file}: the hosts have what it says"
    elif locked.written:
        yield f"{locked.file}: written: {', '.join(has) or 'nothing to lock'}"
    elif locked.before is None:
        yield f"{locked.file}: there is none; the hosts have {', '.join(has) or 'nothing to lock'}"
    else:
        yield f"{locked.file}: the hosts have something else"
    part = None
    for change in locked.changes:
        if change.of != part:
            part = change.of
            yield f"  {part}"
        yield f"    {_line(change)}"
    for each in unhashed(locked.after):
        yield f"  {paint(f'without a hash: {each.name} in {each.of}: {each.why}', QUIET)}"


def _line(change: Change) -> str:
    if change.before is None:
        return paint(f"+ {change.name} {change.now}", NEW)
    if change.now is None:
        return paint(f"- {change.name} {change.before}", BAD)
    return paint(f"~ {change.name}: {change.before} → {change.now}", OLD)
