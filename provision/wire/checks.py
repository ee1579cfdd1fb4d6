"""What a service is asked to prove that it answers: one record for each type of check."""

from __future__ import annotations

from typing import Any, ClassVar

from provision.wire.nodes import Node
from provision.wire.record import Variant, one

TIMEOUT = 120.0
"""Seconds that an answer may take where nobody says otherwise."""


class Check(Variant):
    """What all checks have in common: seconds for the answer."""

    TAG: ClassVar[str] = "type"
    SHOWN: ClassVar[str] = ""
    """The field that a person sees as sent."""

    timeout: float = TIMEOUT

    def title(self) -> str:
        """Return what a person calls it."""
        return self.NAME

    def sent(self) -> str:
        """Return what a person sees as sent."""
        return getattr(self, self.SHOWN) if self.SHOWN else ""


class Asked(Check):
    """A check that a model answers: the service's, or the one that `model` names."""

    model: str | None = None

    def title(self) -> str:
        """Return what a person calls it."""
        return f"{self.NAME} of {self.model}" if self.model else self.NAME


class Chat(Asked):
    """A chat message that must be answered, with `expect` in the answer."""

    NAME: ClassVar[str] = "chat"
    SHOWN: ClassVar[str] = "user"
    user: str
    system: str | None = None
    max_tokens: int = 64
    expect: str | None = None


class Completion(Asked):
    """A prompt that must be completed, with `expect` in the completion."""

    NAME: ClassVar[str] = "completion"
    SHOWN: ClassVar[str] = "prompt"
    prompt: str
    max_tokens: int = 64
    expect: str | None = None


class Text(Asked):
    """A check that sends a text."""

    SHOWN: ClassVar[str] = "text"
    text: str


class Embed(Text):
    """A text that must be embedded."""

    NAME: ClassVar[str] = "embed"


class Pooling(Text):
    """A text that must be pooled."""

    NAME: ClassVar[str] = "pooling"


class Classify(Text):
    """A text that must be classified, as `expect`."""

    NAME: ClassVar[str] = "classify"
    expect: str | None = None


class Ranked(Asked):
    """A check that compares documents with a query; the best must have `expect` in it."""

    SHOWN: ClassVar[str] = "query"
    query: str
    documents: list[str]
    expect: str | None = None


class Rerank(Ranked):
    """Documents that must be put in order."""

    NAME: ClassVar[str] = "rerank"


class Score(Ranked):
    """Documents that must be compared with a query."""

    NAME: ClassVar[str] = "score"


class Transcribe(Asked):
    """A sound file, in base64, that must be transcribed.

    - `file`: its name
    - `expect`: what is said in it; None: anything
    - `max_cer`: how many of its characters may be wrong, 0 to 1
    """

    NAME: ClassVar[str] = "transcribe"
    SHOWN: ClassVar[str] = "file"
    audio: str
    file: str
    expect: str | None = None
    max_cer: float = 0.0

    def title(self) -> str:
        """Return what a person calls it."""
        return super().title().replace(self.NAME, f"{self.NAME} {self.file}", 1)


class Http(Check):
    """A request to a path.

    - `method`: None: GET, or POST where there is a `body`
    - `body`: a text, or plain data that is sent as JSON
    - `status`: what it must answer with, one or any of several
    - `json`: the values that a JSON answer must have, by their path in it
    - `expect`: a part of the answer
    """

    NAME: ClassVar[str] = "http"
    path: str
    status: int | list[int] = 200
    method: str | None = None
    headers: dict[str, str] = {}
    body: Any = None
    json: dict[str, Any] = {}
    expect: str | None = None

    def verb(self) -> str:
        """Return the method that is used."""
        return self.method or ("GET" if self.body is None else "POST")

    def title(self) -> str:
        """Return what a person calls it."""
        return " ".join([self.NAME, *([] if self.verb() == "GET" else [self.verb()]), self.path])

    def sent(self) -> str:
        """Return the request in one line."""
        return f"{self.verb()} {self.path}"


class Port(Check):
    """Its port must take a connection."""

    NAME: ClassVar[str] = "port"

    def sent(self) -> str:
        """Return what it takes."""
        return "a connection"


class Running(Check):
    """It must stay up for so many seconds from its start, or until it rests."""

    NAME: ClassVar[str] = "running"
    seconds: float = 3.0


class Together(Check):
    """All nodes of a service that runs over several hosts must be there, and its head must serve."""

    NAME: ClassVar[str] = "nodes"
    node: Node = one(Node)

    def sent(self) -> str:
        """Return what it asks for."""
        return f"{len(self.node.names)} nodes"


class Fitting(Asked):
    """What its model does must work; `first` is what it does by its flags, to be asked before all else."""

    NAME: ClassVar[str] = "fitting"
    first: str | None = None

    def title(self) -> str:
        """Return what a person calls it."""
        if self.first is not None:
            return f"{self.first} of {self.model}" if self.model else self.first
        return f"what {self.model or 'the model'} does"
