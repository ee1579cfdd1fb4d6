"""Taking services out of the rotation of gateways before they are stopped, and back when they are proven.

For each gateway a request of its own goes to its host, which holds the server out as long as the connection
is open. When it is cut, the host of the gateway lets the server in again once that answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from provision.rollout import outages
from provision.rollout.departures import Departure, Held, Send
from provision.wire import events, questions, rollout
from provision.wire.finding import WARNING, Finding
from provision.wire.requests import Hold
from provision.wire.survey import Answer

if TYPE_CHECKING:
    from provision.fleet.gateways import Gateway
    from provision.rollout.run import Open
    from provision.transport.target import OnEvent, Status, Target


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
        self._departures: list[Departure] = []
        self._back: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        """By gateway and service the hosts whose server has come back, as HAProxy has said."""
        self._failed: defaultdict[str, set[str]] = defaultdict(set)
        """By service the hosts where it left in this run, and was not proven."""

    def begin(self, open: Open) -> None:
        """Take what opens connections to the hosts of gateways."""
        self._open = open

    def leave(self, question: questions.Leave, send: Send) -> None:
        """Answer a host that is about to stop a service, once no gateway passes requests to it."""
        departure = Departure(question.host, question.service, question.ends, send)
        self._departures.append(departure)
        for each in self._gateways:
            if question.service in each.front.upstreams:
                departure.holds.append(Held(each))
        for hold in list(departure.holds):
            self._begin(departure, hold)
        self._consider()

    def back(self, question: questions.Return, send: Send) -> None:
        """Answer a host whose service has been proven, or has ended, once gateways have it again."""
        found = [each for each in self._departures if each.answers(question)]
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
                    self._tell(departure, hold, outages.left_out(departure.service, hold.gateway), out=True)
                hold.answer(False)
        self._consider()

    # -- one gateway --------------------------------------------------------------------------------------

    def _begin(self, departure: Departure, hold: Held) -> None:
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
            elif isinstance(event, events.Error) and event.finding.code == "missing-python":
                hold.absent = True  # a host without Python has no gateway of ours yet
            elif isinstance(event, events.Error):
                hold.wrong = hold.wrong or event.finding
            elif isinstance(event, rollout.Unreachable):
                lost(event.finding)

        def lost(why: Finding | None) -> None:
            if hold.wrong is None and not hold.absent:
                out = hold.out is not None
                hold.wrong = (
                    outages.lost(service, gateway) if out else outages.unreached(service, gateway, why)
                )

        def questioned(question: questions.Question, send: Send) -> None:
            hold.send = send
            if departure not in self._departures:
                hold.answer(departure.refused and isinstance(question, questions.Out))
            elif isinstance(question, questions.Rotation):
                hold.seen = question
                self._consider()
            elif isinstance(question, questions.Out):
                hold.out = question
                self._gone(departure)

        def closed(status: Status) -> None:
            hold.ended = True
            if status != "ok":
                lost(None)
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

    def _others(self, departure: Departure, hold: Held) -> set[str]:
        """Return the hosts whose server is up at a gateway, except for that of a departure."""
        assert hold.seen is not None
        up = {each.host for each in hold.seen.servers if each.up}
        up |= self._back[str(hold.gateway), departure.service]
        return up - self._out(departure) - self._failed[departure.service] - {departure.host}

    def _out(self, departure: Departure) -> set[str]:
        """Return the other hosts where the same service has left."""
        return {
            each.host
            for each in self._departures
            if each is not departure and each.admitted and each.service == departure.service
        }

    def _known(self, departure: Departure) -> list[Held]:
        return [hold for hold in departure.holds if hold.seen and hold.seen.known and not hold.ended]

    def _must_wait(self, departure: Departure) -> bool:
        """Whether a service is out on another host in this run, and no further one is up."""
        out = self._out(departure)
        return bool(out) and any(not self._others(departure, hold) for hold in self._known(departure))

    def _last(self, departure: Departure) -> Finding | None:
        """Return why a service must not leave: it is the only one left. Note what clients see if it may."""
        failed = self._failed[departure.service] - {departure.host}
        for hold in self._known(departure):
            if self._others(departure, hold):
                continue
            if failed and not departure.ends:
                return outages.only_one_left(departure.service, hold.gateway, failed)
            if not departure.ends:
                departure.notes[hold] = outages.alone(departure.service, hold.gateway)
        return None

    def _wrong(self, departure: Departure) -> Finding | None:
        """Return why a gateway cannot take the service out, unless that is to be ignored."""
        return next((each for each in self._troubles(departure) if each.code not in self._ignored), None)

    def _troubles(self, departure: Departure) -> list[Finding]:
        return [hold.wrong for hold in departure.holds if hold.wrong]

    def _gone(self, departure: Departure) -> None:
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
                self._tell(departure, hold, hold.wrong.replace(severity=WARNING), out=True)
        departure.answer(ignored=self._troubles(departure))

    def _noted(self, departure: Departure, hold: Held) -> Finding | None:
        assert hold.out is not None
        if hold.out.by_hand:
            return outages.by_hand(departure.service, hold.gateway)
        if hold.out.left:
            return outages.cut(departure.service, hold.gateway, hold.out.left)
        return departure.notes.get(hold)

    def _refuse(self, departure: Departure, wrong: Finding) -> None:
        """Tell a host that its service is not to be stopped; gateways go on passing requests to it."""
        self._departures.remove(departure)
        departure.refused = True
        for hold in departure.holds:
            hold.answer(hold.out is not None)
        departure.answer(wrong)
        self._consider()

    def _returned(self, departure: Departure) -> None:
        """Let the host go on, if the gateways have its service again."""
        if not all(hold.ended for hold in departure.holds):
            return
        self._departures.remove(departure)
        for hold in departure.holds:
            if hold.out and hold.wrong is None and not hold.out.by_hand and not departure.ends:
                self._back[str(hold.gateway), departure.service].add(departure.host)
                self._tell(departure, hold, None, out=False)
        wrong = self._wrong(departure)
        if wrong and not departure.ends:
            self._failed[departure.service].add(departure.host)
        departure.answer(wrong)
        self._consider()

    def _tell(self, departure: Departure, hold: Held, finding: Finding | None, out: bool) -> None:
        self._take(
            rollout.Rotated(
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
