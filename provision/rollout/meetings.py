"""The nodes of services over several hosts: each waits for the others before each step of a change."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from provision.transport.clock import BEARABLE
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

ALONE = ("prove", "remove", "back")
"""The steps for which a node waits no longer for one that comes no further, and goes on without it."""

FROM_EACH = ("choose", "ready")
"""The steps of which a finding has to say on which node it was found."""


class Meetings:
    """Answers the nodes of a service once all have come as far, or some cannot.

    Args:
        hosts: those of the run; nobody waits for others.
        ignored: codes of findings that stop nothing.
    """

    def __init__(self, hosts: Collection[str], ignored: Collection[str] = ()) -> None:
        self._hosts = frozenset(hosts)
        self._ignored = frozenset(ignored)
        self._waiting: dict[tuple[str, tuple[str, ...], str], dict[str, tuple[Meet, Send]]] = {}
        self._ended: dict[str, Status] = {}
        self._looked: dict[tuple[str, tuple[str, ...]], dict[str, Meet]] = {}
        """By service, what the nodes of those have said at first of which each joins by itself."""

    def meet(self, question: Meet, send: Send) -> None:
        """Take note that a node has come as far as this, and waits for the others."""
        if question.now is not None:
            question = question.replace(now=question.now - time.time())
        nodes = tuple(question.nodes)
        if question.joins and question.step == "look":
            self._looked.setdefault((question.service, nodes), {})[question.host] = question
        self._waiting.setdefault((question.service, nodes, question.step), {})[question.host] = question, send
        self._call_off(question.service, nodes)
        self._consider()

    def ended(self, host: str, status: Status) -> None:
        """Take note that a host comes no further."""
        self._ended[host] = status
        for (_, _, step), waiting in self._waiting.items():
            if step == "watch":
                waiting.pop(host, None)
        self._consider()

    def _call_off(self, service: str, nodes: tuple[str, ...]) -> None:
        """Tell the nodes that prove a service still that another one has failed, if one has."""
        proven = self._waiting.get((service, nodes, "prove"), {})
        if any(question.findings for question, _ in proven.values()):
            for _, send in self._waiting.pop((service, nodes, "watch"), {}).values():
                send(Answer(go=False))

    def _consider(self) -> None:
        for key, waiting in list(self._waiting.items()):
            _, nodes, step = key
            left = [name for name in nodes if name not in waiting and name in self._hosts]
            if step != "watch" and all(name in self._ended for name in left):
                del self._waiting[key]
                asked = {name: waiting[name][0] for name in nodes if name in waiting}
                gone = {name: self._ended[name] for name in left if step not in ALONE}
                stay = [each for each in self._looked.get(key[:2], {}).values() if not each.starts]
                answers = _answers(step, asked, gone, self._ignored, stay)
                for name, (_, send) in waiting.items():
                    send(answers[name])


def _answers(
    step: str,
    asked: Asked,
    gone: Mapping[str, Status],
    ignored: Collection[str],
    stay: Collection[Meet] = (),
) -> dict[str, Answer]:
    """Return what to say to the nodes that have asked.

    Args:
        step: as far as they have come.
        asked: by host, what each has asked.
        gone: the nodes that come no further, and how they ended.
        ignored: codes of findings that stop nothing.
        stay: what the nodes have said that go on as they are, where each joins by itself.
    """
    starts = [host for host, question in asked.items() if question.starts]
    joins = any(question.joins for question in asked.values())
    if gone and starts and not joins:
        return dict.fromkeys(asked, Answer(go=False, findings=[_alone(next(iter(asked.values())), gone)]))
    found = list(_against(step, asked, stay))
    against = [finding for finding in found if finding.code not in ignored]
    if against:
        return dict.fromkeys(asked, Answer(go=False, findings=[_together(against)]))
    change = next((question.change for question in asked.values() if question.change), "")
    return {
        name: Answer(go=True, starts=starts, peers=list(_peers(name, asked.values())), change=change)
        for name in asked
    }


def _against(step: str, asked: Asked, stay: Collection[Meet]) -> Iterator[Finding]:
    """Give what is against the next step."""
    if step == "compare":
        every = {**{each.host: each for each in stay}, **asked}
        yield from _differences({name: question.same for name, question in every.items()})
        yield from _clocks({name: each.now for name, each in asked.items() if each.now is not None})
    for host, question in asked.items():
        for finding in question.findings:
            if step == "prove":
                message = (
                    f"{host} failed ({finding.message}), and a service is proven on all its nodes or none"
                )
                yield fault("node-failed", message, f"correct what is wrong on {host}, and apply again")
            elif step == "back":
                yield finding.replace(message=f"{finding.message} on {host}")
            elif step in FROM_EACH:
                yield finding.replace(message=f"{host}: {finding.message}")
            else:
                yield finding


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


def _clocks(ahead: Mapping[str, float]) -> Iterator[Finding]:
    """Give clocks that are too far from each other; `ahead`: of the controller's, in seconds."""
    if not ahead:
        return
    first, last = min(ahead, key=ahead.__getitem__), max(ahead, key=ahead.__getitem__)
    apart = ahead[last] - ahead[first]
    if apart > BEARABLE:
        message = f"the clock of {last} is {apart:.0f} s ahead of that of {first}"
        yield fault("nodes-differ", message, "let both follow a time server: `timedatectl set-ntp true`")


def _together(findings: list[Finding]) -> Finding:
    """Return several findings as one."""
    first = findings[0]
    more = f" (and {len(findings) - SHOWN} more)" if len(findings) > SHOWN else ""
    message = "; ".join(dict.fromkeys(each.message for each in findings[:SHOWN])) + more
    return first.replace(message=message)


def _peers(host: str, asked: Iterable[Meet]) -> Iterator[Peer]:
    for question in asked:
        if question.host != host and question.address is not None:
            yield Peer(host=question.host, address=question.address, ports=question.ports)
