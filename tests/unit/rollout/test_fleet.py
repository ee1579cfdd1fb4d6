"""Many hosts at once: bounded, in order, and none stops the others."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from provision.rollout.run import run
from provision.transport.target import Limits, Target
from provision.wire.events import Done, Error, Event, Hello, Note
from provision.wire.rollout import Unreachable
from tests.unit.rollout.standin import Raw, go, here, host_side

ANSWER = 'hello()\nsay(event="done", ok=True)\nreturn 0\n'


def test_no_more_than_forks_at_once(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    body = f"""
    hello()
    open("{begun}/%d" % os.getpid(), "w").close()
    while len(os.listdir("{begun}")) < 2:  # the first waits for the second, so that two are seen at once
        time.sleep(0.05)
    say(event="done", ok=True)
    return 0
    """
    _, events = go([here(str(number)) for number in range(7)], host_side(tmp_path, body), forks=2)
    running, most = 0, 0
    for event in events:
        running += {Hello: 1, Done: -1}[type(event)]
        most = max(most, running)
    assert most == 2


def test_outcomes_are_in_the_order_of_the_targets(tmp_path: Path) -> None:
    names = [f"h{number}" for number in (3, 1, 2)]
    summary, _ = go([here(name) for name in names], host_side(tmp_path, ANSWER))
    assert list(summary.outcomes) == names


def test_events_of_a_host_come_in_order(tmp_path: Path) -> None:
    body = 'for n in range(200): note(str(n))\nsay(event="done", ok=True)\nreturn 0\n'
    _, events = go([here(str(number)) for number in range(4)], host_side(tmp_path, body))
    for host in "0123":
        texts = [event.finding.message for event in events if isinstance(event, Note) and event.host == host]
        assert texts == [str(n) for n in range(200)]


def test_hosts_that_fail_do_not_stop_the_others(tmp_path: Path) -> None:
    archive = host_side(tmp_path, ANSWER)
    targets = [
        here("good"),
        Target(Raw("exec sleep 600", host="dead"), b"{}"),
        here("no-python", python="python3.99"),
        Target(Raw("exit 255", host="refused"), b"{}"),
        here("good too"),
    ]
    expected = {
        "good": "ok",
        "dead": "unreachable",
        "no-python": "failed",
        "refused": "unreachable",
        "good too": "ok",
    }
    for limit in (3.0, 60.0):  # the second for a machine that stood still meanwhile
        summary, events = go(targets, archive, Limits(kept=limit, connect=limit))
        found = summary.outcomes
        if found == expected:
            break
    assert found == expected
    endings = Counter(event.host for event in events if isinstance(event, Done | Error | Unreachable))
    assert endings == dict.fromkeys(summary.outcomes, 1)


def test_a_host_on_another_waits_for_it(tmp_path: Path) -> None:
    body = 'hello()\ntime.sleep(0.1)\nsay(event="done", ok=True)\nreturn 0\n'
    targets = [here("inner", after="outer"), here("innermost", after="inner"), here("outer")]
    _, events = go(targets, host_side(tmp_path, body), forks=1)
    assert [event.host for event in events] == ["outer"] * 2 + ["inner"] * 2 + ["innermost"] * 2


def test_a_host_on_one_that_was_not_reached_is_not_tried(tmp_path: Path) -> None:
    marker = tmp_path / "tried"
    targets = [
        Target(Raw(f"touch {marker}", host="inner"), b"{}", after="outer"),
        Target(Raw("exit 255", host="outer"), b"{}"),
    ]
    summary, events = go(targets, None)
    assert summary.outcomes["inner"] == "unreachable"
    assert isinstance(events[-1], Unreachable)
    assert events[-1].host == "inner"
    assert events[-1].finding.message == "outer, on which it runs, could not be reached"
    assert not marker.exists()


def test_a_host_on_one_that_is_not_part_of_the_run_is_done(tmp_path: Path) -> None:
    summary, _ = go([here("inner", after="outer")], host_side(tmp_path, ANSWER))
    assert summary.outcomes["inner"] == "ok"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_hosts_say_what_they_have_done(tmp_path: Path, signum: signal.Signals) -> None:
    body = """
    hello()
    until_input_ends()
    note("stopped")
    say(event="done", ok=False)
    return 1
    """
    archive = host_side(tmp_path, body)
    events: list[Event] = []

    def on_event(event: Event) -> None:
        events.append(event)
        if sum(isinstance(event, Hello) for event in events) == 2 and isinstance(event, Hello):
            os.kill(os.getpid(), signum)

    targets = [here("a"), here("b"), here("c")]
    summary = run(targets, 2, on_event, archive=archive)
    assert summary.cancelled
    assert set(summary.outcomes.values()) == {"cancelled"}
    assert Counter(event.host for event in events if isinstance(event, Note)) == {"a": 1, "b": 1}
    (left,) = (event for event in events if isinstance(event, Error))
    assert (left.host, left.finding.message) == ("c", "cancelled before it began")


def test_a_second_signal_waits_for_nobody(tmp_path: Path) -> None:
    body = f"""
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open("{tmp_path}/pid", "w").write(str(os.getpid()))
    hello()
    until_input_ends()
    note('no')
    time.sleep(600)
    """
    archive = host_side(tmp_path, body)

    def on_event(event: Event) -> None:
        if isinstance(event, Hello | Note):
            os.kill(os.getpid(), signal.SIGINT)

    summary = run([here()], None, on_event, archive=archive)
    assert summary.outcomes["here"] == "cancelled"
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)  # it goes on, and nobody has waited for it


def test_signals_are_handled_as_before_when_it_is_over(tmp_path: Path) -> None:
    # Not the defaults: a shell starts what runs in the background with SIGINT ignored.
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    go([here()], host_side(tmp_path, ANSWER))
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_fault_of_the_listener_ends_the_run_and_comes_out(tmp_path: Path) -> None:
    archive = host_side(tmp_path, "hello()\nuntil_input_ends()\nreturn 0\n")

    def on_event(event: Event) -> None:
        raise BrokenPipeError("nobody reads")

    with pytest.raises(BrokenPipeError, match="nobody reads"):
        run([here("a"), here("b")], None, on_event, archive=archive)
