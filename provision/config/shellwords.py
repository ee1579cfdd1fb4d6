"""Words of a text by the quotes and backslashes of a shell, and what only a shell would do with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# A single one counts only where it stands alone: `a?x=1&y=2` is a word.
_OPERATOR = re.compile(r"&&|\|\||[|;&](?=\s|$)")
_ENDS = re.compile(r"[;|&](?=\s|$)|&&|\|\||>(?!=)|<\s")
_COMMAND = re.compile(r"[ \t]*(export|cd|source|\.|conda|set|ulimit|module)[ \t]")
_HOME = re.compile(r"~(/|\s|$|[a-z])")
_REDIRECTION = re.compile(r"(?:[0-9]*|&)(?:(?:>>|>\||>(?!=))(?:&[0-9-]+)?|<<?<?(?=[\s/.\w]))")
_EXPANSION = r"\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[^}]*\}|\([^)]*\)?|[0-9@*#?!$])|`[^`]*`?"
_IN_QUOTES = re.compile(rf"\\(?P<escaped>[\"\\$`])|(?P<expansion>{_EXPANSION})")
_PART = re.compile(
    rf"""\\(?P<joined>\n)|\\(?P<escaped>.)|'(?P<single>[^']*)'"""
    rf"""|"(?P<double>(?>\\["\\$`]|{_EXPANSION}|[^"])*+)"|(?P<expansion>{_EXPANSION})""",
    re.DOTALL,
)
"""The parts of a word that are more than themselves to a shell."""


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
        elif text[at].isspace():
            at += 1
        elif text.startswith("\\\n", at):
            at += 2
        elif operator := _OPERATOR.match(text, at):
            yield Word(operator[0], operator[0], "operator")
            at = operator.end()
        elif redirection := _REDIRECTION.match(text, at):
            yield Word("", redirection[0], "redirection")
            at = redirection.end()
        else:
            word, at = _word(text, at)
            yield word


def _word(text: str, start: int) -> tuple[Word, int]:
    """Return the word that begins here, and where it ends."""
    at, value = start, ""
    expands = "~" if _HOME.match(text, start) else ""
    while at < len(text) and not text[at].isspace():
        part = _PART.match(text, at)
        if part is not None:
            kind, at = str(part.lastgroup), part.end()
            if kind == "double":
                inside = (found["expansion"] for found in _IN_QUOTES.finditer(part[kind]))
                expands = expands or next(filter(None, inside), "")
                value += _IN_QUOTES.sub(lambda found: found["escaped"] or found[0], part[kind])
            elif kind != "joined":
                value += part[kind]
                expands = expands or (part[kind] if kind == "expansion" else "")
            continue
        if text[at] in "'\"":
            raise ValueError("no closing quotation")
        if _ENDS.match(text, at):
            break
        if text[at] == "*" and not text.startswith("*", start):
            expands = expands or "*"
        value, at = value + text[at], at + 1
    return Word(value, text[start:at], "word", expands), at
