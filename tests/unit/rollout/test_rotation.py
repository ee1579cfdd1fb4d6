"""Which service may leave the rotation of gateways, when, and what its host is told."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import pytest

from provision.fleet.gateways import Gateway
from provision.kinds.common.front import Front
from provision.rollout.rotation import Rotation
from provision.transport.target import OnEvent, OnQuestion, Status
from provision.wire.events import Error, Event
from provision.wire.finding import fault
from provision.wire.questions import Beside, Leave, Out, Return
from provision.wire.questions import Rotation as Seen
from provision.wire.requests import Hold
from provision.wire.rollout import Rotated, Unreachable
from provision.wire.survey import Answer


class Line(NamedTuple):
    """A connection to the host of a gateway."""

    asked: Hold
    event: OnEvent
    question: OnQuestion
    ended: Callable[[Status], None]


class Fleet:
    """Gateways in front of services of three hosts, and what their hosts and those of services are told."""

    def __init__(self, *gateways: str, queue: float | None = None, ignored: Collection[str] = ()) -> None:
        servers = {service: dict.fromkeys("abc", 1) for service in ("s", "t")}
        front: dict[str, Any] = {"upstreams": ("s", "t"), "keys": "/k", "drain": 5.0, "queue": queue}
        self.told: list[Event] = []
        self.lines: dict[tuple[str, str, str], Line] = {}
        self.answers: dict[tuple[str, str], Answer] = {}
        """What the hosts of services were answered last."""
        self.holding: dict[tuple[str, str, str], bool] = {}
        """What the hosts of gateways were answered last."""
        self.rotation = Rotation(
            [Gateway(f"on-{name}", Front(name=name, **front), servers) for name in gateways or ("g",)],
            lambda gateway, asked: asked,  # type: ignore[arg-type, return-value]
            ignored,
            self.told.append,
        )
        self.rotation.begin(self._open)

    def _open(
        self, asked: Any, event: OnEvent, question: OnQuestion, ended: Callable[[Status], None]
    ) -> None:
        self.lines[asked.gateway, asked.service, asked.server] = Line(asked, event, question, ended)

    def leave(self, host: str, service: str = "s", **more: Any) -> None:
        self.rotation.leave(Leave(host=host, service=service, **more), self._hears(host, service))

    def back(self, host: str, service: str = "s") -> None:
        self.rotation.back(Return(host=host, service=service), self._hears(host, service))

    def _hears(self, host: str, service: str) -> Callable[[Answer], None]:
        self.answers.pop((host, service), None)

        def hear(answer: Answer) -> None:
            self.answers[host, service] = answer

        return hear

    def seen(self, host: str, up: str, service: str = "s", gateway: str = "g", known: bool = True) -> None:
        servers = [Beside(host=each, up=each in up) for each in "abc"]
        self._asks(host, service, gateway, Seen(known=known, servers=servers))

    def out(self, host: str, service: str = "s", gateway: str = "g", **more: Any) -> None:
        self._asks(host, service, gateway, Out(**more))

    def _asks(self, host: str, service: str, gateway: str, question: Any) -> None:
        place = gateway, service, host
        self.holding.pop(place, None)
        self.lines[place].question(question, lambda answer: self.holding.update({place: answer.go}))

    def end(self, host: str, status: Status = "ok", service: str = "s", gateway: str = "g") -> None:
        self.lines[gateway, service, host].ended(status)

    def leaves(self, host: str, up: str, service: str = "s") -> None:
        """Let a service leave."""
        self.leave(host, service)
        self.seen(host, up, service)
        self.out(host, service)
        assert self.answers[host, service].go

    def returns(self, host: str, service: str = "s") -> None:
        """Let a service come back."""
        self.back(host, service)
        self.end(host, service=service)
        assert self.answers[host, service].go

    def codes(self) -> list[str | None]:
        found = [event for event in self.told if isinstance(event, Rotated)]
        return [event.finding.code if event.finding else None for event in found]


def test_it_is_stopped_once_it_is_out_and_goes_on_once_it_is_back() -> None:
    fleet = Fleet()
    fleet.leave("a")
    assert not fleet.answers
    fleet.seen("a", up="abc")
    assert fleet.holding == {("g", "s", "a"): True}
    assert not fleet.answers
    fleet.out("a", seconds=2.0)
    assert fleet.answers["a", "s"].go
    fleet.back("a")
    assert fleet.holding == {("g", "s", "a"): True}
    assert not fleet.answers
    fleet.end("a")
    assert fleet.answers["a", "s"].go
    assert [(each.out, each.seconds) for each in fleet.told if isinstance(each, Rotated)] == [
        (True, 2.0),
        (False, 0.0),
    ]


def test_what_no_gateway_has_is_stopped_at_once() -> None:
    fleet = Fleet()
    fleet.leave("a", service="other")
    assert fleet.answers["a", "other"].go
    fleet.back("b")
    assert fleet.answers["b", "s"].go


@pytest.mark.parametrize("known", [True, False], ids=["no gateway runs", "it does not have this server yet"])
def test_where_there_is_nothing_to_leave_it_is_stopped(known: bool) -> None:
    fleet = Fleet()
    fleet.leave("a")
    if known:
        fleet.lines["g", "s", "a"].event(Error(host="on-g", finding=fault("missing-python", "no python3")))
        fleet.end("a", "failed")
    else:
        fleet.seen("a", up="", known=False)
        assert not fleet.told
        fleet.end("a")
    assert fleet.answers["a", "s"].go
    fleet.back("a")
    assert fleet.answers["a", "s"].go


def test_the_last_one_that_is_up_waits_for_those_that_are_out() -> None:
    fleet = Fleet()
    fleet.leaves("a", up="ab")
    fleet.leave("b")
    fleet.seen("b", up="b")  # it was asked when `a` was out already
    assert ("g", "s", "b") not in fleet.holding
    fleet.returns("a")
    assert fleet.holding["g", "s", "b"] is True
    assert "no-other-replica" not in fleet.codes()


def test_two_may_be_out_while_a_third_is_up() -> None:
    fleet = Fleet()
    fleet.leaves("a", up="abc")
    fleet.leaves("b", up="abc")
    fleet.leave("c")
    fleet.seen("c", up="abc")
    assert ("g", "s", "c") not in fleet.holding


def test_where_others_are_down_by_themselves_it_goes_on_and_says_what_clients_see() -> None:
    for queue, severity in ((None, "warning"), (20.0, "info")):
        fleet = Fleet(queue=queue)
        fleet.leaves("a", up="a")
        (told,) = [each for each in fleet.told if isinstance(each, Rotated)]
        assert told.finding
        assert (told.finding.code, told.finding.severity) == ("no-other-replica", severity)


def test_where_another_failed_in_this_run_the_last_one_stays() -> None:
    fleet = Fleet()
    fleet.leaves("a", up="ab")
    fleet.leave("b")
    fleet.seen("b", up="ab")
    fleet.rotation.ended("a")
    assert fleet.holding["g", "s", "a"] is False
    assert fleet.codes() == [None, "left-out"]
    assert not fleet.answers["b", "s"].go
    assert fleet.answers["b", "s"].findings[0].code == "last-replica"


def test_all_gateways_have_to_let_it_go_before_any_takes_it_out() -> None:
    fleet = Fleet("g", "k")
    fleet.leave("a")
    fleet.seen("a", up="ab")
    assert not fleet.holding
    fleet.seen("a", up="ab", gateway="k")
    assert fleet.holding == {("g", "s", "a"): True, ("k", "s", "a"): True}
    fleet.out("a")
    assert not fleet.answers
    fleet.out("a", gateway="k")
    assert fleet.answers["a", "s"].go


def test_two_hosts_with_two_services_do_not_wait_for_each_other() -> None:
    fleet = Fleet("g", "k")
    for host in "ab":
        for service in "st":
            fleet.leave(host, service)
    # The gateways are asked in any order, and answer in another one.
    for host, service, gateway in (
        ("b", "t", "k"),
        ("a", "s", "g"),
        ("b", "s", "g"),
        ("a", "t", "k"),
        ("a", "t", "g"),
        ("b", "t", "g"),
        ("b", "s", "k"),
        ("a", "s", "k"),
    ):
        fleet.seen(host, "ab", service, gateway)
    for _ in range(2):
        leaving = {(host, service) for (_, service, host), go in fleet.holding.items() if go}
        assert {service for _, service in leaving} == {"s", "t"}
        assert len(leaving) == 2
        for host, service in leaving:
            for gateway in "gk":
                fleet.out(host, service, gateway)
            assert fleet.answers[host, service].go
            fleet.back(host, service)
            for gateway in "gk":
                fleet.end(host, service=service, gateway=gateway)
                fleet.holding.pop((gateway, service, host), None)
    assert all(answer.go for answer in fleet.answers.values())
    assert len(fleet.answers) == 4


def test_a_gateway_that_is_not_reached_stops_it_and_the_others_keep_it() -> None:
    fleet = Fleet("g", "k")
    fleet.leave("a")
    fleet.lines["g", "s", "a"].event(Unreachable(host="on-g", finding=fault("host-timeout", "no answer")))
    fleet.end("a", "unreachable")
    fleet.seen("a", up="abc", gateway="k")
    assert fleet.holding == {("k", "s", "a"): False}
    (finding,) = fleet.answers["a", "s"].findings
    assert finding.code == "gateway-unreachable"
    assert "no answer" in finding.message


def test_a_gateway_lost_while_it_drains_stops_it_and_the_others_put_it_back() -> None:
    fleet = Fleet("g", "k")
    fleet.leave("a")
    fleet.seen("a", up="abc")
    fleet.seen("a", up="abc", gateway="k")
    fleet.end("a", "unreachable")
    assert not fleet.answers  # the other one may still come to its end
    fleet.out("a", gateway="k")
    assert fleet.holding["k", "s", "a"] is True
    assert fleet.answers["a", "s"].findings[0].code == "gateway-unreachable"


def test_what_is_ignored_goes_on_and_is_noted() -> None:
    fleet = Fleet(ignored=["gateway-unreachable"])
    fleet.leave("a")
    fleet.end("a", "unreachable")
    answer = fleet.answers["a", "s"]
    assert answer.go
    assert [each.code for each in answer.findings] == ["gateway-unreachable"]
    assert fleet.codes() == ["gateway-unreachable"]


def test_a_connection_that_is_lost_while_it_is_out_fails_its_return() -> None:
    fleet = Fleet()
    fleet.leaves("a", up="abc")
    fleet.end("a", "unreachable")
    fleet.back("a")
    assert [each.code for each in fleet.answers["a", "s"].findings] == ["gateway-unreachable"]
    assert "lets it in by itself" in fleet.answers["a", "s"].findings[0].message


def test_haproxy_that_does_not_say_up_fails_its_return() -> None:
    fleet = Fleet()
    fleet.leaves("a", up="abc")
    fleet.back("a")
    fleet.lines["g", "s", "a"].event(Error(host="on-g", finding=fault("not-in-rotation", "not reached")))
    fleet.end("a", "failed")
    assert [each.code for each in fleet.answers["a", "s"].findings] == ["not-in-rotation"]


def test_a_host_that_ends_while_gateways_still_look_or_drain_leaves_nothing_open() -> None:
    fleet = Fleet("g", "k")
    fleet.leave("a")
    fleet.seen("a", up="abc")
    fleet.seen("a", up="abc", gateway="k")
    fleet.rotation.ended("a")
    fleet.out("a")
    assert fleet.holding["g", "s", "a"] is False
    fleet.leave("b")
    fleet.rotation.ended("b")
    fleet.seen("b", up="abc")
    assert fleet.holding["g", "s", "b"] is False


def test_what_ends_may_be_the_last_one() -> None:
    fleet = Fleet()
    fleet.leaves("a", up="ab")
    fleet.rotation.ended("a")
    fleet.leave("b", ends=True)
    fleet.seen("b", up="b")
    fleet.out("b")
    assert fleet.answers["b", "s"].go
