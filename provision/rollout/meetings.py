"""The nodes of services over several hosts: each waits for the others before each step of a change."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from provision.transport.clock import BEARABLE
from provision.wire.finding import Finding, fault
from provision.wire.nodes import Peer
from provision.wire.survey import Answer

if TYPE_CHECKING:
    from provision.transport.target import Status
    from provision.wire.questions import Meet

    Send = Callable[[Answer], None]
    Asked = Mapping[str, Meet]
    """By host, what it has asked."""
    Group = tuple[str, tuple[str, ...]]
    """A service, and its nodes."""
    Key = tuple[str, tuple[str, ...], str]
    """The same, and as far as they have come."""

SHOWN = 4
"""Findings that one message names."""

FIRST = ("look", "hold")
"""The steps before anything is changed: a node then leaves its host to a run that holds one of the others."""

BEFORE = (*FIRST, "choose", "ready", "compare", "reach", "stop")
"""The steps for which nobody waits for a node that has failed already."""

ALONE = ("hold", "prove", "return", "remove", "back")
"""The steps for which a node waits no longer for one that comes no further, and goes on without it."""

FROM_EACH = ("choose", "ready", "return")
"""The steps of which a finding has to say on which node it was found."""


class Meetings:
    """Answers the nodes of a service once all have come as far, or some cannot.

    No wait lasts longer than another node works on the same service: one that has failed, has ended, or has
    nothing to do is not waited for.

    Args:
        hosts: those of the run; nobody waits for others.
        ignored: codes of findings that stop nothing.
        held: returns the hosts that other runs hold now.
    """

    def __init__(
        self,
        hosts: Collection[str],
        ignored: Collection[str] = (),
        held: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self._hosts = frozenset(hosts)
        self._ignored = frozenset(ignored)
        self._held = held
        self._waiting: dict[Key, dict[str, tuple[Meet, Send]]] = {}
        self._ended: dict[str, Status] = {}
        self._failed: defaultdict[Group, set[str]] = defaultdict(set)
        """By service, the nodes that have said that it failed there."""
        self._looked: defaultdict[Group, dict[str, Meet]] = defaultdict(dict)
        """By service, what its nodes have said at first."""
        self._agreed: defaultdict[Group, set[str]] = defaultdict(set)
        """By service, the nodes that have been answered then: one that comes again need not wait for them."""

    def meet(self, question: Meet, send: Send) -> None:
        """Take note that a node has come as far as this, and waits for the others."""
        if question.now is not None:
            question = question.replace(now=question.now - time.time())
        nodes = tuple(question.nodes)
        if question.step == "look":
            self._looked[question.service, nodes][question.host] = question
            self._agreed[question.service, nodes].discard(question.host)
        if question.findings and question.step == "prove":
            self._failed[question.service, nodes].add(question.host)
        self._waiting.setdefault((question.service, nodes, question.step), {})[question.host] = question, send
        self._call_off(question.service, nodes)
        self.consider()

    def ended(self, host: str, status: Status) -> None:
        """Take note that a host comes no further."""
        self._ended[host] = status
        for (_, _, step), waiting in self._waiting.items():
            if step == "watch":
                waiting.pop(host, None)
        self.consider()

    def _call_off(self, service: str, nodes: tuple[str, ...]) -> None:
        """Tell the nodes that prove a service still that another one has failed, if one has."""
        proven = self._waiting.get((service, nodes, "prove"), {})
        if any(question.findings for question, _ in proven.values()):
            for _, send in self._waiting.pop((service, nodes, "watch"), {}).values():
                send(Answer(go=False))

    def consider(self) -> None:
        """Answer all who need not wait any longer."""
        held = frozenset(self._held())
        for key, waiting in list(self._waiting.items()):
            service, nodes, step = key
            left = self._left(key)
            if step == "watch":
                continue
            if step in FIRST and held.intersection(left):
                del self._waiting[key]
                for _, send in waiting.values():
                    send(Answer(go=False, leave=True))
                continue
            failed = self._failed[service, nodes] if step in BEFORE else ()
            if all(name in self._ended or name in failed for name in left):
                del self._waiting[key]
                self._answer(key, waiting, left)

    def _answer(self, key: Key, waiting: Mapping[str, tuple[Meet, Send]], left: Collection[str]) -> None:
        """Answer those that wait, without the ones that are left."""
        service, nodes, step = key
        looked, agreed = self._looked[service, nodes], self._agreed[service, nodes]
        known = {name: looked[name] for name in agreed} if step == "look" else {}
        asked = {**known, **{name: waiting[name][0] for name in nodes if name in waiting}}
        gone = {} if step in ALONE else {name: self._ended.get(name, "failed") for name in left}
        answers = _answers(step, asked, gone, self._ignored, self._staying(service, nodes).values())
        if step == "look":
            agreed.update(waiting)
        for name, (_, send) in waiting.items():
            send(answers[name])

    def _left(self, key: Key) -> list[str]:
        """Return the nodes that have not come as far, and have something to do."""
        service, nodes, step = key
        others = self._agreed[service, nodes] if step in FIRST else self._staying(service, nodes)
        here = self._waiting[key]
        return [name for name in nodes if name in self._hosts and name not in here and name not in others]

    def _staying(self, service: str, nodes: tuple[str, ...]) -> Asked:
        """Return what the nodes have said that go on as they are, where each joins by itself."""
        looked = self._looked[service, nodes]
        return {name: each for name, each in looked.items() if each.joins and not each.starts}


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
