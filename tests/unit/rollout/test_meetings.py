"""The nodes of a service wait for each other: all go on, or none does."""

from __future__ import annotations

import time

from provision.rollout.meetings import Meetings
from provision.wire.finding import fault
from provision.wire.questions import Meet
from provision.wire.survey import Answer


class Heard:
    """Meetings, and what each host was answered."""

    def __init__(self) -> None:
        self.meetings = Meetings(("a", "b", "c", "d"))
        self.answers: dict[str, Answer] = {}

    def meet(
        self, host: str, step: str = "look", nodes: tuple[str, ...] = ("a", "b"), **said: object
    ) -> None:
        question = Meet(host=host, service="chat", nodes=list(nodes), step=step, **said)  # type: ignore[arg-type]
        self.meetings.meet(question, lambda answer: self.answers.__setitem__(host, answer))


def test_a_node_waits_for_the_others_and_restarts_with_them() -> None:
    heard = Heard()
    heard.meet("a", starts=False)
    assert not heard.answers
    heard.meet("b", starts=True)
    assert {host: (each.go, each.starts) for host, each in heard.answers.items()} == {
        "a": (True, ["b"]),
        "b": (True, ["b"]),
    }


def test_nothing_starts_when_no_node_starts() -> None:
    heard = Heard()
    for host in "ab":
        heard.meet(host, starts=False)
    assert [(each.go, each.starts) for each in heard.answers.values()] == [(True, [])] * 2


def test_a_node_that_has_gone_stops_the_others() -> None:
    for status, words in (("failed", "a failed"), ("unreachable", "a could not be reached")):
        heard = Heard()
        heard.meet("b", "compare")
        heard.meetings.ended("a", status)  # type: ignore[arg-type]
        (finding,) = heard.answers["b"].findings
        assert not heard.answers["b"].go
        assert finding.message == f"chat is not changed on any of its nodes, because {words}"


def test_a_node_that_has_gone_matters_to_nobody_that_changes_nothing() -> None:
    heard = Heard()
    heard.meetings.ended("a", "unreachable")
    heard.meet("b", starts=False)
    assert heard.answers["b"].go


def test_what_differs_is_said_with_each_value() -> None:
    heard = Heard()
    heard.meet("a", "compare", same={"torch": "2.13.0", "Python": "3.11", "x of model m": "1"})
    heard.meet("b", "compare", same={"torch": "2.12.1", "Python": "3.11"})
    for each in heard.answers.values():
        (finding,) = each.findings
        assert finding.code == "nodes-differ"
        assert finding.message == "torch: 2.13.0 on a, 2.12.1 on b; x of model m: 1 on a, missing on b"


def test_nodes_that_are_the_same_learn_where_the_others_are() -> None:
    heard = Heard()
    for host in "ab":
        heard.meet(host, "compare", same={"torch": "2"}, address=f"10.0.0.{host}", ports=[1, 2])
    assert [(peer.host, peer.address, peer.ports) for peer in heard.answers["a"].peers] == [
        ("b", "10.0.0.b", [1, 2])
    ]


def test_what_one_node_does_not_reach_stops_all() -> None:
    heard = Heard()
    heard.meet("a", "reach")
    heard.meet("b", "reach", findings=[fault("unreachable-node", "b cannot reach 10.0.0.1:29500 of a")])
    assert [each.findings[0].message for each in heard.answers.values()] == [
        "b cannot reach 10.0.0.1:29500 of a"
    ] * 2


def test_groups_do_not_wait_for_each_other() -> None:
    heard = Heard()
    heard.meet("a", nodes=("a", "b"), starts=False)
    heard.meet("c", nodes=("c", "d"), starts=False)
    heard.meet("d", nodes=("c", "d"), starts=False)
    assert set(heard.answers) == {"c", "d"}


def test_a_host_that_is_not_in_the_run_is_not_waited_for() -> None:
    heard = Heard()
    heard.meet("a", nodes=("a", "elsewhere"), starts=True)
    assert heard.answers["a"].starts == ["a"]


def test_a_node_that_fails_calls_off_the_proof_of_the_others() -> None:
    heard = Heard()
    heard.meet("a", "watch")
    heard.meet("b", "watch")
    heard.meet("b", "prove", findings=[fault("wrong-answer", "chat: the answer lacks Paris")])
    assert not heard.answers["a"].go
    heard.meet("a", "prove")
    assert [heard.answers[host].go for host in "ab"] == [False, False]
    (finding,) = heard.answers["a"].findings
    assert finding.code == "node-failed"
    assert finding.message.startswith("b failed (chat: the answer lacks Paris)")


def test_a_node_that_begins_its_proof_too_late_hears_of_it() -> None:
    heard = Heard()
    heard.meet("b", "prove", findings=[fault("service-ended", "chat could not be started")])
    heard.meet("a", "watch")
    assert not heard.answers["a"].go


def test_nodes_that_all_answer_are_proven() -> None:
    heard = Heard()
    for host in "ab":
        heard.meet(host, "watch")
        heard.meet(host, "prove")
    assert [each.go for each in heard.answers.values()] == [True, True]


