"""Taking services out of the rotation of gateways before they are stopped, and putting them back when proven.

For each gateway a request of its own goes to its host, which holds the server out as long as the connection
is open. When it is cut, the host of the gateway lets the server in again once that answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provision.wire import events
from provision.wire.finding import Finding, fault, information, warning
from provision.wire.requests import Hold
from provision.wire.survey import Answer

if TYPE_CHECKING:
    from provision.fleet.gateways import Gateway
    from provision.rollout.run import Open
    from provision.transport.target import OnEvent, Status, Target

Send = Callable[[Answer], None]

UNREACHABLE = "gateway-unreachable"
"""The code of the error of a service that is not stopped, because a gateway in front of it is not reached."""


@dataclass(eq=False)
class _Hold:
    """What is known of one server at one gateway.

    Args:
        gateway: which.
        seen: how the servers of the service were when it was asked.
        out: the server is out of rotation.
        send: answers the question on which the gateway's host waits.
        wrong: why it does not go on.
        ended: nothing follows.
    """

    gateway: Gateway
    seen: events.Rotation | None = None
    out: events.Out | None = None
    send: Send | None = None
    wrong: Finding | None = None
    ended: bool = False

    @property
    def looked(self) -> bool:
        """Whether it is known how the servers are, or that it will not be known."""
        return self.seen is not None or self.ended

    @property
    def settled(self) -> bool:
        """Whether the server is out, or need not be, or will not be."""
        return self.out is not None or self.ended

    def answer(self, go: bool) -> None:
        """Let the gateway's host go on (at the end: put the server back), or leave it to itself."""
        if self.send and not self.ended:
            send, self.send = self.send, None
            send(Answer(go=go))


@dataclass(eq=False)
class _Departure:
    """A service of one host that leaves, is out, and comes back.

    Args:
        host: its host.
        service: its name.
        ends: it does not come back.
        send: answers the question on which its host waits.
        holds: one for each gateway in front of it.
        admitted: it was decided that it may leave.
        coming: it is to be put back.
        notes: what is to be told by gateway.
    """

    host: str
    service: str
    ends: bool
    send: Send | None
    holds: list[_Hold] = field(default_factory=list)
    admitted: bool = False
    coming: bool = False
    notes: dict[_Hold, Finding] = field(default_factory=dict)

    def answer(self, wrong: Finding | None = None, ignored: Iterable[Finding] = ()) -> None:
        """Let its host go on, or tell it why not."""
        if self.send:
            send, self.send = self.send, None
            send(Answer(go=wrong is None, findings=[wrong] if wrong else list(ignored)))


