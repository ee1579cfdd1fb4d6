"""The proof that a service answers, against a server that can misbehave."""

from __future__ import annotations

import base64
import io
import os
import signal
import socket
import threading
import time
import wave
from typing import Any

import pytest

from provision.host.failure import Failure
from provision.host.resources.probe import Probe
from provision.host.services import checks, processes
from provision.host.state import marks, owed
from provision.wire.checks import Chat, Http, Transcribe
from tests.host.services import Service

CHAT = Chat(user="你好", timeout=20)


def fails(service: Service, probe: Probe) -> Failure:
    with pytest.raises(Failure) as caught:
        service.converge(probe)
    assert marks.proven(service.machine.state, service.name) is None
    return caught.value


def test_proves_by_a_real_answer_and_only_once(service: Service) -> None:
    service.script("--load 2 --reply '{user}!'")
    owed.restart(service.machine.state, "tiny").need("file:/start.sh")
    service.converge(service.process())
    probe = service.probe(CHAT.replace(expect="你好!"))
    assert service.converge(probe) == {"proven": (False, True)}
    assert marks.proven(service.machine.state, "tiny") == processes.invocation(service.pid)
    assert owed.restart(service.machine.state, "tiny").read() is None
    (proof,) = service.said("proof")
    assert (proof["ok"], proof["check"], proof["sent"], proof["received"]) == (True, "chat", "你好", "你好!")
    assert proof["error"] is None
    assert any("Loading weights" in each["text"] for each in service.said("progress"))
    assert service.converge(probe) == {}


def test_with_patience_a_check_is_repeated_until_it_goes_well(service: Service) -> None:
    service.script("--load 2")
    service.converge(service.process())
    assert not service.probe(CHAT).prove(service.machine)
    assert service.probe(CHAT).prove(service.machine, patience=60)
    assert [proof["ok"] for proof in service.said("proof")] == [False, True]


def test_patience_ends_with_the_server(service: Service) -> None:
    service.script("--load 600")
    service.converge(service.process())
    killing = threading.Timer(1, os.kill, (service.pid, signal.SIGKILL))
    killing.start()
    began = time.monotonic()
    assert not service.probe(CHAT).prove(service.machine, patience=600)
    assert time.monotonic() - began < 300


def test_another_life_has_to_prove_itself_again(service: Service) -> None:
    service.converge(service.process())
    service.converge(service.probe(CHAT))
    killed = service.pid
    os.kill(killed, signal.SIGKILL)
    while processes.process(killed):
        time.sleep(0.05)
    assert service.look(service.probe(CHAT)) == {"proven": (False, True)}
    service.converge(service.process())
    assert service.look(service.probe(CHAT)) == {"proven": (False, True)}
    service.converge(service.probe(CHAT))


def test_without_checks_one_token_is_asked_for(service: Service) -> None:
    service.converge(service.process())
    service.converge(service.probe())
    (proof,) = service.said("proof")
    assert (proof["check"], proof["ok"]) == ("completion", True)


def test_a_server_that_ends_is_not_waited_for(service: Service) -> None:
    service.script('--dies "ValueError: No available memory for the cache blocks. Try increasing"')
    service.converge(service.process())
    failure = fails(service, service.probe(CHAT, timeout=600))
    assert failure.message == "tiny ended (exit 1)"
    assert "gpu_memory_utilization" in str(failure.hint)
    assert failure.log[-1].startswith("ValueError: No available memory")


def test_an_old_life_s_words_explain_nothing_of_the_new(service: Service) -> None:
    service.script('--dies "No available memory for the cache blocks"')
    service.converge(service.process())
    fails(service, service.probe(CHAT))
    service.script('--dies "something else"')
    service.converge(service.process())
    failure = fails(service, service.probe(CHAT))
    assert "memory" not in str(failure.hint)
    assert failure.log == ["Loading weights", "something else"]


def test_the_time_is_bounded_while_it_loads(service: Service) -> None:
    service.script("--load 600")
    service.converge(service.process())
    while "Loading weights" not in service.log:
        time.sleep(0.05)
    failure = fails(service, service.probe(CHAT, timeout=2))
    assert "did not answer within 2 s: " in failure.message
    assert failure.log == ["Loading weights"]


def test_healthy_is_not_enough(service: Service) -> None:
    """`/health` says 200 while the engine hangs."""
    service.script("--hang")
    service.serve()
    failure = fails(service, service.probe(CHAT, timeout=5))
    assert "no answer within" in failure.message
    (proof,) = service.said("proof")
    assert not proof["ok"]
    assert proof["log"][-1] == "Application startup complete."


def test_an_engine_that_dies_when_it_samples_is_not_proven(service: Service) -> None:
    """vLLM 0.30 for CPUs compiles its sampler at the first such request, which is a client's as a rule."""
    service.script("--greedy")
    service.serve()
    failure = fails(service, service.probe(CHAT))
    assert failure.message == "tiny ended (exit 1)"
    assert failure.log[-1] == "RuntimeError: cannot compile the sampler"


def test_an_engine_that_dies_under_the_request_is_told(service: Service) -> None:
    service.script("--hang")
    service.converge(service.process())
    pid = service.pid
    threading.Timer(2, os.kill, (pid, signal.SIGKILL)).start()
    failure = fails(service, service.probe(CHAT, timeout=600))
    assert failure.message == "tiny ended (signal KILL)"
    assert "dmesg" in str(failure.hint)