def test_the_proof_goes_on_without_a_node_that_was_lost() -> None:
    heard = Heard()
    heard.meet("a", "prove")
    heard.meetings.ended("b", "unreachable")
    assert heard.answers["a"].go


def test_what_is_ignored_stops_nothing() -> None:
    heard = Heard()
    heard.meetings = Meetings("ab", ["nodes-differ"])
    heard.meet("a", "compare", same={"Python": "3.11"})
    heard.meet("b", "compare", same={"Python": "3.12"})
    assert heard.answers["a"].go


def test_clocks_are_not_far_apart() -> None:
    heard, now = Heard(), time.time()
    heard.meet("a", "compare", now=now)
    heard.meet("b", "compare", now=now + 90)
    (finding,) = heard.answers["a"].findings
    assert finding.message == "the clock of b is 90 s ahead of that of a"


def test_no_node_goes_back_after_a_failure_where_one_cannot() -> None:
    heard = Heard()
    heard.meet("a", "back")
    heard.meet("b", "back", findings=[fault("node-failed", "what changed in place")])
    assert [each.findings[0].message for each in heard.answers.values()] == ["what changed in place on b"] * 2
    heard = Heard()
    heard.meet("a", "back")
    heard.meetings.ended("b", "failed")
    assert heard.answers["a"].go


def test_the_head_chooses_what_all_go_back_to() -> None:
    heard = Heard()
    heard.meet("b", "choose")
    heard.meet("a", "choose", change="c7")
    assert [heard.answers[host].change for host in "ab"] == ["c7", "c7"]


def test_no_node_goes_back_where_one_cannot() -> None:
    heard = Heard()
    heard.meet("a", "ready")
    heard.meet("b", "ready", findings=[fault("no-revision", "it is gone")])
    assert [each.findings[0].message for each in heard.answers.values()] == ["b: it is gone"] * 2


def test_nodes_that_join_by_themselves_wait_for_no_start() -> None:
    heard = Heard()
    heard.meet("a", starts=True, joins=True)
    heard.meetings.ended("b", "unreachable")
    assert heard.answers["a"].go


def test_a_node_that_joins_is_compared_with_those_that_go_on_as_they_are() -> None:
    heard = Heard()
    for host, starts in (("a", False), ("b", True)):
        heard.meet(host, starts=starts, joins=True, same={"ray": "2.60.0" if host == "a" else "2.58.0"})
    heard.meetings.ended("a", "ok")
    heard.meet("b", "compare", joins=True, same={"ray": "2.59.0"})
    (finding,) = heard.answers["b"].findings
    assert finding.message == "ray: 2.60.0 on a, 2.59.0 on b"


def test_what_a_node_has_before_a_change_counts_no_more() -> None:
    heard = Heard()
    for host in "ab":
        heard.meet(host, joins=True, same={"ray": "2.58.0"})
    for host in "ab":
        heard.meet(host, "compare", joins=True, same={"ray": "2.59.0"})
    assert {each.go for each in heard.answers.values()} == {True}


def test_a_node_that_joins_does_not_wait_for_those_that_go_on_as_they_are() -> None:
    """They may wait for it themselves, as a service on the cluster has to be changed with it."""
    for step in ("compare", "prove"):
        heard = Heard()
        for host, starts in (("a", False), ("b", True)):
            heard.meet(host, starts=starts, joins=True)
        heard.answers.clear()
        heard.meet("b", step)
        assert heard.answers["b"].go


def test_nobody_waits_for_a_node_on_which_the_service_has_failed() -> None:
    for step in ("compare", "reach", "stop"):
        heard = Heard()
        heard.meet("b", step)
        heard.meet("a", "prove", findings=[fault("skipped-step", "needs environment vllm, which failed")])
        assert heard.answers["b"].findings[0].message == (
            "chat is not changed on any of its nodes, because a failed"
        )


def test_a_gateway_that_does_not_take_a_service_back_fails_it_on_all_nodes() -> None:
    heard = Heard()
    heard.meet("a", "return", findings=[fault("gateway-lost", "front does not answer")])
    heard.meet("b", "return")
    assert [heard.answers[host].findings[0].message for host in "ab"] == ["a: front does not answer"] * 2


def test_a_node_leaves_its_host_while_another_run_holds_one_of_the_others() -> None:
    held = {"b"}
    heard = Heard()
    heard.meetings = Meetings("abcd", held=lambda: held)
    heard.meet("a")
    assert heard.answers.pop("a").leave
    heard.meet("c", nodes=("c", "d"))
    assert not heard.answers
    held.clear()
    heard.meet("b", starts=False)
    assert not heard.answers
    heard.meet("a", starts=True)
    assert heard.answers["b"].starts == ["a"]


def test_a_node_that_looks_again_waits_for_none_that_was_answered() -> None:
    """It was left for the sake of another service, and the others have gone on."""
    heard = Heard()
    for host in "ab":
        heard.meet(host, starts=host == "b")
    heard.answers.clear()
    heard.meet("a", starts=False)
    assert heard.answers["a"].starts == ["b"]
