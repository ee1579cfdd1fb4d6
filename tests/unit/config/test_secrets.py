from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import pytest

from provision.config import secrets
from provision.config.problems import ConfigError, Position
from provision.config.references import parse_secret
from provision.config.secrets import Secret
from tests.unit.config.conftest import Project

VALUE = "sk-do-not-print"
AT = Position("p.yml", 4, 16)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_results", {})
    monkeypatch.setenv("R1_API_KEY", VALUE)


def error(secret: Secret) -> str:
    with pytest.raises(ConfigError) as caught:
        secret.resolve()
    return str(caught.value)


def command(folder: Path, *argv: str) -> Secret:
    return Secret("command", argv, folder, AT)


def test_it_never_shows() -> None:
    secret = parse_secret({"env": "R1_API_KEY"})
    secret.resolve()
    for shown in (str(secret), repr(secret), f"{secret}", f"{secret!r}", str([secret]), secret.describe()):
        assert VALUE not in shown
    assert repr(secret) == str(secret) == "***"
    assert VALUE.encode() not in pickle.dumps(secret)
    assert secret.describe() == "env R1_API_KEY"


def test_it_is_a_key(tmp_path: Path) -> None:
    one = Secret("file", ("a",), tmp_path, AT)
    assert one == Secret("file", ("a",), tmp_path, None)
    assert hash(one) == hash(Secret("file", ("a",), tmp_path, None))
    assert one != Secret("file", ("a",), tmp_path / "other", AT)


def test_from_a_playbook(project: Project, tmp_path: Path) -> None:
    project.write("secrets/key", f"{VALUE}\n")
    play = project.play(
        "- hosts: gpu\n  services:\n    a: {kind: vllm, environment: e, model: m,\n"
        "      api_key: {file: secrets/key}, env: {B: {env: R1_API_KEY}, C: {command: [cat, secrets/key]}}}\n"
    )
    service = play.fields.services["a"]
    assert service.api_key.resolve() == VALUE  # type: ignore[attr-defined]
    assert service.api_key.position == Position("p.yml", 4, 16)  # type: ignore[attr-defined]
    assert [value.resolve() for value in service.env.values() if isinstance(value, Secret)] == [VALUE, VALUE]
    assert VALUE not in repr(play)
    assert VALUE not in repr(service)


def test_through_a_variable(project: Project) -> None:
    play = project.play(
        "- hosts: gpu\n  vars: {key: {env: R1_API_KEY}}\n  files: {/k: {content: '{{ key }}'}}\n"
    )
    content = play.fields.files["/k"].content
    assert isinstance(content, Secret)
    assert play.fields.files["/k"].secret
    assert content.resolve() == VALUE
    assert content.position == Position("p.yml", 3, 25)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_one_line_ending_is_taken_off(tmp_path: Path, ending: str) -> None:
    (tmp_path / "key").write_bytes(f" {VALUE} {ending}".encode())
    assert Secret("file", ("key",), tmp_path).resolve() == f" {VALUE} "


def test_missing_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("R1_API_KEY")
    assert error(Secret("env", ("R1_API_KEY",), position=AT)) == (
        "p.yml:4:16: the environment variable R1_API_KEY is not set; "
        "set it where provision runs: export R1_API_KEY=…"
    )


@pytest.mark.parametrize("value", ["", "\n"])
def test_empty(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("R1_API_KEY", value)
    expected = "p.yml:4:16: the secret from the environment variable R1_API_KEY is empty"
    assert error(Secret("env", ("R1_API_KEY",), position=AT)) == expected


@pytest.mark.parametrize("value", ["a\nb", "a\n\n", "a\r\nb\r\n"])
def test_several_lines_where_one_is_needed(tmp_path: Path, value: str) -> None:
    (tmp_path / "key").write_text(value, newline="")
    assert error(Secret("file", ("key",), tmp_path, AT)) == (
        "p.yml:4:16: the secret from the file key has several lines, and one line is needed here; "
        "put a key or certificate into a file with `files: {/path: {content: …}}`, "
        "and give the service its path"
    )


@pytest.mark.parametrize(
    "text", [f"{VALUE}\n", VALUE, f"-----BEGIN\n{VALUE}\n-----END\n", "a\r\n\tb\r\n\n", "\x1b[0m"]
)
def test_a_whole_file_is_kept_as_it_is(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text, newline="")
    assert Secret("file", ("key",), tmp_path).as_file().resolve() == text
    assert command(tmp_path, "cat", "key").as_file().resolve() == text


@pytest.mark.parametrize(
    ("text", "becomes"),
    [(VALUE, VALUE), ("a\nb", "a\nb\n"), ("a\nb\n", "a\nb\n"), (f"{VALUE}\n", f"{VALUE}\n")],
)
def test_a_variable_of_several_lines_gets_back_the_last_line_end(
    monkeypatch: pytest.MonkeyPatch, text: str, becomes: str
) -> None:
    monkeypatch.setenv("R1_API_KEY", text)
    assert Secret("env", ("R1_API_KEY",)).as_file().resolve() == becomes


NOT_TEXT = {b"\xff\xfe": "is not UTF-8 text", b"a\0b": "holds a NUL character"}


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("value", NOT_TEXT)
def test_what_is_not_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: bytes, whole: bool) -> None:
    (tmp_path / "key").write_bytes(value)
    secrets = [Secret("file", ("key",), tmp_path, AT), command(tmp_path, "cat", "key")]
    if b"\0" not in value:
        monkeypatch.setitem(os.environb, b"R1_API_KEY", value)
        secrets.append(Secret("env", ("R1_API_KEY",), tmp_path, AT))
    for secret in secrets:
        said = error(secret.as_file() if whole else secret)
        assert said.startswith("p.yml:4:16: the secret from the ")
        assert NOT_TEXT[value] in said


