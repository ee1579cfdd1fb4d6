"""The text of a declared file: in the playbook, in a file beside it, or from a template beside it."""

from __future__ import annotations

from collections.abc import Sequence
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
    """Return the content of the file at `path` on a host.

    Raises:
        ConfigError: the source cannot be read, or the template cannot be rendered.
    """
    file = play.fields.files[path]
    if file.absent:
        return ""
    if isinstance(file.content, Secret):
        return SecretText((SecretPart(file.content.as_file(), "file"),))
    text = _declared(play, path)
    return SecretText((PrivateText(text),)) if file.secret else text


def _declared(play: Play, path: str) -> str:
    file = play.fields.files[path]
    where = ("files", path)
    if file.source is not None:
        return _text(play, (*where, "source"), file.source)
    if file.template is not None:
        source = _text(play, (*where, "template"), file.template)
        return render_text(source, play.directory / file.template, play.variables, secret=file.secret)
    return str(file.content)


def read_bytes(play: Play, where: Sequence[str | int], name: str) -> bytes:
    """Return the content of a file, whose path counts from the playbook's directory.

    Raises:
        ConfigError: it cannot be read, or is larger than `MAX_BYTES`.
    """
    position = play.where(*where)
    source = play.directory / name
    try:
        data = inputs.content(source, MAX_BYTES)
    except OSError as error:
        message = f"{source} cannot be read: {error.strerror or error}"
        raise failure("unreadable-file", message, position) from None
    if len(data) > MAX_BYTES:
        raise failure("unreadable-file", f"{source} is larger than {MAX_BYTES >> 20} MiB", position)
    return data


def _text(play: Play, where: Sequence[str | int], name: str) -> str:
    try:
        return read_bytes(play, where, name).decode("utf-8")
    except UnicodeDecodeError:
        message = f"{play.directory / name} is not UTF-8 text"
        hint = "only text can be sent; fetch other files with a command"
        raise failure("unreadable-file", message, play.where(*where), hint) from None
