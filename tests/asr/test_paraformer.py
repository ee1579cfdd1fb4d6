"""Paraformer with models for punctuation and speakers, held against FunASR's own AutoModel; and models that
cannot be served.
"""

import json
import subprocess

import pytest

from tests.asr.conftest import model_directory, python
from tests.lab.models import paraformer_models

HOTWORD = "世界"

# What FunASR itself makes of a recording, with and without a hotword.
AUTOMODEL = """
import json, sys
import soundfile, torch
from funasr import AutoModel
models, tiny, wave = sys.argv[1:]
auto = AutoModel(model=f"{tiny}/seaco-paraformer", vad_model=f"{models}/fsmn-vad",
                 punc_model=f"{tiny}/ct-punc", spk_model=f"{tiny}/campplus",
                 device="cpu", disable_update=True, disable_pbar=True, log_level="ERROR")
samples, _ = soundfile.read(wave, dtype="float32")
found = auto.generate(input=samples, cache={}, batch_size_s=60, merge_vad=True, merge_length_s=15,
                      sentence_timestamp=True, hotword=sys.stdin.read())[0]
print("\\n" + json.dumps({"text": found["text"], "sentences": found["sentence_info"]}))
"""


@pytest.fixture(scope="module")
def tiny(waves):
    return paraformer_models()


def test_paraformer_with_punctuation_speakers_and_hotwords_is_as_funasr_has_it(start, waves, tiny):
    service = start(
        "--model", str(tiny / "seaco-paraformer"), "--punc-model", str(tiny / "ct-punc"),
        "--spk-model", str(tiny / "campplus"), "--hotword", HOTWORD, "--workers", "1",
    )  # fmt: skip
    models = model_directory()
    argv = [python(), "-c", AUTOMODEL, str(models), str(tiny), str(models / "waves/two_segments.wav")]
    said = subprocess.run(argv, input=HOTWORD, capture_output=True, text=True, check=True).stdout
    expected = json.loads(said.splitlines()[-1])
    assert any(mark in expected["text"] for mark in "，。？、,.?")

    assert service.recognize(waves["two_segments"]).json == {"result": expected["text"].strip()}
    assert service.recognize(waves["silence"]).json == {"result": ""}
    answer = service.post(
        "/v1/audio/transcriptions",
        waves["two_segments"],
        model="seaco-paraformer",
        response_format="verbose_json",
    ).json
    assert answer["text"] == expected["text"].strip()
    assert [(each["text"], each["speaker"]) for each in answer["segments"]] == [
        (each["text"].strip(), each["spk"]) for each in expected["sentences"]
    ]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model", "{models}/fsmn-vad"], "is a FsmnVADStreaming, which finds speech in a recording"),
        (["--vad-model", "{tiny}/paraformer"], "vad_model must be one of: FsmnVADStreaming"),
        (["--punc-model", "{tiny}/ct-punc"], "sets punctuation itself; leave punc_model out"),
        (["--model", "{tiny}/paraformer", "--hotword", "a"], "takes no hotwords"),
        (["--model", "{tiny}/lacking"], "lacks tokens.json"),
        (["--model", "{tiny}/whisper"], "is a WhisperWarp, which kind asr cannot serve as model"),
    ],
)
def test_models_that_cannot_be_served(start, tiny, tmp_path, flags, words):
    copy = tmp_path / "tiny"
    copy.mkdir()
    for name in ("paraformer", "ct-punc"):
        (copy / name).symlink_to(tiny / name)
    for name in ("lacking", "whisper"):
        (copy / name).mkdir()
        for file in (tiny / "paraformer").iterdir():
            (copy / name / file.name).write_bytes(file.read_bytes())
    (copy / "lacking" / "tokens.json").unlink()
    (copy / "whisper" / "config.yaml").write_text("model: WhisperWarp\n")
    flags = [flag.format(models=model_directory(), tiny=copy) for flag in flags]
    service = start(*flags, wait=False)
    assert service.process.wait(120) == 1
    assert words in service.log