def test_what_is_foreseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("R1_API_KEY")
    (tmp_path / "key").write_text("-----BEGIN\n-----END\n")
    one = Secret("file", ("key",), tmp_path, AT)
    assert "several lines" in str(one.foresee())
    assert one.as_file().foresee() is None
    assert Secret("file", ("none",), tmp_path, AT).foresee() is None
    assert Secret("env", ("R1_API_KEY",), tmp_path, AT).foresee() is None
    assert "a directory" in str(Secret("file", (".",), tmp_path, AT).foresee())
    assert command(tmp_path, "touch", "ran").foresee() is None
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("value", ["a\tb", "a\x1b[0m", "a\x7f", "\u2028a", "a\x85"])
def test_control_characters(tmp_path: Path, value: str) -> None:
    (tmp_path / "key").write_text(value, newline="")
    assert error(Secret("file", ("key",), tmp_path, AT)) == (
        "p.yml:4:16: the secret from the file key holds a control character; a secret is one line of text"
    )


def test_files(tmp_path: Path) -> None:
    missing = Secret("file", ("none",), tmp_path, AT)
    assert error(missing) == (
        f"p.yml:4:16: there is no secret file {tmp_path}/none; put the secret there, and nothing else"
    )
    assert error(Secret("file", (".",), tmp_path, AT)) == (
        f"p.yml:4:16: the secret file {tmp_path} cannot be read: it is a directory"
    )
    (tmp_path / "big").write_bytes(b"a" * 70_000)
    assert error(Secret("file", ("big",), tmp_path, AT)) == (
        "p.yml:4:16: the secret from the file big is longer than 65536 bytes"
    )
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert error(Secret("file", ("binary",), tmp_path, AT)) == (
        "p.yml:4:16: the secret from the file binary is not UTF-8 text"
    )


def test_a_command_runs_beside_the_playbook_and_once(tmp_path: Path) -> None:
    (tmp_path / "get").write_text(f"#!/bin/sh\necho run >> runs\necho {VALUE}\n")
    (tmp_path / "get").chmod(0o755)
    for _ in range(3):
        assert command(tmp_path, "sh", "get").resolve() == VALUE
    assert (tmp_path / "runs").read_text() == "run\n"


def test_command_failures_show_nothing_it_said(tmp_path: Path) -> None:
    assert error(command(tmp_path, "sh", "-c", f"echo {VALUE} >&2; echo {VALUE}; exit 4")) == (
        "p.yml:4:16: the command `sh` failed with exit code 4; run it by hand to see why"
    )
    assert error(command(tmp_path, "no-such-program", VALUE)) == (
        "p.yml:4:16: the command `no-such-program` cannot be run: No such file or directory"
    )
    assert error(command(tmp_path, "true")) == "p.yml:4:16: the secret from the command `true` is empty"


def test_a_command_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "COMMAND_SECONDS", 1)
    started = time.monotonic()
    assert error(command(tmp_path, "sh", "-c", "sleep 600 & wait")) == (
        "p.yml:4:16: the command `sh` took longer than 1 s"
    )
    assert time.monotonic() - started < 300


def test_a_command_cannot_ask_the_terminal(tmp_path: Path) -> None:
    assert error(command(tmp_path, "cat")) == "p.yml:4:16: the secret from the command `cat` is empty"
