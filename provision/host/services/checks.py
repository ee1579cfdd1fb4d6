"""Asking a service what its clients will ask, and judging the reply.

A check is plain data, `{"type": "chat"|"completion"|"http"|"transcribe"|..., ...}`:

    chat        user, system            POST /v1/chat/completions
    completion  prompt                  POST /v1/completions
    http        path, status (200)      GET
    transcribe  audio (base64), file (its name), expect, max_cer (0.0)
    port                                a connection that the server keeps open
    running     seconds                 nothing; the service has to live so long

all with `timeout` in seconds and `expect`, a part of the reply; chat and completion with `max_tokens`.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import socket
import threading
import time
import unicodedata
import uuid
from typing import Any, Dict, Mapping, NamedTuple, Sequence
from urllib.parse import urlsplit

from provision.host.machine import Machine
from provision.host.resource import Failure
from provision.host.services import supervision
from provision.host.state import durable

Check = Dict[str, Any]
Spec = Mapping[str, Any]

LIMIT = 4 * 1024 * 1024
"""Bytes of a reply that are read."""

SHOWN = 2000
"""Characters of a reply that are shown."""

TIMEOUT = 120.0
"""Seconds for a check that names none."""

STAYS = 0.5
"""Seconds for which a connection has to stay open: whoever forwards a port to nobody hangs up at once."""

HEALTH_PAGE = ("vllm", "asr")
"""Kinds of services that have a page `/health`; of others nobody knows whether they speak HTTP."""

RETRIED = (408, 425, 429, 500, 502, 503, 504)
"""Status codes of a server that may yet come to answer."""


class Reply(NamedTuple):
    """What an HTTP server has answered."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body as plain data, or None when it is no JSON."""
        try:
            return json.loads(self.body.decode("utf-8"))
        except ValueError:
            return None

    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode("utf-8", "replace")


class Unanswered(Exception):
    """No reply came: nobody listens, the line was cut, or it took too long."""


class Proof(NamedTuple):
    """How a check went."""

    check: str
    ok: bool
    sent: str
    received: str
    seconds: float
    error: str | None = None
    hint: str | None = None
    final: bool = True
    """False when asking again later may go better."""


class Client:
    """Speaks HTTP to one service, straight, whatever proxies the environment names.

    Args:
        machine: a request ends early when its run is cancelled.
        spec: of the probe: `url`, `key_file` and `key_name`.
    """

    def __init__(self, machine: Machine, spec: Spec) -> None:
        self._machine = machine
        self._url = urlsplit(spec["url"])
        self.key = read_key(spec.get("key_file"), spec.get("key_name"))

    def get(self, path: str, timeout: float) -> Reply:
        """Ask for a path."""
        return self.ask("GET", path, None, {}, timeout)

    def post(self, path: str, data: Any, timeout: float) -> Reply:
        """Send plain data as JSON."""
        body = json.dumps(data).encode("utf-8")
        return self.ask("POST", path, body, {"Content-Type": "application/json"}, timeout)

    def connect(self, timeout: float) -> None:
        """Open a connection and see that it stays open.

        Raises:
            Unanswered: nobody listens, or what forwards the port finds nobody behind it and hangs up.
        """
        try:
            line = socket.create_connection((self._url.hostname, self._url.port or 80), timeout)
        except OSError as error:
            raise Unanswered(_why(error)) from None
        with line:
            line.settimeout(STAYS)
            try:
                if line.recv(1) == b"":
                    raise Unanswered("the connection is closed at once")
            except socket.timeout:
                pass  # it waits for us to speak
            except OSError as error:
                raise Unanswered(_why(error)) from None

    def upload(
        self, path: str, name: str, content: bytes, fields: Mapping[str, str], timeout: float
    ) -> Reply:
        """Send a file and fields as a form does."""
        mark = uuid.uuid4().hex
        quoted = name.replace("\\", "_").replace('"', "_")
        parts = [
            f'--{mark}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
            for field, value in fields.items()
        ]
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = b"".join(parts) + head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={mark}"}
        return self.ask("POST", path, body, headers, timeout)

    def ask(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float
    ) -> Reply:
        """Make one request, and give it up as a whole after `timeout` seconds.

        Raises:
            Unanswered: no whole reply came.
            Failure: the run was cancelled meanwhile.
        """
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._url.hostname or "127.0.0.1", self._url.port, timeout=timeout)
        sent = {**headers, "Connection": "close"}
        if self.key:
            sent["Authorization"] = f"Bearer {self.key}"
        late = f"no answer within {timeout:.0f} s"
        came: list[Reply] = []
        lost: list[str] = []
        line: list[socket.socket] = []

        def work() -> None:
            try:
                connection.connect()
                line.append(connection.sock)
                connection.request(method, self._url.path.rstrip("/") + path, body, sent)
                response = connection.getresponse()
                came.append(Reply(response.status, response.read(LIMIT)))
            except socket.timeout:
                lost.append(late)
            except (OSError, http.client.HTTPException) as error:
                lost.append(_why(error))
            finally:
                connection.close()

        # A socket's own timeout starts anew with each byte, and nothing cancels it; a thread can be left.
        worker = threading.Thread(target=work, name="ask", daemon=True)
        worker.start()
        deadline = time.monotonic() + timeout
        try:
            while worker.is_alive():
                if time.monotonic() > deadline:
                    raise Unanswered(late)
                worker.join(0.1)
                self._machine.sleep(0)
        finally:
            for open_line in line if worker.is_alive() else []:
                # Wakes the reader; closing would wait for it.
                try:
                    open_line.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        if not came:
            raise Unanswered(lost[0] if lost else "no answer")
        return came[0]