def key_file(service: Service, text: str) -> dict[str, Any]:
    path = service.root / "env"
    path.write_text(text)
    return {"key_file": str(path), "key_name": "VLLM_API_KEY"}


def test_the_key_is_sent_and_never_shown(service: Service) -> None:
    service.script("--key 's3\"cr$et' --status 418")
    service.converge(service.process())
    probe = service.probe(CHAT, **key_file(service, 'OTHER="1"\nVLLM_API_KEY="s3\\"cr\\$et"\n'))
    failure = fails(service, probe)
    assert failure.message == "chat: status 418: no ***"
    assert "s3" not in repr(service.events) + repr(failure.__dict__)


def test_a_wrong_key_is_said(service: Service) -> None:
    service.script("--key right")
    service.converge(service.process())
    failure = fails(service, service.probe(CHAT, **key_file(service, "VLLM_API_KEY='wrong'\n")))
    assert failure.message == "chat: the server refused the key (401)"
    assert "restart" in str(failure.hint)
    failure = fails(service, service.probe(CHAT))
    assert "set `api_key`" in str(failure.hint)


def test_a_missing_key_is_said(service: Service) -> None:
    service.converge(service.process())
    failure = fails(service, service.probe(CHAT, **key_file(service, "OTHER=1\n")))
    assert "has no VLLM_API_KEY" in failure.message


def test_a_wrong_model_name_lists_what_is_served(service: Service) -> None:
    service.script("--model other")
    service.converge(service.process())
    failure = fails(service, service.probe(CHAT))
    assert failure.message == 'chat: the server knows no model "tiny"; it serves other'


def test_an_unexpected_reply_is_shown(service: Service) -> None:
    service.converge(service.process())
    failure = fails(service, service.probe(CHAT.replace(expect="Paris")))
    assert failure.message == 'chat: the reply does not contain "Paris"'
    assert service.said("proof")[0]["received"] == "Hello there"


def test_a_refusal_that_may_pass_is_asked_again(service: Service) -> None:
    service.script("--status 503")
    service.serve()
    failure = fails(service, service.probe(CHAT, timeout=5))
    assert "status 503" in failure.message
    assert len(service.said("proof")) == 1


def test_http_check(service: Service) -> None:
    service.converge(service.process())
    service.converge(service.probe(Http(path="/v1/models", expect="tiny")))
    assert service.probe(Http(path="/no", status=404)).prove(service.machine)
    assert not service.probe(Http(path="/no")).prove(service.machine)
    assert service.said("proof")[-1]["error"] == "status 404 instead of 200"


def wav() -> str:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(3200))
    return base64.b64encode(data.getvalue()).decode()


def test_transcribe_check(service: Service) -> None:
    service.converge(service.process())
    check = Transcribe(file="hello.wav", audio=wav(), expect="hello world")
    service.converge(service.probe(check))
    assert service.said("proof")[0]["received"] == "Hello, world."
    assert not service.probe(check.replace(expect="yellow world")).prove(service.machine)
    assert 'heard "Hello, world."' in service.said("proof")[-1]["error"]
    assert service.probe(check.replace(expect="yellow world", max_cer=0.3)).prove(service.machine)


def test_verify_says_what_does_not_run(service: Service) -> None:
    end = service.root / "end"
    said = "echo 'ModuleNotFoundError: No module named '\"'vllm'\""
    service.write(f"{said}; until test -e {end}; do sleep 0.1; done; exit 1")
    service.converge(service.process())
    pid = service.pid
    end.touch()
    while processes.process(pid):
        time.sleep(0.05)
    assert not service.probe(CHAT).prove(service.machine)
    proof = service.said("proof")[0]
    assert proof["error"] == "tiny ended (exit 1)"
    assert "vllm" in proof["hint"]


def test_proxies_of_the_environment_are_not_asked(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    service.converge(service.process())
    service.converge(service.probe(CHAT))


def test_a_reply_that_never_ends_is_given_up_as_a_whole(service: Service) -> None:
    """Each byte comes in time, the answer does not."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not stop.wait(0.1):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        spec = service.probe(url=f"http://127.0.0.1:{server.getsockname()[1]}").spec
        try:
            with pytest.raises(checks.Unanswered, match="no answer within 1 s"):
                checks.Client(service.machine, spec).get("/", 1)
        finally:
            stop.set()
            thread.join()


def test_cancellation_ends_a_request(service: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        spec = service.probe(url=f"http://127.0.0.1:{server.getsockname()[1]}").spec
        client = checks.Client(service.machine, spec)
        threading.Timer(0.5, service.machine.cancel).start()
        began = time.monotonic()
        with pytest.raises(Failure, match="cancelled"):
            client.get("/", 600)
        assert time.monotonic() - began < 60


def test_what_is_no_http_is_said(service: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        spec = service.probe(url=f"http://127.0.0.1:{server.getsockname()[1]}").spec
        with pytest.raises(checks.Unanswered, match="not HTTP"):
            checks.Client(service.machine, spec).get("/", 10)
        thread.join()
