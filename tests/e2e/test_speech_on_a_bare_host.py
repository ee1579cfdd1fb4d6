"""Speech recognition from nothing: the real FunASR on a host that had only sshd and python3."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import REPOSITORY, Answer, Provision
from tests.lab import Lab, LabHost
from tests.lab.hub import Hub
from tests.lab.models import TEXTS, hub_root, speech_models

pytestmark = [pytest.mark.lab, pytest.mark.slow]

PLAYBOOK = REPOSITORY / "tests/lab/playbooks/asr.yml"
MODEL = "/opt/provision/models/iic/SenseVoiceSmall"


class Speech:
    """The host with the service, and the command line that made it."""

    def __init__(self, host: LabHost, provision: Provision, waves: Path) -> None:
        self.host = host
        self.provision = provision
        self.waves = waves
        self.first = self.apply()

    def apply(self) -> Answer:
        return self.provision.apply(PLAYBOOK)

    def plan(self, code: int) -> Answer:
        return self.provision.plan(PLAYBOOK, code=code)

    def upload(self, path: str, wave: str, **fields: str) -> bytes:
        """Send a known recording."""
        return self.send(path, (self.waves / f"{wave}.wav").read_bytes(), **fields)

    def send(self, path: str, audio: bytes, **fields: str) -> bytes:
        """Send a file as a browser's form does."""
        boundary = uuid.uuid4().hex
        parts = b"".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        )
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        body = parts + head.encode() + audio + f"\r\n--{boundary}--\r\n".encode()
        request = urllib.request.Request(
            f"http://{self.host.address}:8000{path}",
            body,
            {"Content-Type": f"multipart/form-data; boundary={boundary}"},
        )
        with urllib.request.urlopen(request, timeout=180) as answer:
            found: bytes = answer.read()
        return found


@pytest.fixture(scope="module")
def speech(lab: Lab) -> Iterator[Speech]:
    host = lab.add("speech")[0]
    waves = speech_models() / "waves"
    with Hub(hub_root(speech=True), address=lab.network.gateway) as hub:
        options = [
            "-i",
            str(lab.inventory),
            "-e",
            f"hub={hub.url}",
            "-e",
            f"waves={waves}",
            "--limit",
            "speech",
        ]
        yield Speech(host, Provision(options), waves)
    lab.remove("speech")


def test_the_first_apply_ends_with_known_words(speech: Speech) -> None:
    heard = {proof["sent"]: proof["received"] for proof in speech.first.event("proof", ok=True)}
    assert heard == {"hello_world.wav": "hello world", "nihao_shijie.wav": "你好世界。"}


@pytest.mark.parametrize(("wave", "text"), TEXTS.items())
def test_known_recordings_come_out_as_known_texts(speech: Speech, wave: str, text: str) -> None:
    assert json.loads(speech.upload("/recognize/", wave)) == {"result": text}
    assert (
        json.loads(speech.upload("/v1/audio/transcriptions", wave, model="SenseVoiceSmall"))["text"] == text
    )


def test_a_second_apply_changes_nothing_in_one_round_trip(speech: Speech) -> None:
    done = speech.apply().done("speech")
    assert (done["counts"]["changed"], done["executions"]) == (0, 1)
    assert speech.plan(0).changes() == {}


def test_a_missing_weight_file_is_seen_and_fetched_again(speech: Speech) -> None:
    """FunASR itself would start with random weights and answer gibberish."""
    speech.host.exec(["rm", f"{MODEL}/model.pt"])
    assert "model:sensevoice" in speech.plan(2).changes()
    speech.apply()
    assert json.loads(speech.upload("/recognize/", "hello_world")) == {"result": "hello world"}


def test_bad_audio_is_a_clear_refusal(speech: Speech) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        speech.send("/recognize/", b"not audio")
    assert refused.value.code == 415
    assert "error" in json.loads(refused.value.read())


def test_status_and_logs_read_like_any_service(speech: Speech) -> None:
    (service,) = speech.provision.run("status", PLAYBOOK, json=True).event("service")
    assert (service["state"], service["listening"]) == ("running", True)
    assert "Started server process" in speech.provision.run("logs", "asr", PLAYBOOK, "-n", "300").out
