"""The text of a declared file: given in the playbook, a file beside it, or a template beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provision.catalog.templates import render_text
from provision.catalog.text import PrivateText, SecretPart, SecretText
from provision.config import inputs
from provision.config.problems import failure
from provision.config.secrets import Secret

if TYPE_CHECKING:
    from provision.config.playbook import Play

MAX_BYTES = 4 << 20
"""Largest file that travels in a request."""


def content_of(play: Play, path: str) -> str:
    """Return what the file at `path` of a host shall hold.

    Raises:
        ConfigError: the source cannot be read, or the template cannot be rendered.
    """
    file = play.files[path]
    if file.absent:
        return ""
    if isinstance(file.content, Secret):
        return SecretText((SecretPart(file.content.as_file(), "file"),))
    text = _declared(play, path)
    return SecretText((PrivateText(text),)) if file.secret else text


def _declared(play: Play, path: str) -> str:
    file = play.files[path]
    where = ("files", path)
    if file.source is not None:
        return _text(play, (*where, "source"), file.source)[0]
    if file.template is not None:
        source, template = _text(play, (*where, "template"), file.template)
        return render_text(source, template, play.variables, secret=file.secret)
    return str(file.content)


def read_bytes(play: Play, where: Sequence[str | int], name: str, limit: int) -> tuple[bytes, Path]:
    """Return the content of a file beside the playbook, and its path.

    Raises:
        ConfigError: it cannot be read, or is larger than `limit` bytes.
    """
    position = play.where(*where)
    source = play.directory / name
    try:
        data = inputs.content(source, limit)
    except OSError as error:
        raise failure(
            "unreadable-file", f"{source} cannot be read: {error.strerror or error}", position
        ) from None
    if len(data) > limit:
        raise failure("unreadable-file", f"{source} is larger than {limit >> 20} MiB", position)
    return data, source


def _text(play: Play, where: Sequence[str | int], name: str) -> tuple[str, Path]:
    data, source = read_bytes(play, where, name, MAX_BYTES)
    try:
        return data.decode("utf-8"), source
    except UnicodeDecodeError:
        hint = "only text can be sent; fetch other files with a command"
        raise failure("unreadable-file", f"{source} is not UTF-8 text", play.where(*where), hint) from None
