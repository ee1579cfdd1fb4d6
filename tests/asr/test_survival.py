"""Processes that die, hang, leak or are told to stop, under load: no wrong text, at most a clear error."""

import contextlib
import http.client
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.asr import speech
from tests.asr.conftest import Load, Service, eventually, form, held

SMALL = [speech.small(number) for number in range(12)]
FILES = [file for file, _ in SMALL]
QUEUE = 3


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
    """The same of one worker, with little room for requests."""
    service = Service(tmp_path_factory.mktemp("single"), "--workers", "1", "--queue", str(QUEUE))
    yield service
    assert service.stop() == 0


def running(service):
    """Whether a worker has been given a request."""
    return service.metric("asr_running") == 1


def refused(service):
    """Whether no further connection is taken."""
    with contextlib.suppress(ConnectionResetError, TimeoutError):
        try:
            socket.create_connection(("127.0.0.1", service.port), timeout=1).close()
        except ConnectionRefusedError:
            return True
    return False


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
            victims = eventually(service.workers)
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
            eventually(lambda v=victims: not set(v) & set(service.workers()))
        eventually(lambda: len(service.workers()) == 2)
        assert service.get("/health").status == 200
    for number, answer in load.answers:
        assert right(number, answer) or (answer.status == 503 and answer.json["error"]), answer


def test_a_file_that_kills_its_worker_does_not_take_others_along(single):
    service = single
    with ThreadPoolExecutor() as pool:
        with held(*service.workers()):
            answer = pool.submit(service.recognize, FILES[1])
            eventually(lambda: running(service))
            (audio,) = (path for path in service.files() if path.suffix == ".pcm")
            audio.unlink()
            os.mkfifo(audio)  # nobody writes to it: who reads it is at work until he dies
        for _ in range(2):  # a file is given a second chance, and no third
            eventually(lambda: service.workers() and running(service))
            (worker,) = service.workers()
            os.kill(worker, signal.SIGKILL)
            eventually(lambda w=worker: w not in service.workers())
    assert answer.result().status == 503
    assert "died twice" in answer.result().json["error"]
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
    eventually(lambda: not first & set(service.workers()))


def test_sigterm_answers_what_was_accepted(start):
    service = start("--workers", "1")
    with ThreadPoolExecutor(len(FILES)) as pool, held(*service.workers()):
        answers = [pool.submit(service.recognize, file) for file in FILES]
        eventually(lambda: service.metric("asr_queue_depth") + service.metric("asr_running") == len(FILES))
        service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(120) == 0
    for number, answer in enumerate(answers):
        assert right(number, answer.result()), answer.result()
    assert not list(service.temp.rglob("*.upload"))
    assert not list(service.temp.rglob("run-*"))


def test_a_second_sigterm_cuts_nobody(start):
    service = start("--workers", "1")
    with ThreadPoolExecutor() as pool, held(*service.workers()):
        answer = pool.submit(service.recognize, FILES[0])
        eventually(lambda: running(service))
        for heard in (" stopping: accepted", "still stopping: accepted"):
            service.process.send_signal(signal.SIGTERM)
            eventually(lambda line=heard: line in service.log)
        eventually(lambda: refused(service))  # uvicorn has closed the listener, and waits for the answer
    assert right(0, answer.result())
    assert service.process.wait(120) == 0


def test_sigterm_under_load_gives_refused_connections_and_nothing_else(start):
    service = start("--workers", "2")
    with Load(service, FILES) as load:
        eventually(lambda: len(load.answers) > 20)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(120) == 0
    for number, answer in load.answers:
        assert isinstance(answer, ConnectionRefusedError) or right(number, answer), repr(answer)


def test_sigterm_to_the_whole_group_drains_too(start):
    service = start("--workers", "1")
    with ThreadPoolExecutor() as pool, held(*service.workers()):
        answer = pool.submit(service.recognize, FILES[0])
        eventually(lambda: running(service))
        for pid in [*service.workers(), *service.workers("decoding"), service.process.pid]:
            os.kill(pid, signal.SIGTERM)
    assert right(0, answer.result())
    assert service.process.wait(120) == 0


def test_full_queue(single):
    service = single
    with ThreadPoolExecutor(1 + len(FILES)) as pool, held(*service.workers()):
        first = pool.submit(service.recognize, FILES[0])
        eventually(lambda: running(service))
        others = [pool.submit(service.recognize, file) for file in FILES]
        eventually(lambda: sum(other.done() for other in others) == len(FILES) - QUEUE)
        refused = [other.result() for other in others if other.done()]
    for answer in refused:
        assert answer.status == 503
        assert "waiting" in answer.json["error"]
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert right(0, first.result())
    answered = [n for n, other in enumerate(others) if right(n, other.result())]
    assert len(answered) == QUEUE


def test_hanging_worker_is_given_up_and_replaced(start):
    service = start("--workers", "1", "--timeout", "8")
    (pid,) = service.workers()
    with held(pid):
        answer = service.recognize(FILES[0])
        assert answer.status == 504
        assert "8 s" in answer.json["error"]
        eventually(lambda: service.workers() and pid not in service.workers())
    assert restarts(service, "recognition", "hung") == 1
    eventually(lambda: right(0, service.recognize(FILES[0])))  # 8 s may be short on a busy machine


def test_client_that_leaves_frees_its_place(single):
    service = single
    body, kind = form(FILES[0])
    clients = [http.client.HTTPConnection("127.0.0.1", service.port) for _ in range(1 + QUEUE)]
    with held(*service.workers()):
        for waiting, client in enumerate(clients):
            client.request("POST", "/recognize/", body, {"Content-Type": kind})
            eventually(lambda n=waiting: running(service) and service.metric("asr_queue_depth") == n)
        for client in clients:
            client.close()
        eventually(lambda: service.metric("asr_queue_depth") == 0)
    eventually(lambda: not service.files())
    assert right(0, service.recognize(FILES[0]))


def test_killed_service_leaves_no_process_and_its_successor_sweeps_its_files(start):
    service = start("--workers", "1")
    pids = [*service.workers(), *service.workers("decoding")]
    with ThreadPoolExecutor() as pool, held(*service.workers()):
        answer = pool.submit(service.recognize, FILES[0])
        eventually(lambda: running(service))
        service.process.kill()
        service.process.wait()
    assert isinstance(answer.exception(), ConnectionError)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    assert service.files()
    successor = start("--workers", "1", environ={"TMPDIR": str(service.temp)})
    assert not service.files()
    assert right(0, successor.recognize(FILES[0]))
