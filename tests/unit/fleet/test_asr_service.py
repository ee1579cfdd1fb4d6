"""A speech service becomes the app's files, a script, and a unit like any other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from provision.catalog.render import render_tree
from provision.wire import checks
from provision.wire.specs.probe import ProbeSpec
from provision.wire.specs.unit import UnitSpec
from tests.unit.fleet.conftest import Project, record, resource, spec

PLAYBOOK = """
- hosts: all
  environments:
    asr:
      packages: [torch==2.13.0, funasr==1.4.16, modelscope, fastapi, "uvicorn[standard]", python-multipart]
  models:
    sense: {modelscope: iic/SenseVoiceSmall}
    vad: {modelscope: iic/speech_fsmn_vad_zh-cn-16k-common-pytorch}
  services:
    asr: {kind: asr, environment: asr, model: sense, vad_model: vad, api_key: {env: K}, use_itn: false}
"""

APP = "/opt/provision/app"


def test_the_script_names_models_and_options(project: Project) -> None:
    catalog = project.compile(PLAYBOOK)
    script = render_tree(catalog)["/opt/provision/services/asr/start.sh"][0]
    assert f"export PYTHONPATH={APP}\n" in script
    model = spec(catalog, "model:sense").path
    assert f"python -m provision.asr \\\n  --model {model} \\\n" in script
    assert "--no-use-itn" in script
    assert "--merge-vad" in script


@pytest.mark.parametrize(
    ("device", "flag", "cards"),
    [("cpu", "cpu", None), ("cuda", "cuda", ["0"]), ("cuda:10", "cuda:10", ["10"]), ("GPU-5a", None, None)]
    + [
        (uuid, "cuda:0", [uuid])
        for uuid in ("GPU-52a3a85d-3c55-ca3a", "MIG-377e0049-554c-540b-93c6-d0976f8426cb")
    ],
)
def test_the_card_by_index_or_uuid(
    project: Project, device: str, flag: str | None, cards: list[str] | None
) -> None:
    playbook = PLAYBOOK.replace("use_itn: false", f"device: '{device}'")
    if flag is None:
        assert "expected a device" in project.problems(playbook)[0]
        return
    catalog = project.compile(playbook)
    script = render_tree(catalog)["/opt/provision/services/asr/start.sh"][0]
    assert f"--device {flag} " in script
    assert (f"export CUDA_VISIBLE_DEVICES={device}" in script) == (device[0].isupper())
    assert record(catalog, "unit:asr", UnitSpec).cards == cards


def test_its_flags_are_those_of_the_app(project: Project, tmp_path: Path) -> None:
    """The app itself accepts the script's command line, run from the files that go to the host."""
    tree = render_tree(project.compile(PLAYBOOK))
    for path, (text, _) in tree.items():
        if path.startswith(APP):
            target = tmp_path / "app" / path.removeprefix(APP + "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    command = tree["/opt/provision/services/asr/start.sh"][0].partition("provision.asr")[2]
    arguments = command.replace("\\\n", " ").replace("/opt/provision/models", str(tmp_path)).split()
    check = (
        "import sys; from provision.asr import settings as s; print(s.parse(sys.argv[1:], {}), s.__file__)"
    )
    argv = [sys.executable, "-c", check, *arguments]
    done = subprocess.run(argv, cwd=tmp_path / "app", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "use_itn=False" in done.stdout
    assert str(tmp_path / "app") in done.stdout


def test_model_files_that_funasr_would_silently_miss_are_required(project: Project) -> None:
    catalog = project.compile(PLAYBOOK)
    assert "model.pt" in spec(catalog, "model:vad").required
    (wanted,) = spec(catalog, "model:sense").expects
    assert "chn_jpn_yue_eng_ko_spectok.bpe.model" in wanted.files["SenseVoiceSmall"]
    assert "tokens.json" in wanted.files["Paraformer"]


def test_models_for_punctuation_and_speakers_and_hotwords_reach_the_app(project: Project) -> None:
    playbook = PLAYBOOK.replace("use_itn: false", "punc_model: punc, spk_model: spk, hotwords: [魔搭, abc]")
    playbook = playbook.replace(
        "  services:", "    punc: {path: /data/punc}\n    spk: {path: /data/spk}\n  services:"
    )
    catalog = project.compile(playbook)
    script = render_tree(catalog)["/opt/provision/services/asr/start.sh"][0]
    for flag in ("--punc-model /data/punc", "--spk-model /data/spk", "--hotword=魔搭", "--hotword=abc"):
        assert flag.split()[0].split("=")[0] in script
        assert flag in script.replace("'", "")
    assert {"model:punc", "model:spk"} <= set(resource(catalog, "unit:asr").needs)
    assert spec(catalog, "model:spk").required == ["config.yaml", "configuration.json"]
    (wanted,) = spec(catalog, "model:sense").expects
    assert sorted(wanted.files) == ["ContextualParaformer", "SeacoParaformer"]
    says = "is a SenseVoiceSmall, which sets punctuation itself; leave punc_model out"
    assert wanted.misfits["SenseVoiceSmall"] == says


def test_a_hotword_is_one_word(project: Project) -> None:
    for word in ("two words", "http://x/words.txt", "words.txt"):
        playbook = PLAYBOOK.replace("use_itn: false", f'hotwords: ["{word}"]')
        assert "is not one word" in project.problems(playbook)[0]


def test_a_new_app_restarts_it(project: Project) -> None:
    assert resource(project.compile(PLAYBOOK), f"tree:{APP}").triggers == ["asr"]


def test_health_is_the_proof_unless_something_is_transcribed(project: Project) -> None:
    assert record(project.compile(PLAYBOOK), "probe:asr", ProbeSpec).checks == [checks.Http(path="/health")]
    (project.root / "playbooks/a.wav").write_bytes(b"RIFF")
    declared = ", checks: [{transcribe: {file: a.wav, expect: hello}}]}"
    text = PLAYBOOK.replace("use_itn: false}", "use_itn: false" + declared)
    assert record(project.compile(text), "probe:asr", ProbeSpec).checks == [
        checks.Transcribe(audio="UklGRg==", file="a.wav", expect="hello")
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (", fastapi", "", "does not install fastapi"),
        (", vad_model: vad", "", "missing key `vad_model`"),
    ],
)
def test_what_is_missing(project: Project, old: str, new: str, expected: str) -> None:
    (problem,) = project.problems(PLAYBOOK.replace(old, new))
    assert expected in problem


def test_a_package_that_only_its_installation_names_may_bring_the_rest(project: Project) -> None:
    text = PLAYBOOK.replace("funasr==1.4.16, modelscope", '"git+https://git.example/FunASR.git@v1"')
    assert text != PLAYBOOK
    text = text.replace(
        "{modelscope: iic/SenseVoiceSmall}", "{modelscope: iic/SenseVoiceSmall, environment: asr}"
    )
    text = text.replace("zh-cn-16k-common-pytorch}", "zh-cn-16k-common-pytorch, environment: asr}")
    assert resource(project.compile(text), "environment:asr")