def read_key(path: str | None, name: str | None) -> str | None:
    """Return the value of a variable in an environment file, unquoted as systemd and the shell do it.

    Raises:
        Failure: the file or the variable is not there.
    """
    if not path or not name:
        return None
    try:
        text = durable.read(path)
    except PermissionError:
        raise Failure(f"{path} cannot be read, and the key of the service is in it") from None
    for line in (text or "").splitlines():
        found, equals, value = line.strip().partition("=")
        if equals and found == name:
            return _unquoted(value)
    raise Failure(f"{path} holds no {name}", hint="run `provision apply`, which writes it")


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == "'":
        return value[1:-1]
    if len(value) < 2 or not value[0] == value[-1] == '"':
        return value
    inner, out, at = value[1:-1], [], 0
    while at < len(inner):
        if inner[at] == "\\" and at + 1 < len(inner) and inner[at + 1] in '"\\`$':
            at += 1
        out.append(inner[at])
        at += 1
    return "".join(out)


def _why(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, (ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected)):
        return "the server closed the connection without an answer"
    if isinstance(error, http.client.HTTPException):
        return f"the answer is no HTTP ({type(error).__name__})"
    return str(getattr(error, "strerror", None) or error)


# -- checks -----------------------------------------------------------------------------------------------


def default(spec: Spec) -> Check:
    """Return the cheapest real request for a service that declares no checks."""
    if spec.get("kind") == "vllm":
        return {"type": "completion", "prompt": "The capital of France is", "max_tokens": 1}
    if spec.get("kind") == "asr":
        return {"type": "http", "path": "/health"}
    return {"type": "port"} if spec.get("url") else {"type": "running", "seconds": 3}


def name(check: Check) -> str:
    """Return what a person calls a check."""
    kind = check["type"]
    about = check.get("path") if kind == "http" else check.get("file") if kind == "transcribe" else None
    return f"{kind} {about}" if about else str(kind)


