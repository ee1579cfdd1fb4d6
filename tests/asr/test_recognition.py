"""Known speech comes back as the known text, in every form that clients ask for."""

import json
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.asr import speech
from tests.asr.conftest import eventually, has, held, model_directory, python

TEXTS = {
    "hello_world": "hello world",
    "nihao_shijie": "你好世界。",
    "two_segments": "one two three stop",
    "silence": "",
}


@pytest.mark.parametrize("name", TEXTS)
def test_recognize(service, waves, name):
    answer = service.recognize(waves[name])
    assert (answer.status, answer.json) == (200, {"result": TEXTS[name]})


def test_address_without_slash(service, waves):
    assert service.post("/recognize", waves["hello_world"]).json == {"result": "hello world"}


@pytest.mark.parametrize("name", TEXTS)
def test_transcription(service, waves, name):
    answer = service.post("/v1/audio/transcriptions", waves[name], model="SenseVoiceSmall")
    assert answer.status == 200
    assert answer.json["text"] == TEXTS[name]


def together(service, calls):
    """The answers to requests that have all come before the first is recognized, however fast that is."""
    with ThreadPoolExecutor(len(calls)) as pool, held(*service.workers()):
        answers = [pool.submit(call) for call in calls]
        eventually(lambda: sum(path.suffix == ".pcm" for path in service.files()) == len(calls))
    return [answer.result() for answer in answers]


def test_many_files_at_once_are_not_mixed_up(service):
    files = [speech.small(number) for number in range(40)]
    before = service.metric("asr_batch_size_count"), service.metric("asr_batch_size_sum")
    answers = together(service, [lambda f=file: service.recognize(f) for file, _ in files])
    assert [answer.json for answer in answers] == [{"result": text} for _, text in files]
    batches = service.metric("asr_batch_size_count") - before[0]
    requests = service.metric("asr_batch_size_sum") - before[1]
    assert requests == 40
    assert batches < 40, "requests that waited together were not batched"


def test_languages_in_one_batch_are_kept_apart(service, waves):
    languages = ["zh", "en", "yue", "ja", "ko", "nospeech", "auto"] * 4
    answers = together(
        service,
        [lambda x=x: service.recognize(waves["hello_world"], language=x, tags="keep") for x in languages],
    )
    for language, answer in zip(languages, answers, strict=True):
        # the tiny model names the language of the request, and zh for auto
        expected = "zh" if language == "auto" else language
        assert answer.json["result"].startswith(f"<|{expected}|>")


def test_tags(service, waves):
    wave = waves["hello_world"]
    assert service.recognize(wave, tags="keep").json["result"] == (
        "<|zh|><|NEUTRAL|><|Speech|><|withitn|> hello world"
    )
    assert service.recognize(wave, tags="strip").json["result"] == "hello world"
    body = service.post("/v1/audio/transcriptions", wave, tags="keep").json
    assert body["text"].startswith("<|zh|>")


def test_options_in_the_query(service, waves):
    answer = service.post("/recognize/?tags=keep&language=en", waves["hello_world"])
    assert answer.json["result"].startswith("<|en|>")


def test_verbose_json_has_the_times_of_speech(service, waves):
    body = service.post(
        "/v1/audio/transcriptions", waves["two_segments"], response_format="verbose_json"
    ).json
    assert body["text"] == "one two three stop"
    assert body["duration"] == pytest.approx(7.8)
    assert [segment["text"] for segment in body["segments"]] == ["one two", "three stop"]
    first, second = body["segments"]
    # spoken from 1.5 to 2.25 s and from 5.4 to 6.15 s
    assert 1.0 < first["start"] < 1.5 < 2.2 < first["end"] < 3.2
    assert 4.9 < second["start"] < 5.4 < 6.1 < second["end"] <= 7.8


def test_subtitles(service, waves):
    srt = service.post("/v1/audio/transcriptions", waves["two_segments"], response_format="srt").text
    assert re.fullmatch(
        r"1\n00:00:01,\d{3} --> 00:00:02,\d{3}\none two\n\n"
        r"2\n00:00:05,\d{3} --> 00:00:07,\d{3}\nthree stop\n\n",
        srt,
    )
    vtt = service.post("/v1/audio/transcriptions", waves["two_segments"], response_format="vtt")
    assert vtt.headers["Content-Type"].startswith("text/vtt")
    assert re.fullmatch(r"WEBVTT\n\n00:00:01\.\d{3} --> .*\none two\n\n.* --> .*\nthree stop\n\n", vtt.text)
    assert (
        service.post("/v1/audio/transcriptions", waves["hello_world"], response_format="text").text
        == "hello world"
    )


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_rates_and_channels(service, rate, channels):
    words = ["hello", "two", "好", "one", "世"]
    mono = speech.samples(words, rate=rate)
    data = mono if channels == 1 else type(mono)("h", [x for sample in mono for x in (sample, sample)])
    answer = service.recognize(speech.wav(data, rate, channels))
    assert answer.json == {"result": speech.sentence(words)}


