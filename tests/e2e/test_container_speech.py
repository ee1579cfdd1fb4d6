"""The shipped playbook for speech in a container: the real FunASR, heard through the published port."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import REPOSITORY, Provision
from tests.host.services import free_port
from tests.lab import Hub, Podman, machine
from tests.lab.host import PIP_CACHE
from tests.lab.models import hub_root, speech_models
from tests.lab.paths import state_directory

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def own_address() -> str:
    """An address of this machine that a container's network can reach."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        return str(probe.getsockname()[0])


def playbook(folder: Path, port: int, hub: str, waves: Path) -> Path:
    """The shipped playbook, with what stands in here for a registry, a hub and an index of packages."""
    cache = state_directory() / "cache/pip"
    cache.mkdir(parents=True, exist_ok=True)
    configuration = machine.pip_configuration()
    (folder / "pip.conf").write_text(configuration.text(PIP_CACHE))
    mounts = [f"{folder}/pip.conf:/etc/pip.conf:ro", f"{cache}:{PIP_CACHE}"]
    mounts += [f"{path}:{path}:ro" for path in configuration.paths()]
    heard = '- transcribe: {file: "WAVES/hello_world.wav", expect: "hello world"}'.replace(
        "WAVES", str(waves)
    )
    engine = "image: localhost/lab:1\n      supervisor: script\n      engine: podman"
    text = (REPOSITORY / "playbooks/asr-container.yml").read_text()
    for old, new in {
        "image: docker.io/library/debian:12": engine,
        'ports: ["8000:8000"]': f'ports: ["127.0.0.1:{port}:8000"]',
        '"{{ data_dir }}:/data"': ", ".join(json.dumps(each) for each in ["{{ data_dir }}:/data", *mounts]),
        "- http: /health\n        # With": f"- http: /health\n        {heard}\n        # With",
        "packages: [python3-venv, ffmpeg]": "packages: [python3-venv]",
        "- torch\n": "- torch==2.13.0\n",
        "iic/SenseVoiceSmall}": f"iic/SenseVoiceSmall, endpoint: {hub}}}",
        "zh-cn-16k-common-pytorch}": f"zh-cn-16k-common-pytorch, endpoint: {hub}}}",
    }.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "playbooks/asr-container.yml"
    path.parent.mkdir()
    path.write_text(text)
    return path


@pytest.fixture
def engine(podman: Podman, monkeypatch: pytest.MonkeyPatch) -> Iterator[Podman]:
    monkeypatch.setenv("PATH", f"{podman.bin}:{os.environ['PATH']}")
    yield podman
    podman.run("rm", "--force", "--ignore", "--time", "0", "asr-container")


def test_from_nothing_to_known_words_and_nothing_to_do_after_that(engine: Podman, tmp_path: Path) -> None:
    waves, port = speech_models() / "waves", free_port()
    hosts = {
        "localhost": {"connection": "local", "prefix": str(tmp_path / "prefix")},
        "asr-container": {"connection": "container", "engine": "podman"},
    }
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories/all.yml").write_text(json.dumps({"hosts": hosts}))
    with Hub(hub_root(speech=True), address=own_address()) as hub:
        path = playbook(tmp_path, port, hub.url, waves)
        provision = Provision(["-e", f"data_dir={tmp_path}/data"], {"PYTHONPATH": str(REPOSITORY)}, tmp_path)
        assert (
            "does not exist yet"
            in provision.plan(path, code=2).event("note", host="asr-container")[0]["text"]
        )
        answer = provision.apply(path, timeout=1400)
        through = answer.event(
            "proof", host="localhost", service="asr-container", check="transcribe hello_world.wav"
        )
        assert [(proof["ok"], proof["received"]) for proof in through] == [(True, "hello world")]
        curl = ["curl", "-sS", "-F", f"file=@{waves}/nihao_shijie.wav", f"http://127.0.0.1:{port}/recognize/"]
        assert json.loads(subprocess.check_output(curl)) == {"result": "你好世界。"}
        assert provision.plan(path, code=0).changes() == {}

        engine.run("restart", "--time", "0", "asr-container")
        changes = provision.plan(path, code=2).changes("asr-container")
        assert set(changes) == {"process:asr", "probe:asr"}
        provision.apply(path)
        assert json.loads(subprocess.check_output(curl)) == {"result": "你好世界。"}
    provision.run("remove", path, "--yes")
    assert engine.run("ps", "--all", "--quiet", "--filter", "name=asr-container") == ""
