"""The nodes of services over several hosts: each waits for the others before each step of a change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from provision.wire.finding import Finding, fault
from provision.wire.nodes import Peer
from provision.wire.survey import Answer

if TYPE_CHECKING:
    from provision.transport.target import Status
    from provision.wire.events import Meet

    Send = Callable[[Answer], None]
    Asked = Mapping[str, Meet]
    """By host, what it has asked."""

SHOWN = 4
"""Findings that one message names."""


class Meetings:
    """Answers the nodes of a service once all have come as far, or some cannot."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, tuple[str, ...], str], dict[str, tuple[Meet, Send]]] = {}
        self._ended: dict[str, Status] = {}

    def meet(self, question: Meet, send: Send) -> None:
        """Take note that a node has come as far as this, and waits for the others."""
        key = (question.service, tuple(question.nodes), question.step)
        self._waiting.setdefault(key, {})[question.host] = (question, send)
        self._consider()

    def ended(self, host: str, status: Status) -> None:
        """Take note that a host comes no further."""
        self._ended[host] = status
        self._consider()

    def _consider(self) -> None:
        for key, waiting in list(self._waiting.items()):
            _, nodes, step = key
            left = [name for name in nodes if name not in waiting]
            if all(name in self._ended for name in left):
                del self._waiting[key]
                asked = {name: waiting[name][0] for name in nodes if name in waiting}
                answers = _answers(step, asked, {name: self._ended[name] for name in left})
                for name, (_, send) in waiting.items():
                    send(answers[name])


def _answers(step: str, asked: Asked, gone: Mapping[str, Status]) -> dict[str, Answer]:
    """Return what to say to the nodes that have asked.

    Args:
        step: as far as they have come.
        asked: by host, what each has asked.
        gone: the nodes that come no further, and how they ended.
    """
    starts = any(question.starts for question in asked.values())
    if gone and starts:
        return dict.fromkeys(asked, Answer(go=False, findings=[_alone(next(iter(asked.values())), gone)]))
    if step == "compare":
        against = list(_differences({name: question.same for name, question in asked.items()}))
    else:
        against = [finding for question in asked.values() for finding in question.findings]
    if against:
        return dict.fromkeys(asked, Answer(go=False, findings=[_together(against)]))
    return {name: Answer(go=True, starts=starts, peers=list(_peers(name, asked.values()))) for name in asked}


def _alone(question: Meet, gone: Mapping[str, Status]) -> Finding:
    words = {"ok": "has ended", "cancelled": "was cancelled", "unreachable": "could not be reached"}
    names = " and ".join(f"{name} {words.get(status, status)}" for name, status in gone.items())
    message = f"{question.service} is not changed on any of its nodes, because {names}"
    return fault("node-missing", message, "correct what is wrong there, and apply again")


def _differences(same: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    """Give what has to be the same on all nodes and is not."""
    for what in dict.fromkeys(key for found in same.values() for key in found):
        values = {host: found.get(what, "missing") for host, found in same.items()}
        if len(set(values.values())) > 1:
            said = ", ".join(f"{value} on {host}" for host, value in values.items())
            hint = "pin the same version, or bring the same files, on all nodes"
            yield fault("nodes-differ", f"{what}: {said}", hint)


def _together(findings: list[Finding]) -> Finding:
    """Return several findings of one code as one."""
    first = findings[0]
    more = f" (and {len(findings) - SHOWN} more)" if len(findings) > SHOWN else ""
    message = "; ".join(dict.fromkeys(each.message for each in findings[:SHOWN])) + more
    return first.replace(message=message)


def _peers(host: str, asked: Iterable[Meet]) -> Iterator[Peer]:
    for question in asked:
        if question.host != host and question.address is not None:
            yield Peer(host=question.host, address=question.address, ports=question.ports)
