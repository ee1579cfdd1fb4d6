"""Secrets from files that the real ansible-vault has encrypted (of ansible-core 2.21, see `vault/`)."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest
from pydantic_core import PydanticCustomError

from provision.config.problems import ConfigError
from provision.config.references import parse_secret
from provision.config.secrets import Secret

FILES = Path(__file__).with_name("vault")


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(FILES / "password"))


def secret(path: str = "secrets.yml", key: str | None = None) -> Secret:
    written = {"vault": path} if key is None else {"vault": path, "key": key}
    return Secret(parse_secret(written).kind, parse_secret(written).reference, FILES)


def why(found: Secret) -> str:
    with pytest.raises(ConfigError) as caught:
        found.resolve()
    said = str(caught.value)
    assert "Vault-" not in said
    return said


@pytest.mark.parametrize("file", ["secrets.yml", "labelled.yml"])
def test_a_variable_of_a_vault(file: str) -> None:
    assert secret(file, "hub_token").resolve() == "hf-Vault-9"
    assert secret(file, "keys.clients").resolve() == "sk-Vault-7"
    assert secret(file, "port").resolve() == "8000"


def test_a_whole_file() -> None:
    whole = secret("tls.key").as_file()
    assert whole.resolve() == "-----BEGIN KEY-----\nVault-pem\n-----END KEY-----\n"


def test_the_password_may_come_from_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "password"
    program.write_text(f"#!{sys.executable}\nprint('open sesame')\n")
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(program))
    assert secret(key="hub_token").resolve() == "hf-Vault-9"
    program.write_text(f"#!{sys.executable}\nraise SystemExit(3)\n")
    assert "failed with exit code 3" in why(secret(key="hub_token"))


def test_what_can_be_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "has no key 'none'" in why(secret(key="none"))
    assert "has no text at 'list'" in why(secret(key="list"))
    assert "holds no YAML, so it has no keys" in why(secret("tls.key", "a")) or "has no key" in why(
        secret("tls.key", "a")
    )
    assert "there is no secret file" in why(secret("nowhere.yml"))
    assert "is not encrypted by Ansible Vault; run `ansible-vault encrypt " in why(secret("password"))
    cut = tmp_path / "cut.yml"
    cut.write_bytes((FILES / "secrets.yml").read_bytes()[:-40])
    assert "is damaged" in why(secret(str(cut), "hub_token"))
    (tmp_path / "wrong").write_text("close sesame")
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(tmp_path / "wrong"))
    assert "cannot be opened with this password" in why(secret(key="hub_token"))
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(tmp_path / "nowhere"))
    assert "No such file or directory" in why(secret(key="hub_token"))
    del os.environ["ANSIBLE_VAULT_PASSWORD_FILE"]
    assert "needs a password; name the file with it: --vault-password-file FILE" in why(secret(key="x"))


def test_how_it_is_written() -> None:
    for wrong in ({"key": "a"}, {"vault": "a", "key": 1}, {"vault": ["a"]}, {"vault": "a", "env": "B"}):
        with pytest.raises(PydanticCustomError):
            parse_secret(wrong)
    assert parse_secret({"vault": "a.yml", "key": "b"}).describe() == "vault a.yml"