ENCODE = """
import sys, io, soundfile
data, rate = soundfile.read(sys.argv[1])
out = io.BytesIO()
soundfile.write(out, data, rate, format=sys.argv[2], subtype=sys.argv[3] or None)
sys.stdout.buffer.write(out.getvalue())
"""


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("FLAC", ""),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", ""),
        ("WAV", "FLOAT"),
        ("WAV", "PCM_24"),
        ("AIFF", ""),
    ],
)
def test_formats(service, kind, subtype):
    wave = model_directory() / "waves" / "hello_world.wav"
    data = subprocess.run(
        [python(), "-c", ENCODE, str(wave), kind, subtype], capture_output=True, check=True
    ).stdout
    assert service.recognize(data).json == {"result": "hello world"}


OPENAI = """
import json, sys, openai
client = openai.OpenAI(base_url=sys.argv[1], api_key="any")
path = sys.argv[2]
out = {"models": [m.id for m in client.models.list()]}
def transcribe(**more):
    with open(path, "rb") as file:
        return client.audio.transcriptions.create(model="SenseVoiceSmall", file=file, **more)
out["json"] = transcribe(temperature=0, prompt="names", language="zh").text
out["text"] = transcribe(response_format="text")
verbose = transcribe(response_format="verbose_json", timestamp_granularities=["segment"])
out["verbose"] = [[s.text, s.start < s.end, s.id] for s in verbose.segments]
out["srt"] = transcribe(response_format="srt")
try:
    with open(path, "rb") as file:
        client.audio.transcriptions.create(model="other", file=file)
except openai.NotFoundError as error:
    out["other"] = [error.code, error.param]
try:
    transcribe(language="xx")
except openai.UnprocessableEntityError as error:
    out["language"] = error.body["message"]
print(json.dumps(out))
"""


def test_openai_client(service):
    if not has("openai"):
        pytest.skip(f"{python()} has no openai")
    path = model_directory() / "waves" / "two_segments.wav"
    command = [python(), "-c", OPENAI, f"http://127.0.0.1:{service.port}/v1", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    assert out["models"] == ["SenseVoiceSmall"]
    assert out["json"] == out["text"] == "one two three stop"
    assert out["verbose"] == [["one two", True, 0], ["three stop", True, 1]]
    assert "three stop" in out["srt"]
    assert out["other"] == ["not_found", "model"]
    assert "zh, en, yue, ja, ko" in out["language"]


def test_page_and_metrics(service):
    page = service.get("/")
    assert page.status == 200
    assert 'enctype="multipart/form-data"' in page.text
    assert "http" not in re.sub(r"<code>.*?</code>", "", page.text), "the page needs nothing from elsewhere"
    metrics = service.get("/metrics").text
    for line in metrics.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) .+|[a-z_]+(\{([a-z]+="[^"]*",?)+\})? [0-9.e+-]+', line), line
    assert service.metric("asr_workers_ready") == 2


def test_very_short_audio_holds_no_speech(service):
    for count in (1, 100, 399, 400, 800):
        answer = service.recognize(speech.wav(speech.samples([], lead=1.0)[:count]))
        assert (answer.status, answer.json) == (200, {"result": ""}), count


def ffmpeg():
    """An ffmpeg program: the system's, or that of imageio_ffmpeg."""
    code = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"
    return shutil.which("ffmpeg") or (
        has("imageio_ffmpeg") and subprocess.check_output([python(), "-c", code], text=True).strip()
    )


def test_ffmpeg(start, tmp_path, waves):
    program = ffmpeg()
    if not program:
        pytest.skip("there is no ffmpeg here")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ffmpeg").symlink_to(program)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    service = start("--workers", "1", "--max-audio-seconds", "5", environ={"PATH": path})

    def encoded(name, kind):
        target = tmp_path / f"{name}.{kind}"
        source = str(model_directory() / "waves" / f"{name}.wav")
        subprocess.run([program, "-i", source, "-b:a", "128k", str(target)], check=True, capture_output=True)
        return target.read_bytes()

    for kind in ("m4a", "mp4", "webm", "aac"):
        assert service.recognize(encoded("hello_world", kind)).json == {"result": "hello world"}, kind
    assert service.recognize(encoded("two_segments", "m4a")).status == 413  # 7.8 s
    bomb = tmp_path / "bomb.m4a"
    nothing = ["-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "3600", "-b:a", "8k", str(bomb)]
    subprocess.run([program, *nothing], check=True, capture_output=True)
    memory = service.memory()
    assert service.recognize(bomb.read_bytes()).status == 413  # an hour in some hundred kB
    assert service.memory() - memory < 50
    assert not service.files()
    # a playlist must not make ffmpeg read files or addresses
    secret = model_directory() / "waves" / "hello_world.wav"
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n"
    concat = f"ffconcat version 1.0\nfile '{secret}'\n"
    for playlist in (hls, concat):
        assert service.recognize(playlist.encode()).status == 415
    assert service.recognize(waves["nihao_shijie"]).json == {"result": "你好世界。"}
