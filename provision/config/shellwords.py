"""Words of a text by the quotes and backslashes of a shell, and what only a shell would do with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# Each counts only where it stands alone: `a?x=1&y=2` is a word.
_OPERATOR = re.compile(r"(&&|\|\||[|;&])(?=\s|$)")
_ENDS = re.compile(r"[;|&](?=\s|$)|&&|\|\||>(?!=)|<\s")
_COMMAND = re.compile(r"[ \t]*(export|cd|source|\.|conda|set|ulimit|module)[ \t]")
_HOME = re.compile(r"~(/|\s|$|[a-z])")
_REDIRECTION = re.compile(r"(?:[0-9]*|&)(?:(?:>>|>\||>(?!=))(?:&[0-9-]+)?|<<?<?(?=[\s/.\w]))")
_EXPANSION = re.compile(r"\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[^}]*\}|\([^)]*\)?|[0-9@*#?!$])|`[^`]*`?")


class Word(NamedTuple):
    """One word.

    Args:
        text: without quotes.
        raw: as it is written.
        kind: "word", "operator" or "redirection" (with its target in `text`).
        expands: what a shell would replace, such as `$HOME` or `~`; empty when it is plain.
    """

    text: str
    raw: str
    kind: str = "word"
    expands: str = ""


def split(text: str) -> list[Word]:
    """Return the words of a text.

    Raises:
        ValueError: a quote is not closed.
    """
    words: list[Word] = []
    for word in _words(text):
        last = words[-1] if words else None
        if word.raw == "\n" and (last is None or last.kind == "operator"):
            continue
        waits = last is not None and last.kind == "redirection" and not re.search(r"&[0-9-]$", last.raw)
        if last is not None and waits and not last.text and word.kind == "word":
            words[-1] = last._replace(text=word.text, raw=f"{last.raw} {word.raw}")
        else:
            words.append(word)
    return words


def _words(text: str) -> Iterator[Word]:
    at = line = 0
    while at < len(text):
        if text[at] == "\n":
            # Words may go on in the next line, as YAML folds them; a command like these stands alone.
            if _COMMAND.match(text, line) or _COMMAND.match(text, at + 1):
                yield Word(";", "\n", "operator")
            at = line = at + 1
            continue
        if text[at].isspace():
            at += 1
            continue
        if text.startswith("\\\n", at):
            at += 2
            continue
        operator = _OPERATOR.match(text, at)
        if operator:
            yield Word(operator[0], operator[0], "operator")
            at = operator.end()
            continue
        redirection = _REDIRECTION.match(text, at)
        if redirection:
            yield Word("", redirection[0], "redirection")
            at = redirection.end()
            continue
        word, at = _word(text, at)
        yield word


def _word(text: str, start: int) -> tuple[Word, int]:
    """Return the word that begins here, and where it ends."""
    at, value, expands = start, "", ""
    if _HOME.match(text, at):
        expands = "~"
    while at < len(text) and not text[at].isspace():
        found = _EXPANSION.match(text, at)
        if text.startswith("\\\n", at):
            at += 2
        elif text[at] == "\\" and at + 1 < len(text):
            value, at = value + text[at + 1], at + 2
        elif text[at] == "'":
            end = text.find("'", at + 1)
            if end < 0:
                raise ValueError("no closing quotation")
            value, at = value + text[at + 1 : end], end + 1
        elif text[at] == '"':
            inner, more, at = _double_quoted(text, at + 1)
            value, expands = value + inner, expands or more
        elif _ENDS.match(text, at):
            break
        elif found:
            value, expands, at = value + found[0], expands or found[0], found.end()
        else:
            if text[at] == "*" and not text.startswith("*", start):
                expands = expands or "*"
            value, at = value + text[at], at + 1
    return Word(value, text[start:at], "word", expands), at


def _double_quoted(text: str, at: int) -> tuple[str, str, int]:
    """Return what stands in double quotes, what a shell would replace in it, and where it ends."""
    value, expands = "", ""
    while at < len(text) and text[at] != '"':
        found = _EXPANSION.match(text, at)
        if text[at] == "\\" and text[at + 1 : at + 2] in ('"', "\\", "$", "`"):
            value, at = value + text[at + 1], at + 2
        elif found:
            value, expands, at = value + found[0], expands or found[0], found.end()
        else:
            value, at = value + text[at], at + 1
    if at >= len(text):
        raise ValueError("no closing quotation")
    return value, expands, at + 1
