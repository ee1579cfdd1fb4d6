"""The parts that are plain functions."""

import json
import subprocess

import pytest

from provision.asr.metrics import Histogram, Metrics
from provision.asr.settings import SettingsError, parse
from provision.asr.transcript import Segment, Transcript, join_texts, srt, strip_tags, verbose_json, vtt
from tests.asr.conftest import ROOT, python

NEEDED = ["--model", "m", "--vad-model", "v"]


def transcript(*texts):
    segments = [
        Segment(
            3600.0 * i + 0.0004,
            3600.0 * i + 1.9996,
            f"<|en|><|HAPPY|><|BGM|><|withitn|>{text}",
            f"🎼{text}😊",
        )
        for i, text in enumerate(texts)
    ]
    return Transcript(7.2, segments, "all")


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (["one", "two"], "one two"),
        (["你好。", "世界"], "你好。世界"),
        (["你好", "ok"], "你好 ok"),
        (["", "a", ""], "a"),
        ([], ""),
        (["안녕", "하세요"], "안녕 하세요"),
    ],
)
def test_join(texts, joined):
    assert join_texts(texts) == joined


def test_strip_keeps_angle_brackets_that_are_no_tags():
    assert strip_tags("<|zh|><|Event_UNK|> a < b |> c") == "a < b |> c"


def test_subtitles():
    found = transcript("a --> <b>", "", "c")
    assert vtt(found, "strip").split("\n\n")[1] == "00:00:00.000 --> 00:00:02.000\na --&gt; &lt;b&gt;"
    assert srt(found, "strip").split("\n\n")[1] == "2\n02:00:00,000 --> 02:00:02,000\nc"
    assert vtt(transcript(), "strip") == "WEBVTT\n\n"
    assert srt(transcript(), "strip") == ""


def test_verbose():
    body = verbose_json(transcript("x", "y"), "emoji")
    assert body["language"] == "en"
    assert body["text"] == "all"
    assert [segment["text"] for segment in body["segments"]] == ["🎼x😊", "🎼y😊"]
    assert body["usage"] == {"type": "duration", "seconds": 8}
    assert verbose_json(transcript(), "strip")["language"] == "nospeech"


def test_settings_order():
    assert parse(NEEDED, {}).queue == 64
    assert parse(NEEDED, {"ASR_QUEUE": "3", "ASR_USE_ITN": "false"}).queue == 3
    assert (
        parse([*NEEDED, "--queue", "5", "--use-itn"], {"ASR_QUEUE": "3", "ASR_USE_ITN": "false"}).queue == 5
    )
    assert parse([*NEEDED, "--use-itn"], {"ASR_USE_ITN": "false"}).use_itn
    assert not parse(NEEDED, {"ASR_USE_ITN": "false"}).use_itn
    assert parse([], {"ASR_MODEL": "a/b", "ASR_VAD_MODEL": "v"}).model_id == "b"


def test_key_is_not_shown():
    settings = parse(NEEDED, {"ASR_API_KEY": "sk-secret"})
    assert settings.api_keys == ("sk-secret",)
    assert "sk-secret" not in repr(settings)
    for bad in ("", " ", "a b\n", "ключ"):
        with pytest.raises(SettingsError):
            parse(NEEDED, {"ASR_API_KEY": bad})


def test_missing_model_is_one_sentence():
    with pytest.raises(SettingsError, match="--vad-model DIR is needed"):
        parse(["--model", "m"], {})


def test_histogram():
    histogram = Histogram((1, 5))
    for value in (0.5, 1, 3, 7):
        histogram.observe(value)
    assert list(histogram.samples()) == [
        '_bucket{le="1"} 2',
        '_bucket{le="5"} 3',
        '_bucket{le="+Inf"} 4',
        "_sum 11.500000",
        "_count 4",
    ]
    assert "asr_real_time_factor 0" in Metrics().render({}, {})


def test_a_change_of_sample_rate(waves):
    """A tone keeps frequency, phase and level, one above the new limit vanishes, however it is cut."""
    done = subprocess.run([python(), "-m", "tests.asr.resampling"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == []
