"""From recognized segments to the texts and subtitle formats that clients ask for."""

from __future__ import annotations

import dataclasses
import re
import zlib
from collections.abc import Sequence
from typing import Any, Literal

Tags = Literal["emoji", "keep", "strip"]
"""What happens to the model's tags: emotions and events as emoji, the raw ``<|...|>`` tags, or the bare
words.
"""

_TAG = re.compile(r"<\|[^|<>]*\|>")
_LANGUAGE_TAG = re.compile(r"<\|(zh|en|yue|ja|ko|nospeech)\|>")
_NO_SPACES = re.compile(
    r"[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"
)  # scripts written without spaces


@dataclasses.dataclass(frozen=True)
class Segment:
    """A stretch of speech: its time in the audio (seconds), the raw text with tags, that text with emoji, and
    the number of its speaker where speakers are told apart.
    """

    start: float
    end: float
    raw: str
    emoji: str
    speaker: int | None = None

    def text(self, tags: Tags) -> str:
        """The segment's words, with its tags as ``tags`` says."""
        if tags == "keep":
            return self.raw.strip()
        return self.emoji if tags == "emoji" else strip_tags(self.raw)


@dataclasses.dataclass(frozen=True)
class Transcript:
    """What was recognized in one file of ``seconds`` seconds. ``emoji`` is FunASR's own rendering of the
    whole, which is the text itself where the model writes no tags (``plain``).
    """

    seconds: float
    segments: Sequence[Segment]
    emoji: str
    plain: bool = False

    def text(self, tags: Tags) -> str:
        """The whole text."""
        if tags == "emoji" or self.plain:
            return self.emoji
        if tags == "keep":
            return " ".join(segment.raw.strip() for segment in self.segments)
        return join_texts([segment.text(tags) for segment in self.segments])

    @property
    def language(self) -> str:
        """The language that the model found in most of the speech; "nospeech" when there was none, "unknown"
        where the model tells no language.
        """
        if self.plain and self.emoji:
            return "unknown"
        found = [match.group(1) for segment in self.segments for match in _LANGUAGE_TAG.finditer(segment.raw)]
        return max(found, key=found.count) if found else "nospeech"


def strip_tags(raw: str) -> str:
    """The text without ``<|...|>`` tags.

    >>> strip_tags("<|zh|><|HAPPY|><|Speech|><|withitn|> hello world")
    'hello world'
    """
    return " ".join(_TAG.sub(" ", raw).split())


def join_texts(texts: Sequence[str]) -> str:
    """Texts joined by a space, except where a script without spaces meets on both sides.

    >>> join_texts(["你好。", "世界", "ok", "", "then"])
    '你好。世界 ok then'
    """
    joined = ""
    for text in texts:
        if joined and text and not (_NO_SPACES.match(joined[-1]) and _NO_SPACES.match(text[0])):
            joined += " "
        joined += text
    return joined


def verbose_json(transcript: Transcript, tags: Tags) -> dict[str, Any]:
    """OpenAI's ``verbose_json``. Fields that a CTC model has no value for hold zeros, as clients expect
    numbers.
    """
    segments = [
        {
            "id": number,
            "seek": 0,
            "start": segment.start,
            "end": segment.end,
            "text": text,
            "tokens": [],
            "temperature": 0.0,
            "avg_logprob": 0.0,
            "compression_ratio": round(len(text.encode()) / len(zlib.compress(text.encode())), 3),
            "no_speech_prob": 0.0,
            **({} if segment.speaker is None else {"speaker": segment.speaker}),
        }
        for number, (segment, text) in enumerate(_spoken(transcript, tags))
    ]
    return {
        "task": "transcribe",
        "language": transcript.language,
        "duration": transcript.seconds,
        "text": transcript.text(tags),
        "segments": segments,
        "usage": usage(transcript),
    }


def usage(transcript: Transcript) -> dict[str, Any]:
    """What a transcription took, in OpenAI's form: seconds of audio, rounded up."""
    return {"type": "duration", "seconds": int(-(-transcript.seconds // 1))}


def srt(transcript: Transcript, tags: Tags) -> str:
    """SubRip subtitles."""
    return "".join(
        f"{number}\n{_clock(segment.start, ',')} --> {_clock(segment.end, ',')}\n{text}\n\n"
        for number, (segment, text) in enumerate(_spoken(transcript, tags), 1)
    )


def vtt(transcript: Transcript, tags: Tags) -> str:
    """WebVTT subtitles."""
    return "WEBVTT\n\n" + "".join(
        f"{_clock(segment.start, '.')} --> {_clock(segment.end, '.')}\n{_escape(text)}\n\n"
        for segment, text in _spoken(transcript, tags)
    )


def _spoken(transcript: Transcript, tags: Tags) -> list[tuple[Segment, str]]:
    return [(segment, segment.text(tags)) for segment in transcript.segments if segment.text("strip")]


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, mark: str) -> str:
    total = round(seconds * 1000)
    return f"{total // 3_600_000:02}:{total // 60_000 % 60:02}:{total // 1000 % 60:02}{mark}{total % 1000:03}"