class Rotation:
    """Answers hosts that stop a service which gateways pass requests to, and those that have proven it.

    Args:
        gateways: all of the project.
        target: returns what reaches the host of a gateway with a request.
        ignored: codes of errors that are to stop nothing.
        take: is told what becomes of services.
    """

    def __init__(
        self,
        gateways: Collection[Gateway],
        target: Callable[[Gateway, Hold], Target],
        ignored: Collection[str],
        take: OnEvent,
    ) -> None:
        self._gateways = gateways
        self._target = target
        self._ignored = frozenset(ignored)
        self._take = take
        self._open: Open | None = None
        self._departures: list[_Departure] = []
        self._back: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        """By gateway and service the hosts whose server has come back, as HAProxy has said."""
        self._failed: defaultdict[str, set[str]] = defaultdict(set)
        """By service the hosts where it left in this run, and was not proven."""

    def begin(self, open: Open) -> None:
        """Take what opens connections to the hosts of gateways."""
        self._open = open

    def leave(self, question: events.Leave, send: Send) -> None:
        """Answer a host that is about to stop a service, once no gateway passes requests to it."""
        departure = _Departure(question.host, question.service, question.ends, send)
        self._departures.append(departure)
        for each in self._gateways:
            if question.service in each.front.upstreams:
                departure.holds.append(_Hold(each))
        for hold in list(departure.holds):
            self._begin(departure, hold)
        self._consider()

    def back(self, question: events.Return, send: Send) -> None:
        """Answer a host whose service has been proven, or has ended, once gateways have it again."""
        found = [each for each in self._departures if _about(each, question)]
        if not found:
            send(Answer(go=True))
            return
        (departure,) = found
        departure.send, departure.coming = send, True
        for hold in departure.holds:
            hold.answer(True)
        self._returned(departure)

    def ended(self, host: str) -> None:
        """Leave what has left and was not proven to the hosts of the gateways: the host has ended."""
        for departure in [each for each in self._departures if each.host == host]:
            self._departures.remove(departure)
            departure.send = None
            if departure.admitted and not departure.ends:
                self._failed[departure.service].add(host)
            for hold in departure.holds:
                if hold.out and not hold.ended and not departure.coming and not hold.out.by_hand:
                    self._tell(departure, hold, _left_out(departure.service, hold.gateway), out=True)
                hold.answer(False)
        self._consider()

    # -- one gateway --------------------------------------------------------------------------------------

    def _begin(self, departure: _Departure, hold: _Hold) -> None:
        """Ask the host of a gateway."""
        gateway, service = hold.gateway, departure.service
        asked = Hold(
            gateway=gateway.front.name,
            keys=gateway.front.keys,
            service=service,
            server=departure.host,
            port=gateway.servers[service].get(departure.host),
            seconds=gateway.front.drain,
            ends=departure.ends,
        )

        def heard(event: events.Event) -> None:
            if isinstance(event, events.Waiting):
                reason = f"{event.reason} of {service} at {gateway}"
                self._take(event.replace(host=departure.host, reason=reason))
            elif isinstance(event, events.Error):
                hold.wrong = hold.wrong or event.finding
            elif isinstance(event, events.Unreachable):
                hold.wrong = hold.wrong or _unreached(service, gateway, event.finding)

        def questioned(question: events.Question, send: Send) -> None:
            hold.send = send
            if isinstance(question, events.Rotation):
                hold.seen = question
                self._consider()
            elif isinstance(question, events.Out):
                hold.out = question
                self._gone(departure)

        def closed(status: Status) -> None:
            hold.ended = True
            if status != "ok" and hold.wrong is None:
                hold.wrong = _unreached(service, gateway, None)
            if departure not in self._departures:
                return
            if departure.coming:
                self._returned(departure)
            elif departure.admitted:
                self._gone(departure)
            else:
                self._consider()

        assert self._open is not None
        self._open(self._target(gateway, asked), heard, questioned, closed)

    # -- what follows -------------------------------------------------------------------------------------

    def _consider(self) -> None:
        """Let those leave that may now; the first that has asked comes first."""
        for departure in list(self._departures):
            if departure.admitted or departure not in self._departures:
                continue
            if not all(hold.looked for hold in departure.holds):
                continue
            wrong = self._wrong(departure)
            if wrong is None and self._must_wait(departure):
                continue
            wrong = wrong or self._last(departure)
            if wrong:
                self._refuse(departure, wrong)
                continue
            departure.admitted = True
            for hold in departure.holds:
                hold.answer(True)
            self._gone(departure)

    def _others(self, departure: _Departure, hold: _Hold) -> set[str]:
        """Return the hosts whose server is up at a gateway, except for that of a departure."""
        assert hold.seen is not None
        up = {each.host for each in hold.seen.servers if each.up}
        up |= self._back[str(hold.gateway), departure.service]
        return up - self._out(departure) - self._failed[departure.service] - {departure.host}

    def _out(self, departure: _Departure) -> set[str]:
        """Return the other hosts where the same service has left."""
        return {
            each.host
            for each in self._departures
            if each is not departure and each.admitted and each.service == departure.service
        }

    def _known(self, departure: _Departure) -> list[_Hold]:
        return [hold for hold in departure.holds if hold.seen and hold.seen.known and not hold.ended]

    def _must_wait(self, departure: _Departure) -> bool:
        """Whether a service is out on another host in this run, and no further one is up."""
        out = self._out(departure)
        return bool(out) and any(not self._others(departure, hold) for hold in self._known(departure))

    def _last(self, departure: _Departure) -> Finding | None:
        """Return why a service must not leave: it is the only one left. Note what clients see if it may."""
        failed = self._failed[departure.service] - {departure.host}
        for hold in self._known(departure):
            if self._others(departure, hold):
                continue
            if failed and not departure.ends:
                return _only_one_left(departure.service, hold.gateway, failed)
            if not departure.ends:
                departure.notes[hold] = _alone(departure.service, hold.gateway)
        return None

    def _wrong(self, departure: _Departure) -> Finding | None:
        """Return why a gateway cannot take the service out, unless that is to be ignored."""
        return next((each for each in self._troubles(departure) if each.code not in self._ignored), None)

    def _troubles(self, departure: _Departure) -> list[Finding]:
        return [hold.wrong for hold in departure.holds if hold.wrong]

    def _gone(self, departure: _Departure) -> None:
        """Let the host stop the service, if it is out of rotation everywhere."""
        if departure.coming or departure.send is None or not departure.admitted:
            return
        if not all(hold.settled for hold in departure.holds):
            return
        wrong = self._wrong(departure)
        if wrong:
            self._refuse(departure, wrong)
            return
        for hold in departure.holds:
            if hold.out:
                self._tell(departure, hold, self._noted(departure, hold), out=True)
            elif hold.wrong:
                self._tell(departure, hold, hold.wrong.replace(severity="warning"), out=True)
        departure.answer(ignored=self._troubles(departure))

    def _noted(self, departure: _Departure, hold: _Hold) -> Finding | None:
        assert hold.out is not None
        if hold.out.by_hand:
            return _by_hand(departure.service, hold.gateway)
        if hold.out.left:
            return _cut(departure.service, hold.gateway, hold.out.left)
        return departure.notes.get(hold)

    def _refuse(self, departure: _Departure, wrong: Finding) -> None:
        """Tell a host that its service is not to be stopped; gateways go on passing requests to it."""
        self._departures.remove(departure)
        for hold in departure.holds:
            hold.answer(hold.out is not None)
        departure.answer(wrong)
        self._consider()

    def _returned(self, departure: _Departure) -> None:
        """Let the host go on, if the gateways have its service again."""
        if not all(hold.ended for hold in departure.holds):
            return
        self._departures.remove(departure)
        for hold in departure.holds:
            if hold.wrong is None:
                self._back[str(hold.gateway), departure.service].add(departure.host)
                if hold.out and not hold.out.by_hand and not departure.ends:
                    self._tell(departure, hold, None, out=False)
        wrong = self._wrong(departure)
        if wrong and not departure.ends:
            self._failed[departure.service].add(departure.host)
        departure.answer(wrong)
        self._consider()

    def _tell(self, departure: _Departure, hold: _Hold, finding: Finding | None, out: bool) -> None:
        self._take(
            events.Rotated(
                host=departure.host,
                service=departure.service,
                gateway=hold.gateway.front.name,
                at=hold.gateway.host,
                out=out,
                left=hold.out.left if hold.out and out else 0,
                seconds=hold.out.seconds if hold.out and out else 0.0,
                finding=finding,
            )
        )


