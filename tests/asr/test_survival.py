"""Processes that die, hang, leak or are told to stop, under load: no wrong text, at most a clear error."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.asr import speech
from tests.asr.conftest import Load, Service, at_once, eventually, form

SMALL = [speech.small(number) for number in range(12)]
FILES = [file for file, _ in SMALL]
LONG = speech.large(1, seconds=300)


def right(number, answer):
    return answer.status == 200 and answer.json == {"result": SMALL[number][1]}


@pytest.fixture(scope="module")
def pair(waves, tmp_path_factory):
    """A service of two workers that several tests kill and find mended."""
    service = Service(tmp_path_factory.mktemp("pair"), "--workers", "2")
    yield service
    assert service.stop() == 0


@pytest.fixture(scope="module")
def single(waves, tmp_path_factory):
    """The same of one worker, with room for three requests."""
    service = Service(tmp_path_factory.mktemp("single"), "--workers", "1", "--queue", "3")
    yield service
    assert service.stop() == 0


def restarts(service, role, cause):
    return service.metric(f'asr_worker_restarts_total{{role="{role}",cause="{cause}"}}')


def test_killed_workers_are_replaced_and_their_requests_answered(pair):
    service = pair
    before = [restarts(service, role, "died") for role in ("recognition", "decoding")]
    with Load(service, FILES) as load:
        for role in ("recognition", "decoding", "recognition"):
            victim = service.workers(role)[0]
            os.kill(victim, signal.SIGKILL)
            # back to full strength: the victim gone, its successor warm
            expected = 2 if role == "recognition" else 1
            eventually(
                lambda v=victim, r=role, n=expected: (
                    v not in service.workers(r) and len(service.workers(r)) >= n
                )
            )
        seen = len(load.answers)
        eventually(lambda: len(load.answers) > seen + 20)
    for number, answer in load.answers:
        # one death costs a request nothing: it is tried again
        assert right(number, answer), (SMALL[number][1], answer)
    after = [restarts(service, role, "died") for role in ("recognition", "decoding")]
    assert [after[0] - before[0], after[1] - before[1]] == [2, 1]
    eventually(lambda: not service.files())


def test_all_workers_killed_again_and_again_give_clear_errors_only(pair):
    service = pair
    with Load(service, FILES) as load:
        for _ in range(3):
            eventually(lambda: service.workers())
            for pid in service.workers():
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.5)
        eventually(lambda: len(service.workers()) == 2)
        assert service.get("/health").status == 200
    for number, answer in load.answers:
        assert right(number, answer) or (answer.status == 503 and answer.json["error"]), answer


def test_a_file_that_kills_its_worker_does_not_take_others_along(single):
    service = single
    long_answer = []
    thread = threading.Thread(target=lambda: long_answer.append(service.recognize(LONG)))
    thread.start()
    for _ in range(2):  # whoever works on the long file dies; a file is given a second chance, and no third
        eventually(lambda: service.metric("asr_running") and service.workers())
        os.kill(service.workers()[0], signal.SIGKILL)
        eventually(lambda: not service.workers())
    thread.join()
    assert long_answer[0].status == 503
    assert "died twice" in long_answer[0].json["error"]
    eventually(lambda: service.get("/health").status == 200)
    assert right(0, service.recognize(FILES[0]))


def test_recycling_loses_no_request(start):
    service = start("--workers", "2", "--recycle-after", "25")
    first = set(service.workers())
    with Load(service, FILES) as load:
        recycled = 'asr_worker_restarts_total{role="recognition",cause="recycled"}'
        eventually(lambda: service.metric(recycled) >= 3)
        assert service.metric("asr_workers_ready") >= 2, "a replacement is warm before the old one leaves"
    assert len(load.answers) > 50
    for number, answer in load.answers:
        assert right(number, answer), (SMALL[number][1], answer)
    eventually(lambda: not first & set(service.workers()), 20)


def test_sigterm_answers_what_was_accepted(start):
    service = start("--workers", "1")
    (worker,) = service.workers()
    answers = []
    thread = threading.Thread(
        target=lambda: answers.extend(at_once([lambda f=file: service.recognize(f) for file in FILES], 12))
    )
    os.kill(worker, signal.SIGSTOP)  # nothing is answered before all are accepted
    try:
        thread.start()
        eventually(lambda: service.metric("asr_queue_depth") + service.metric("asr_running") == len(FILES))
        service.process.send_signal(signal.SIGTERM)
    finally:
        os.kill(worker, signal.SIGCONT)
    thread.join()
    assert service.process.wait(60) == 0
    assert len(answers) == len(FILES)
    for number, answer in enumerate(answers):
        assert right(number, answer), answer
    assert not list(service.temp.rglob("*.upload"))
    assert not list(service.temp.rglob("run-*"))


def test_sigterm_under_load_gives_refused_connections_and_nothing_else(start):
    service = start("--workers", "2")
    with Load(service, FILES) as load:
        eventually(lambda: len(load.answers) > 20)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0
    for number, answer in load.answers:
        assert isinstance(answer, ConnectionRefusedError) or right(number, answer), repr(answer)


def test_sigterm_to_the_whole_group_drains_too(start):
    service = start("--workers", "1")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(service.recognize(LONG)))
    thread.start()
    eventually(lambda: service.metric("asr_running"))
    for pid in [*service.workers(), *service.workers("decoding"), service.process.pid]:
        os.kill(pid, signal.SIGTERM)
    thread.join()
    assert answers[0].status == 200
    assert service.process.wait(60) == 0


def test_full_queue(single):
    service = single
    slow = threading.Thread(target=lambda: service.recognize(LONG))
    slow.start()
    eventually(lambda: service.metric("asr_running"))
    answers = at_once([lambda f=file: service.recognize(f) for file in FILES], 12)
    slow.join()
    refused = [answer for answer in answers if answer.status == 503]
    assert refused
    for answer in refused:
        assert "waiting" in answer.json["error"]
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert all(right(n, answer) for n, answer in enumerate(answers) if answer.status != 503)


def test_hanging_worker_is_given_up_and_replaced(start):
    service = start("--workers", "1", "--timeout", "4")
    (pid,) = service.workers()
    os.kill(pid, signal.SIGSTOP)
    try:
        answer = service.recognize(FILES[0])
        assert answer.status == 504
        assert "4 s" in answer.json["error"]
        eventually(lambda: service.workers() and pid not in service.workers())
    finally:
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGCONT)
    eventually(lambda: right(0, service.recognize(FILES[0])))  # 4 s may be short on a busy machine
    assert restarts(service, "recognition", "hung") == 1


def test_client_that_leaves_frees_its_place(single):
    service = single
    (pid,) = service.workers()
    os.kill(pid, signal.SIGSTOP)
    try:
        body, kind = form(FILES[0])
        for _ in range(4):
            try:
                service.request("POST", "/recognize/", body, {"Content-Type": kind}, timeout=1)
            except TimeoutError:
                pass
        eventually(lambda: service.metric("asr_queue_depth") == 0)
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: not service.files())
    assert right(0, service.recognize(FILES[0]))


def test_killed_service_leaves_no_process_and_its_successor_sweeps_its_files(start):
    service = start("--workers", "1")
    pids = [*service.workers(), *service.workers("decoding")]
    slow = threading.Thread(target=lambda: at_once([lambda: service.recognize(LONG)]))
    slow.start()
    eventually(service.files)
    service.process.kill()
    service.process.wait()
    slow.join()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    assert service.files()
    successor = start("--workers", "1", environ={"TMPDIR": str(service.temp)})
    assert not service.files()
    assert right(0, successor.recognize(FILES[0]))
