"""Finds, in the log of a start that failed, the few lines that tell the cause.

A server of several processes logs one failure many times: the traceback of the engine, the same again by the
interpreter, then that of the process which waited for the engine. The first of them is the cause.
In vLLM 0.25.1 (`vllm/logger.py`) the lines of its processes begin with ``(EngineCore pid=2071)``, those of
workers that Ray has started with ``(RayWorkerProc pid=2608, ip=10.0.0.2)``; after that, lines of its logger
have ``ERROR 11-26 18:58:20 [core.py:1231]``.
"""

from __future__ import annotations

import re
from typing import Iterator, NamedTuple, Sequence

SHOWN = 8
"""Lines that are shown of a cause, at most."""

LONGEST = 400
"""Characters of a line that are shown, at most: some errors list every model that a server knows."""

_PROCESS = re.compile(r"^\(((?:\w[\w.:-]* )?pid=\d+(?:, ip=[\w.:]+)?)\) ?")
_LOGGED = re.compile(
    r"^([A-Z]{4,8}):? (?:\d\d-\d\d \d\d:\d\d:\d\d |\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S* )?\[[^]]*\] ?"
)
_LEVEL = re.compile(r"^(?:DEBUG|INFO|WARNING|NOTICE)\b")
_LIBRARY = re.compile(r"/(?:site|dist)-packages/|/lib(?:64)?/python3|File \"[^/]")
"""A frame of a library, of the interpreter, or of compiled code (`File "uvloop/loop.pyx"`)."""
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Failure|Failed|Warning)?(?::|$)")
_AGAIN = re.compile(
    r"See (?:root cause|stack trace) \(?above|Engine core initialization failed"
    r"|WorkerProc initialization failed|EngineDeadError|EngineCore encountered an issue"
)
"""Exceptions that only say that another process has failed."""
_NOISE = re.compile(
    r"^\s*For further information visit |^\s*You can inspect the repository content at https?:"
)
_TYPES = re.compile(r" \[type=\w+, input_value=.*$")
_REMOTE = re.compile(r"ray\.exceptions\.RayTaskError\(")
"""Before the traceback of a worker that Ray has started."""
_TRACEBACK = "Traceback (most recent call last):"
_LINKS = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_WORDS = re.compile(
    r"\b(?:error|fatal|critical|failed|failure|exception|cannot|can't|could not|unable to|not found|denied"
    r"|no such file|panic|killed|died|segmentation fault|core dumped)\b",
    re.IGNORECASE,
)


class Line(NamedTuple):
    """A line of a log, in its parts."""

    process: str
    """The process that wrote it, as `EngineCore pid=2071`; empty when the line does not say."""
    level: str
    """The level it was logged at, or empty."""
    text: str
    """What it says."""


def _parts(line: str) -> Line:
    found = _PROCESS.match(line)
    process = found.group(1) if found else ""
    rest = line[found.end() :] if found else line
    logged = _LOGGED.match(rest)
    if logged:
        return Line(process, logged.group(1), rest[logged.end() :])
    level = _LEVEL.match(rest)
    return Line(process, level.group(0) if level else "", rest)


def first_failure(log: Sequence[str]) -> list[str]:
    """Return the lines of one start, oldest first, that tell why it failed: at most eight.

    They are the exception that was raised first, with the frames that are not a library's; else what was
    logged as an error; else the last lines.
    """
    lines = [_parts(line.rstrip()) for line in log if line.strip()]
    raised = list(_exceptions(lines))
    first = next((found for found in raised if not any(_AGAIN.search(text) for text in found)), None)
    if first is None and len(lines) <= SHOWN:
        return [_short(line.text) for line in lines]
    found = first or [*_errors(lines), *next(iter(raised), [])] or [line.text for line in lines[-SHOWN:]]
    return [_short(text) for text in found if not _NOISE.search(text)][:SHOWN]


def _errors(lines: Sequence[Line]) -> list[str]:
    """Return what was logged as an error outside of a traceback, or reads like one."""
    told = [line for line in lines if not _AGAIN.search(line.text) and not line.text[:1].isspace()]
    told = [line for line in told if not line.text.startswith(("Traceback (", "[W", "[I"))]
    for wrong in (
        lambda line: line.level in ("ERROR", "CRITICAL", "FATAL"),
        lambda line: not line.level and re.search(r"\berror: |^Error", line.text),
        lambda line: not line.level and _WORDS.search(line.text),
    ):
        found = [line.text for line in told if wrong(line)]
        if found:
            return found
    return []


def _short(text: str) -> str:
    text = _TYPES.sub("", text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _exceptions(lines: Sequence[Line]) -> Iterator[list[str]]:
    """Yield the frames and exceptions of each traceback of a failing process, in the order of their begin."""
    for at, line in enumerate(lines):
        if line.text.strip() != _TRACEBACK or line.level in ("INFO", "WARNING", "DEBUG"):
            continue
        if at and lines[at - 1].text.strip() in _LINKS:
            continue
        own = [other.text for other in lines[at:] if other.process == line.process]
        found = _chain(own)
        if found:
            yield found


def _chain(texts: Sequence[str]) -> list[str]:
    """Return the frames that matter and the exceptions of the traceback that begins `texts`."""
    found: list[str] = []
    frame = ""
    exceptions = 0
    for at, text in enumerate(texts):
        bare = text.strip()
        if bare == _TRACEBACK or bare in _LINKS or not bare or _REMOTE.match(bare):
            continue
        if text.startswith("  File ") or bare.startswith('File "'):
            frame = "" if _LIBRARY.search(text) else bare
            if frame:
                found.append(bare)
            continue
        if text[:1].isspace() or bare.startswith(("+ ", "| ", "^")):
            if frame and not set(bare) <= set("^~ "):
                found.append(f"  {bare}")
                frame = ""
            continue
        if exceptions and not _EXCEPTION.match(bare):
            break
        found.append(bare)
        exceptions += 1
        more = _continued(texts[at + 1 :])
        found.extend(more)
        if not _linked(texts[at + 1 + len(more) :]):
            break
    return found if exceptions else []


def _continued(texts: Sequence[str]) -> list[str]:
    """Return the further lines of an exception's message."""
    more: list[str] = []
    for text in texts[:SHOWN]:
        bare = text.strip()
        if not bare or bare in _LINKS or bare.startswith("Traceback (") or not text[:1].isspace():
            break
        more.append(f"  {bare}")
    return more


def _linked(texts: Sequence[str]) -> bool:
    return next((text.strip() for text in texts if text.strip()), "") in _LINKS
