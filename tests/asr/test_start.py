"""What cannot work is refused at the start, in one sentence."""

import shutil
import socket
import subprocess

import pytest

from tests.asr.conftest import ROOT, model_directory, python


@pytest.fixture
def models(waves, tmp_path):
    """A copy of the models that a test may damage."""
    directory = tmp_path / "models"
    for name in ("SenseVoiceSmall", "fsmn-vad"):
        shutil.copytree(model_directory() / name, directory / name)
    return directory


def refused(start, *flags, **options):
    """Start with what cannot work; return what was printed."""
    service = start(*flags, wait=False, **options)
    assert service.process.wait(180) != 0
    assert "Traceback" not in service.log.split("error: ")[-1]
    return service.log


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("SenseVoiceSmall", "model.pt"),
        ("SenseVoiceSmall", "am.mvn"),
        ("SenseVoiceSmall", "chn_jpn_yue_eng_ko_spectok.bpe.model"),
        ("SenseVoiceSmall", "configuration.json"),
        ("fsmn-vad", "model.pt"),
        ("fsmn-vad", "config.yaml"),
    ],
)
def test_missing_file_of_a_model(start, models, name, file):
    (models / name / file).unlink()
    assert f"lacks {file}" in refused(start, models=models)
    (models / name / file).touch()
    assert f"lacks {file}" in refused(start, models=models)


def test_missing_directory(start, models):
    shutil.rmtree(models / "fsmn-vad")
    assert "is not a directory" in refused(start, models=models)


def test_weights_that_cannot_be_loaded(start, models):
    (models / "SenseVoiceSmall" / "model.pt").write_bytes(b"not weights")
    assert "cannot be loaded" in refused(start, models=models)


def test_weights_of_another_model(start, models):
    shutil.copy(models / "fsmn-vad" / "model.pt", models / "SenseVoiceSmall" / "model.pt")
    assert "weights" in refused(start, models=models)


def test_device_that_is_not_there(start):
    log = refused(start, "--device", "cuda:0")
    assert "device cuda:0 was asked for but cpu would be used" in log


def test_port_in_use(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}" in refused(start, "--port", str(port))


@pytest.mark.parametrize(
    ("flags", "environ", "words"),
    [
        (["--workers", "0"], {}, "at least 1"),
        (["--port", "70000"], {}, "65535"),
        (["--language", "fr"], {}, "invalid choice"),
        (["--timeout", "nan"], {}, "above 0"),
        (["--work", "1"], {}, "unrecognized"),
        ([], {"ASR_API_KEY": ""}, "ASR_API_KEY"),
        ([], {"ASR_API_KEY": "a\nb"}, "ASR_API_KEY"),
        ([], {"ASR_API_KEY": "a", "ASR_API_KEY_2": " "}, "ASR_API_KEY_2"),
        (["--ssl-certfile", "/nowhere"], {}, "--ssl-certfile and --ssl-keyfile belong together"),
        (
            ["--ssl-certfile", "/nowhere", "--ssl-keyfile", "/no"],
            {},
            "cannot speak TLS with /nowhere and /no",
        ),
        ([], {"ASR_MERGE_VAD": "maybe"}, "ASR_MERGE_VAD"),
        ([], {"ASR_QUEUE": "none"}, "--queue"),
    ],
)
def test_settings(start, flags, environ, words):
    assert words in refused(start, *flags, environ=environ)


def test_help_needs_nothing():
    done = subprocess.run(
        [python(), "-X", "importtime", "-m", "provision.asr", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    for flag in ("--model", "--vad-model", "--no-use-itn", "--recycle-after", "ASR_API_KEY"):
        assert flag in done.stdout
    for heavy in ("fastapi", "numpy", "torch", "funasr"):
        assert f" {heavy}\n" not in done.stderr
