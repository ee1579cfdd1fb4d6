"""What a host tells of models: by their files, or from a hub while they are not there yet."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from pathlib import Path

import pytest

from provision.host.models import described
from provision.host.models.described import Place, describe
from provision.wire.questions import Surveyed
from provision.wire.specs.model import ModelSpec
from provision.wire.survey import Described
from tests.host import archived
from tests.host.archived import PYTHONS
from tests.lab.hub import Hub

CONFIG = {"architectures": ["X"], "hidden_size": 8}
WEIGHTS = {
    "model.safetensors": {f"layers.0.mlp.experts.{number}.up.weight": [4, 8] for number in range(300)}
    | {"embed.weight": [16, 8]}
}


def put(folder: Path) -> None:
    """Write a model with 300 experts."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    for name, tensors in WEIGHTS.items():
        about = {
            each: {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]} for each, shape in tensors.items()
        }
        text = json.dumps(about).encode()
        (folder / name).write_bytes(struct.pack("<Q", len(text)) + text + bytes(3_000_000))


def one(path: Path, spec: ModelSpec | None, complete: bool) -> Described:
    """Return what is told of one model."""
    (found,) = describe([Place(str(path), spec, complete)])
    return found


def spec(path: Path, hub: str, repo: str = "owner/tiny", source: str = "modelscope") -> ModelSpec:
    return ModelSpec(path=str(path), source=source, repo=repo, endpoint=hub)


TENSORS = [
    ["layers.0.mlp.experts.*.up.weight", "BF16", [4, 8], 300],
    ["embed.weight", "BF16", [16, 8], 1],
]


def test_a_model_that_is_there(tmp_path: Path) -> None:
    put(tmp_path / "m")
    expected = Described(path=str(tmp_path / "m"), source=str(tmp_path / "m"), config=CONFIG, tensors=TENSORS)
    assert one(tmp_path / "m", None, complete=True) == expected
    assert one(tmp_path / "m", spec(tmp_path / "m", "http://127.0.0.1:1"), complete=True) == expected


@pytest.mark.parametrize("source", ["modelscope", "huggingface"])
def test_one_that_is_to_be_downloaded_is_read_on_its_hub(tmp_path: Path, source: str) -> None:
    put(tmp_path / "hub/owner/tiny")
    with Hub(tmp_path / "hub") as hub:
        found = one(tmp_path / "m", spec(tmp_path / "m", hub.url, source=source), complete=False)
        sent = sum(request.sent for request in hub.downloads(""))
    assert (found.config, found.tensors, found.trouble) == (CONFIG, TENSORS, None)
    assert found.source.startswith("owner/tiny of ")
    assert hub.url in found.source
    assert sent < 100_000  # of 3 MB
    assert not (tmp_path / "m").exists()


def test_a_download_that_was_cut_off_is_read_on_its_hub(tmp_path: Path) -> None:
    put(tmp_path / "hub/owner/tiny")
    (tmp_path / "m").mkdir()
    (tmp_path / "m/config.json").write_text("{}")
    with Hub(tmp_path / "hub") as hub:
        assert one(tmp_path / "m", spec(tmp_path / "m", hub.url), complete=False).config == CONFIG


def test_what_cannot_be_read_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub(tmp_path / "hub") as hub:
        unknown = one(tmp_path / "m", spec(tmp_path / "m", hub.url, "owner/none"), complete=False)
    assert unknown.trouble == "there is no config.json"
    assert unknown.config is None
    nobody = one(tmp_path / "m", spec(tmp_path / "m", "http://127.0.0.1:1"), complete=False)
    assert nobody.trouble == "Connection refused"
    local = one(tmp_path / "m", None, complete=True)
    assert (local.config, local.tensors, local.trouble) == (None, None, "there is no config.json")
    put(tmp_path / "m")
    monkeypatch.setattr(described, "MOST", 1)
    many = one(tmp_path / "m", None, complete=True)
    assert many.config == CONFIG
    assert (many.tensors, many.trouble) == (None, "it has more than 1 different tensors")
    (tmp_path / "m/config.json").write_text("[")
    assert "config.json is not JSON" in (one(tmp_path / "m", None, complete=True).trouble or "")


def test_a_disk_that_does_not_answer_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m").mkdir()
    os.mkfifo(tmp_path / "m/config.json")
    monkeypatch.setattr(described, "LIMIT", 1.0)
    found = one(tmp_path / "m", None, complete=True)
    assert found.trouble == "it could not be read within 1 s"
    with (tmp_path / "m/config.json").open("r+b", buffering=0) as pipe:  # ends the wait, read or not
        pipe.write(b"{}")


SURVEY = """
import json, os
from provision.host.machine import Machine
from provision.host.services import survey
from provision.wire.requests import Inspect
from provision.wire.requests import Stake

stake = Stake(
    service="s", cards=["0"], implied=False, models=[%r], environment="/nowhere", packages=["vllm"], port=1
)
asked = Inspect(playbooks=[], partial=False, deep=False)
machine = Machine(lambda event: None, "/nowhere")
found = survey.survey_of(machine, {}, [stake], ["s"], asked)
print(json.dumps(found.plain()), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: path.parent.parent.name)
def test_a_survey_by_each_python(tmp_path: Path, python: Path) -> None:
    """As the host side runs from its archive."""
    put(tmp_path / "m")
    program = SURVEY % str(tmp_path / "m")
    argv = [python, *archived.arguments(python, tmp_path, program)]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found = Surveyed.parse(json.loads(ended.stdout))
    assert found.models[0].tensors == TENSORS
    assert found.starting == ["s"]
