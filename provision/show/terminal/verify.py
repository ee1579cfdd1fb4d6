"""What was sent to services and what came back."""

from __future__ import annotations

from collections.abc import Iterator

from provision.show.items import Item
from provision.show.terminal.lasting import lasting
from provision.show.terminal.screen import Screen
from provision.show.terminal.style import BAD, LOUD, paint
from provision.show.words import count


class Verify(Screen):
    """Each check as it is done, and the sum."""

    def lines(self, item: Item) -> list[str]:
        """Return what one event is worth."""
        return lasting(self.report, item)

    def ending(self) -> Iterator[str]:
        """Return the sum."""
        hosts = self.report.hosts.values()
        proofs = [proof for host in hosts for proof in host.proofs]
        failed = sum(1 for proof in proofs if not proof.ok)
        lost = sum(1 for host in hosts if host.unreachable or host.error)
        words = [f"{count(len(proofs) - failed, 'check')} passed"]
        if failed:
            words.append(paint(f"{failed} failed", BAD))
        if lost:
            words.append(paint(f"{count(lost, 'host')} in trouble", BAD))
        yield f"{paint('Verify:', LOUD)} {', '.join(words)}."
