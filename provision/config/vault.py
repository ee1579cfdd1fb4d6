"""Files of Ansible Vault as a source of secrets: opened in memory, by the password that Ansible would use."""

from __future__ import annotations

import hashlib
import os
from binascii import unhexlify
from pathlib import Path
from typing import Any

from provision.config import programs
from provision.config.problems import quoted

PASSWORD_FILE = "ANSIBLE_VAULT_PASSWORD_FILE"
"""Variable with the path of the password; `--vault-password-file` sets it. As in Ansible, a program may be
there, which prints the password."""

PASSWORD_SECONDS = 30
"""How long such a program may take."""

_ROUNDS = 10_000
_KEY = 32
_BLOCK = 16


class VaultError(Exception):
    """A vault cannot be read; says so, and what to do. It never holds what is in the vault.

    Args:
        message: about the vault, without its name.
        hint: the way out.
        missing: something is not there yet; otherwise something is wrong.
    """

    def __init__(self, message: str, hint: str, missing: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.missing = missing


def value(path: Path, data: bytes, key: str | None) -> bytes:
    """Return what a vault holds: one of the variables in it, or without `key` the whole text.

    Args:
        path: the file.
        data: its content.
        key: name of a variable; `a.b` is `b` within `a`.

    Raises:
        VaultError: it is no vault, there is no password or a wrong one, or no such variable.
    """
    header, *lines = data.split()
    if not header.startswith(b"$ANSIBLE_VAULT;"):
        raise VaultError("is not encrypted by Ansible Vault", f"run `ansible-vault encrypt {path}`")
    if header.split(b";")[1:3] not in ([b"1.1", b"AES256"], [b"1.2", b"AES256"]):
        raise VaultError("is of a kind that is not known here", "encrypt it by `ansible-vault rekey`")
    text = _decrypted(b"".join(lines), _password())
    return text if key is None else _variable(text, key)


def _decrypted(body: bytes, password: bytes) -> bytes:
    """Return the text of a vault: PBKDF2 and AES in counter mode, sealed by HMAC (all with SHA-256)."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes, hmac, padding
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    except ImportError:
        way = "pip install 'provision[vault]', or use {command: [ansible-vault, view, FILE]}"
        raise VaultError("needs the Python package cryptography", way, missing=True) from None
    try:
        salt, seal, sealed = map(unhexlify, unhexlify(body).split(b"\n", 2))
    except ValueError:
        raise VaultError("is damaged", "take it from your repository again") from None
    keys = hashlib.pbkdf2_hmac("sha256", password, salt, _ROUNDS, 2 * _KEY + _BLOCK)
    check = hmac.HMAC(keys[_KEY : 2 * _KEY], hashes.SHA256())
    check.update(sealed)
    try:
        check.verify(seal)
    except InvalidSignature:
        hint = f"is it the right one in --vault-password-file or {PASSWORD_FILE}?"
        raise VaultError("cannot be opened with this password, or is damaged", hint) from None
    opened = Cipher(algorithms.AES(keys[:_KEY]), modes.CTR(keys[2 * _KEY :])).decryptor()
    padded = opened.update(sealed) + opened.finalize()
    unpadder = padding.PKCS7(8 * _BLOCK).unpadder()
    return bytes(unpadder.update(padded) + unpadder.finalize())


def _password() -> bytes:
    name = os.environ.get(PASSWORD_FILE)
    if not name:
        hint = f"name the file with it: --vault-password-file FILE, or export {PASSWORD_FILE}=FILE"
        raise VaultError("needs a password", hint, missing=True)
    path = Path(name).expanduser().absolute()
    try:
        if os.access(path, os.X_OK) and path.is_file():
            ended = programs.run([str(path)], None, PASSWORD_SECONDS, 65_536)
            if ended.code:
                raise VaultError(
                    f"has no password: {path} failed with exit code {ended.code}", "run it by hand"
                )
            return ended.printed.strip()
        return path.read_bytes().strip()
    except TimeoutError:
        raise VaultError(f"has no password: {path} took longer than {PASSWORD_SECONDS} s", "run it") from None
    except OSError as error:
        why = f"has no password: {path} cannot be read: {error.strerror}"
        raise VaultError(why, "put the password there", missing=True) from None


def _variable(text: bytes, key: str) -> bytes:
    import yaml

    try:
        # Not the loader of playbooks: its errors show lines.
        found: Any = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError):
        raise VaultError("holds no YAML, so it has no keys", "leave `key` out to take all of it") from None
    for name in [key] if isinstance(found, dict) and key in found else key.split("."):
        if not isinstance(found, dict) or name not in found:
            raise VaultError(f"has no key {quoted(key)}", "`ansible-vault view` shows its keys", missing=True)
        found = found[name]
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        raise VaultError(f"has no text at {quoted(key)}", "name a key whose value is a text")
    return str(found).encode()
