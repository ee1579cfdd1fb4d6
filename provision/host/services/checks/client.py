"""HTTP to one service: over TCP, over TLS, or over a unix socket."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
import uuid
from typing import Any, Mapping, NamedTuple
from urllib.parse import SplitResult, quote, urlsplit

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services.checks import keys, tls
from provision.wire.specs.probe import ProbeSpec

LIMIT = 4 * 1024 * 1024
"""Bytes of a reply that are read."""

STAYS = 0.5
"""Seconds for which a connection has to stay open: what forwards a port to nobody closes it at once."""

SOCKET = "unix"
"""The scheme of the URL of a unix socket: `unix:/run/app.sock`."""

_PLAIN = "%/?:@!$&'()*+,;=~[]"
"""The characters of a path that are not quoted."""

_SAYS_HTTPS = (b"HTTP request to an HTTPS server", b"HTTP request was sent to HTTPS port")
"""What Go's servers, and nginx, answer to plain HTTP on a TLS port."""


class Reply(NamedTuple):
    """What an HTTP server has answered."""

    status: int
    body: bytes
    location: str | None = None
    """Where it redirects to."""

    def json(self) -> Any:
        """Return the body as plain data, or None when it is not JSON."""
        try:
            return json.loads(self.body.decode("utf-8"))
        except ValueError:
            return None

    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode("utf-8", "replace")


class Unanswered(Exception):
    """No reply came: nobody listens, the connection broke, or it took too long.

    Args:
        why: a sentence without the address.
        spoke: somebody is there, who closed the connection or answered something else than HTTP.
    """

    def __init__(self, why: str, spoke: bool = False) -> None:
        super().__init__(why)
        self.spoke = spoke


class Client:
    """Speaks HTTP to one service, directly, whatever proxies the environment names.

    When a server turns out to speak TLS although its URL says `http`, TLS is used from then on. A request
    ends early when the run is cancelled.
    """

    def __init__(self, machine: Machine, spec: ProbeSpec) -> None:
        self._machine = machine
        self._url: SplitResult = urlsplit(spec.url)
        self._ca = spec.ca
        self._declared = self._url.scheme == "https"
        self._secure = self._declared
        self.key = keys.key(machine, spec)

    @property
    def manner(self) -> str | None:
        """How it speaks to the server, when that differs from what was declared, or verifies nothing."""
        if not self._secure:
            return None
        if not self._declared:
            return "over https, which the service does not declare: add `tls: {}`"
        return None if self._ca else "over https, certificate not verified"

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
            Unanswered: nobody listens, or what forwards the port finds no server and closes the connection.
        """
        try:
            line = self._line(timeout)
        except OSError as error:
            raise _unanswered(error) from None
        with line:
            line.settimeout(STAYS)
            try:
                if line.recv(1) == b"":
                    raise Unanswered("the connection is closed at once")
            except socket.timeout:
                pass  # it waits for a request
            except OSError as error:
                raise _unanswered(error) from None

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
            Failure: the run was cancelled meanwhile, or the two cannot agree on TLS.
        """
        reply, unanswered = None, None
        try:
            reply = self._exchange(method, path, body, headers, timeout)
        except Unanswered as error:
            unanswered = error
        refused = (
            reply is not None and reply.status == 400 and any(said in reply.body for said in _SAYS_HTTPS)
        )
        if not self._secure and (refused or (unanswered and unanswered.spoke)) and self._speaks_tls(timeout):
            self._secure = True
            return self._exchange(method, path, body, headers, timeout)
        if reply is None:
            raise unanswered or Unanswered("no answer")
        return reply

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float
    ) -> Reply:
        connection = http.client.HTTPConnection(self._url.hostname or "localhost", self._url.port)
        sent = {"Connection": "close", **headers}
        if self.key and not any(name.lower() == "authorization" for name in headers):
            sent["Authorization"] = f"Bearer {self.key}"
        prefix = "" if self._url.scheme == SOCKET else self._url.path.rstrip("/")
        late = f"no answer within {timeout:.0f} s"
        ended: list[Reply | Exception] = []
        line: list[socket.socket] = []

        def work() -> None:
            try:
                line.append(self._line(timeout))
                connection.sock = line[0] = tls.over(line[0], self._ca) if self._secure else line[0]
                connection.request(method, prefix + quote(path, _PLAIN), body, sent)
                response = connection.getresponse()
                location = response.getheader("Location")
                ended.append(Reply(response.status, response.read(LIMIT), location))
            except socket.timeout:
                ended.append(Unanswered(late))
            except (Failure, OSError, http.client.HTTPException) as error:
                ended.append(tls.failure(error, self._ca) or _unanswered(error))
            finally:
                connection.close()

        # A socket's own timeout starts again with each byte, and nothing cancels it; a thread can be left.
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
        outcome = ended[0] if ended else Unanswered("no answer")
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _line(self, timeout: float) -> socket.socket:
        """Open a connection to the server."""
        if self._url.scheme != SOCKET:
            port = self._url.port or (443 if self._declared else 80)
            return socket.create_connection((self._url.hostname or "localhost", port), timeout)
        line = socket.socket(socket.AF_UNIX)
        try:
            line.settimeout(timeout)
            line.connect(self._url.path)
        except OSError:
            line.close()
            raise
        return line

    def _speaks_tls(self, timeout: float) -> bool:
        """Say whether the server answers to the greeting of TLS."""
        try:
            with self._line(min(timeout, 10)) as line:
                tls.over(line, None).close()
        except OSError:
            return False
        return True


def _unanswered(error: Exception) -> Unanswered:
    if isinstance(error, FileNotFoundError):
        return Unanswered("the socket is not there")
    if isinstance(error, ConnectionRefusedError):
        return Unanswered("nobody listens there")
    if isinstance(error, (ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected)):
        return Unanswered("the server closed the connection without an answer", spoke=True)
    if isinstance(error, http.client.HTTPException):
        return Unanswered(f"the answer is not HTTP ({type(error).__name__})", spoke=True)
    return Unanswered(str(getattr(error, "strerror", None) or error))