def perform(machine: Machine, spec: Spec, check: Check, timeout: float | None = None) -> Proof:
    """Make one check once.

    Args:
        machine: where the service runs.
        spec: of its probe: `url`, `model`, `key_file`, `key_name`.
        check: what to ask.
        timeout: seconds, when they are to be fewer than the check's own.

    Returns:
        The proof, with the key removed should the server have repeated it.
    """
    began = time.monotonic()
    limit = float(check.get("timeout") or TIMEOUT)
    limit = limit if timeout is None else min(limit, timeout)
    sent = _sent(check)
    client: Client | None = None
    try:
        client = Client(machine, spec)
        if check["type"] == "running":
            _stays(machine, spec, float(check["seconds"]))
        error, hint, final, received = _asked(client, spec, check, limit)
    except Unanswered as unanswered:
        error, hint, final, received = f"{spec['url']}: {unanswered}", None, False, ""
    except Failure as failure:
        if machine.cancelled.is_set():
            raise
        error, hint, final, received = failure.message, failure.hint, True, ""
    key = client.key if client else None
    return Proof(
        name(check),
        error is None,
        sent,
        hidden(received, key)[:SHOWN],
        round(time.monotonic() - began, 3),
        hidden(error, key) if error else None,
        hint,
        final,
    )


def hidden(text: str, key: str | None) -> str:
    """Return a text without the key."""
    return text.replace(key, "***") if key else text


def _sent(check: Check) -> str:
    kind = check["type"]
    if kind == "chat":
        return str(check["user"])
    if kind == "completion":
        return str(check["prompt"])
    if kind == "transcribe":
        return str(check.get("file") or "audio")
    if kind == "port":
        return "a connection"
    if kind == "running":
        return ""
    return f"GET {check.get('path', '/')}"


def _stays(machine: Machine, spec: Spec, seconds: float) -> None:
    """Raise `Failure` unless the service goes on running for so long."""
    before = supervision.life(machine, spec)
    machine.sleep(seconds)
    after = supervision.life(machine, spec)
    if before.invocation is None or after.invocation != before.invocation:
        raise Failure(f"it does not stay up ({after.ended or after.state})")


def _asked(
    client: Client, spec: Spec, check: Check, limit: float
) -> tuple[str | None, str | None, bool, str]:
    """Ask, and return error, hint, whether that is final, and what was received."""
    kind = check["type"]
    if kind == "http":
        reply = client.get(check.get("path", "/"), limit)
        wanted = int(check.get("status") or 200)
        if reply.status != wanted:
            return (
                f"status {reply.status} instead of {wanted}",
                _unauthorised(spec, reply),
                False,
                reply.text(),
            )
        return _matched(check, reply.text())
    if kind == "running":
        return None, None, True, ""
    if kind == "port":
        client.connect(limit)
        return None, None, True, ""
    if kind == "transcribe":
        return _transcribed(client, spec, check, limit)
    if kind == "chat":
        messages = [{"role": "system", "content": check["system"]}] if check.get("system") else []
        messages.append({"role": "user", "content": check["user"]})
        path, data = "/v1/chat/completions", {"messages": messages}
    elif kind == "completion":
        path, data = "/v1/completions", {"prompt": check["prompt"]}
    else:
        raise Failure(f'this host side knows no check "{kind}"')
    request = {**data, "model": spec.get("model"), "max_tokens": int(check.get("max_tokens") or 64)}
    reply = client.post(path, {**request, "temperature": 0}, limit)
    if reply.status != 200:
        return _refused(client, spec, path, reply)
    text = said(reply.json())
    if text is None:
        return "the answer is no completion", None, True, reply.text()
    return _matched(check, text)


def said(answer: Any) -> str | None:
    """Return the text of a chat completion or completion, or None when the answer is neither.

    A model that reasons may have spent all its tokens on that; then its reasoning is the text.
    """
    try:
        choice = answer["choices"][0]
        if "text" in choice:
            return str(choice["text"] or "")
        message = choice["message"]
        for field in ("content", "reasoning_content", "reasoning"):
            if message.get(field):
                return str(message[field])
    except (TypeError, LookupError, AttributeError):
        return None
    return ""


def _matched(check: Check, text: str) -> tuple[str | None, str | None, bool, str]:
    expect = check.get("expect")
    if expect and expect not in text:
        return f'the reply does not hold "{expect}"', None, True, text
    return None, None, True, text