def _about(departure: _Departure, question: events.Return) -> bool:
    return (departure.host, departure.service) == (question.host, question.service)


def _unreached(service: str, gateway: Gateway, why: Finding | None) -> Finding:
    said = f": {why.message}" if why else ""
    message = f"{service} is not stopped, as {gateway} cannot take it out of rotation{said}"
    hint = (
        f"see to {gateway.host}, or go on without it by --ignore {UNREACHABLE}: running requests are cut then"
    )
    return fault(UNREACHABLE, message, hint)


def _only_one_left(service: str, gateway: Gateway, failed: set[str]) -> Finding:
    names = ", ".join(sorted(failed))
    message = f"{service} is not stopped: no other one is up at {gateway} since {names} failed"
    return fault("last-replica", message, f"correct what failed on {names}, and apply again")


def _alone(service: str, gateway: Gateway) -> Finding:
    message = f"no other {service} is up at {gateway}"
    if gateway.front.queue is None:
        hint = "`queue` of the gateway lets them wait instead"
        return warning("no-other-replica", f"{message}: until it is back, requests get 503", hint)
    return information("no-other-replica", f"{message}: requests wait up to {gateway.front.queue:g} s")


def _cut(service: str, gateway: Gateway, left: int) -> Finding:
    requests = "1 request" if left == 1 else f"{left} requests"
    message = (
        f"{requests} of {service} still ran at {gateway} after {gateway.front.drain:g} s, and may be cut"
    )
    return warning("requests-cut", message, "`timeouts.drain` of the gateway gives them more time")


def _by_hand(service: str, gateway: Gateway) -> Finding:
    return information("out-by-hand", f"{service} was out of rotation at {gateway} before, and stays so")


def _left_out(service: str, gateway: Gateway) -> Finding:
    message = f"{service} is out of rotation at {gateway} until it answers there"
    return warning(
        "left-out", message, "that is seen to on the gateway's host; nothing has to be done for it"
    )
