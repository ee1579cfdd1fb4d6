"""Each check against a server that speaks as the real ones do: what passes, and what is said of the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provision.host.failure import Failure
from provision.host.services import checks
from provision.wire.checks import (
    Chat,
    Check,
    Classify,
    Completion,
    Embed,
    Fitting,
    Http,
    Port,
    Rerank,
    Score,
)
from tests.host.certificates import certificate
from tests.host.services import Service

DOCUMENTS = ["Berlin is in Germany", "Paris is the capital of France"]
QUERY = "capital of France"
EMBED = Embed(text="hi")
CHAT = Chat(user="hi")


def serve(service: Service, options: str) -> None:
    service.script(options)
    service.serve()


def ask(service: Service, check: Check, **more: Any) -> checks.Verdict:
    return checks.perform(service.machine, service.probe(check, **more).spec, check, 20)


@pytest.mark.parametrize(
    ("does", "proof", "received"),
    [
        ("generate", "completion", "Hello there"),
        ("embed", "embed", "3 numbers: 0.5, -0.25, 4"),
        ("score", "score", "1 ping; 0 pong"),
        ("classify", "classify", "good (0.75)"),
        ("transcribe", "transcribe silence.wav", "Hello, world."),
        ("pooling", "pooling", "4 numbers: 0.5, -0.25, 0.125, …"),
    ],
)
def test_what_no_check_declares_follows_from_the_server(
    service: Service, does: str, proof: str, received: str
) -> None:
    serve(service, f"--does {does}")
    found = ask(service, Fitting())
    assert (found.check, found.ok, found.received) == (proof, True, received)


def test_old_releases_have_all_routes_and_refuse(service: Service) -> None:
    serve(service, "--does embed --form old")
    assert ask(service, Fitting()).check == "embed"
    refused = ask(service, CHAT)
    assert refused.error == "status 400: The model does not support this API"
    assert "`embed`" in str(refused.hint)
    assert "/v1/models" not in str(refused.hint)


def test_a_server_that_offers_nothing_known(service: Service) -> None:
    serve(service, "--does nothing")
    refused = ask(service, Fitting(first="embed"))
    assert (refused.check, refused.final) == ("embed", True)
    assert refused.error == "the server has no /v1/embeddings (404): Not Found"


@pytest.mark.parametrize("form", ["vllm --does embed,score,classify", "tei"])
def test_each_kind_of_model_by_the_forms_of_vllm_and_of_tei(service: Service, form: str) -> None:
    serve(service, f"--form {form} --key k")
    service.write_key("k")
    for check in (
        EMBED,
        Rerank(query=QUERY, documents=DOCUMENTS, expect="Paris"),
        Score(query=QUERY, documents=DOCUMENTS, expect="Paris"),
        Classify(text="fine", expect="good"),
    ):
        proof = ask(service, check, **service.key)
        assert proof.ok, proof
    wrong = ask(service, Rerank(query=QUERY, documents=DOCUMENTS, expect="Berlin"), **service.key)
    assert wrong.error == 'the document with "Berlin" does not come first'
    wrong = ask(service, Classify(text="fine", expect="bad"), **service.key)
    assert wrong.error == 'the class is "good" instead of "bad"'


def test_a_check_may_ask_for_another_model(service: Service) -> None:
    serve(service, "--model sql")
    assert ask(service, CHAT.replace(model="sql")).ok
    wrong = ask(service, CHAT.replace(model="other"))
    assert wrong.error == 'the server knows no model "other"; it serves sql'
    assert (wrong.check, str(wrong.hint)[:28]) == ("chat of other", "correct `model` of the check")


def test_without_a_name_the_server_is_asked_for_its_model(service: Service) -> None:
    serve(service, "--model whatever")
    assert ask(service, CHAT, model=None).ok


def test_http_with_everything(service: Service) -> None:
    serve(service, "--does embed")
    check = Http(path="/v1/embeddings", body={"model": "tiny", "input": "hi"})
    assert ask(service, check.replace(json={"data.0.embedding[0]": 0.5, "data[0].index": 0})).ok
    assert ask(service, check).sent == "POST /v1/embeddings"
    wrong = ask(service, check.replace(json={"data.0.index": 1}))
    assert wrong.error == "data.0.index is 0 instead of 1"
    assert ask(service, check.replace(json={"data.1": 1})).error == "the answer has no data.1"
    text = check.replace(body=json.dumps(check.body), headers={"Content-Type": "application/json"})
    assert ask(service, text).ok
    assert ask(service, Http(path="/no", status=[403, 404])).ok
    assert ask(service, Http(path="/no", status=[200, 204])).error == ("status 404 instead of 200 or 204")


def test_a_key_that_is_wanted_is_not_waited_for(service: Service) -> None:
    serve(service, "--key k")
    proof = ask(service, Http(path="/v1/models"), key_field="api_key_env")
    assert (proof.final, "api_key_env" in str(proof.hint)) == (True, True)


class TestTls:
    def test_unverified_is_said(self, service: Service) -> None:
        serve(service, certificate(service.root).flags)
        proof = ask(service, Completion(prompt="hi"), url=service.https)
        assert (proof.ok, proof.check) == (True, "completion over https, certificate not verified")
        service.converge(service.probe(url=service.https))

    def test_by_a_ca(self, service: Service) -> None:
        mine, other = certificate(service.root), certificate(service.root, "other")
        serve(service, mine.flags)
        check = Http(path="/health")
        assert ask(service, check, url=service.https, ca=str(mine.cert)).check == "http /health"
        wrong = ask(service, check, url=service.https, ca=str(other.cert))
        assert str(wrong.error).startswith(f"the server's certificate cannot be verified with {other.cert}: ")
        assert wrong.final
        wrong = ask(service, check, url=service.https, ca=str(service.root / "none.crt"))
        assert str(wrong.error).endswith("the CA to verify the server with: No such file or directory")
        wrong = ask(service, check, url=service.https, ca=str(mine.key))
        assert str(wrong.error).endswith("it contains no certificate")

    def test_what_is_not_declared_is_found_out(self, service: Service) -> None:
        """A server must not be taken back because nobody said that it speaks TLS."""
        serve(service, certificate(service.root).flags)
        proof = ask(service, Http(path="/health"))
        assert proof.ok
        assert "which the service does not declare" in proof.check
        service.converge(service.probe())

    def test_what_is_declared_and_not_so(self, service: Service) -> None:
        serve(service, "")
        proof = ask(service, Http(path="/health"), url=service.https)
        assert proof.error == "the server does not speak TLS, though the service declares it"
        assert proof.final


def test_a_unix_socket(service: Service) -> None:
    path = service.root / "app.sock"
    serve(service, f"--uds {path}")
    assert ask(service, CHAT, url=f"unix:{path}").ok
    assert ask(service, Port(), url=f"unix:{path}").ok
    service.converge(service.probe(url=f"unix:{path}"))
    wrong = ask(service, Port(), url=f"unix:{path}.none")
    assert wrong.error == f"unix:{path}.none: the socket is not there"


@pytest.mark.parametrize("vector", ["[]", "[0.0, 0.0]", "[NaN]", "[null]", '"AAAA"'])
def test_an_embedding_that_is_none(vector: str) -> None:
    from provision.host.services.checks import vectors

    assert vectors._judged(json.loads(vector), "").error


def test_a_failure_of_the_check_ends_the_wait(service: Service) -> None:
    serve(service, "--does embed")
    with pytest.raises(Failure, match="the server has no /v1/completions") as caught:
        service.converge(service.probe(Completion(prompt="hi")))
    assert "/v1/models" not in str(caught.value.hint)