def _refused(client: Client, spec: Spec, path: str, reply: Reply) -> tuple[str | None, str | None, bool, str]:
    """Explain a status that is no success."""
    message = _message(reply)
    if reply.status in (401, 403):
        return f"the server refused the key ({reply.status})", _unauthorised(spec, reply), True, message
    if reply.status == 404:
        served = models(client)
        if served and spec.get("model") not in served:
            error = f'the server knows no model "{spec.get("model")}"; it serves {", ".join(served)}'
            return (
                error,
                "something else answers on this port, or it runs with an older script",
                True,
                message,
            )
        return f"the server has no {path} (404): {message}", _OTHER, True, message
    if "does not support" in message and reply.status in (400, 405):
        return f"status {reply.status}: {message}", _OTHER, True, message
    from provision.host.services import failures

    hint = failures.explain([message])
    return f"status {reply.status}: {message}", hint, reply.status not in RETRIED, message


_OTHER = "declare a check that fits what the model does, such as `http: /v1/models`"


def _unauthorised(spec: Spec, reply: Reply) -> str | None:
    if reply.status not in (401, 403):
        return None
    if spec.get("key_file"):
        return f"it was started with another key than the one in {spec['key_file']}: restart it"
    return "the service declares no api_key, but its server wants one"


def models(client: Client) -> list[str]:
    """Return the names of the models that a server offers; none when it does not say."""
    try:
        answer = client.get("/v1/models", 10).json()
        return [str(each["id"]) for each in answer["data"]]
    except (Unanswered, TypeError, LookupError):
        return []


def _message(reply: Reply) -> str:
    """Return what an error reply says: OpenAI's form, FastAPI's, or its plain text."""
    answer = reply.json()
    if isinstance(answer, dict):
        error = answer.get("error", answer.get("detail", answer.get("message")))
        if isinstance(error, dict):
            error = error.get("message", error)
        if error:
            return str(error)
    return " ".join(reply.text().split())[:300]


# -- speech -----------------------------------------------------------------------------------------------


def _transcribed(
    client: Client, spec: Spec, check: Check, limit: float
) -> tuple[str | None, str | None, bool, str]:
    try:
        audio = base64.b64decode(check["audio"], validate=True)
    except (binascii.Error, ValueError):
        raise Failure("the check's audio is no base64") from None
    file = check.get("file") or "audio.wav"
    fields = {"model": str(spec["model"])} if spec.get("model") else {}
    reply = client.upload("/v1/audio/transcriptions", file, audio, fields, limit)
    if reply.status == 404:
        reply = client.upload("/recognize/", file, audio, {}, limit)
    if reply.status != 200:
        return _refused(client, spec, "/v1/audio/transcriptions", reply)
    answer = reply.json()
    text = answer.get("text", answer.get("result")) if isinstance(answer, dict) else None
    if not isinstance(text, str):
        return "the answer holds no transcript", None, True, reply.text()
    expect = check.get("expect")
    if expect is None:
        return None, None, True, text
    rate, allowed = error_rate(expect, text), float(check.get("max_cer") or 0.0)
    if rate > allowed:
        error = f'heard "{text}" instead of "{expect}": character error rate {rate:.3f}, allowed {allowed:g}'
        return error, None, True, text
    return None, None, True, text


def error_rate(expected: str, heard: str) -> float:
    """Return the character error rate: edits per expected character.

    Case, width, punctuation and spaces do not count, since no speaker pronounces them.
    """
    wanted, got = _plain(expected), _plain(heard)
    if not wanted:
        return 1.0 if got else 0.0
    return distance(wanted, got) / len(wanted)


def distance(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Return Levenshtein's distance: the insertions, deletions and substitutions between two sequences."""
    row = list(range(len(other) + 1))
    for index, mine in enumerate(one, 1):
        above, row[0] = row[0], index
        for at, theirs in enumerate(other, 1):
            above, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, above + (mine != theirs))
    return row[-1]


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if unicodedata.category(char)[0] not in "PZCS")
