"""Files over HTTP, as a mirror gives them that is out of order in one way or another."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FAULTS = ("500", "refuses", "hangs", "cuts off", "corrupts", "is slow")

MODEM = 7000
"""Bytes of a second through a modem of 56k."""


class BadServer:
    """Serves a folder at an address; `fault` says what is wrong at the moment, and with which files."""

    def __init__(self, root: Path, address: str) -> None:
        self._fault: tuple[str, str] | None = None
        self._mended = threading.Event()
        bad = self

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                fault, match = bad._fault or ("", "")
                if not fault or not self.path.endswith(match):
                    return super().do_GET()
                if fault in ("500", "refuses"):
                    return self.send_error(500 if fault == "500" else 401)
                if fault == "hangs":
                    bad._mended.wait()
                    self.close_connection = True
                    return None
                path = Path(self.translate_path(self.path))
                data = (path / "index.html" if path.is_dir() else path).read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self._send(fault, data)
                return None

            def _send(self, fault: str, data: bytes) -> None:
                try:
                    if fault == "cuts off":
                        self.wfile.write(data[: len(data) // 2])
                        self.close_connection = True
                    elif fault == "corrupts":
                        self.wfile.write(bytes([data[0] ^ 1]) + data[1:])
                    else:
                        for at in range(0, len(data), MODEM // 10):
                            self.wfile.write(data[at : at + MODEM // 10])
                            time.sleep(0.1)
                except OSError:
                    pass

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer((address, 0), lambda *args: Handler(*args, directory=str(root)))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()
        self.url = f"http://{address}:{self._server.server_address[1]}"

    @contextmanager
    def fault(self, kind: str, match: str) -> Iterator[None]:
        """Let requests go wrong whose path ends so."""
        self._mended.clear()
        self._fault = (kind, match)
        try:
            yield
        finally:
            self._fault = None
            self._mended.set()

    def stop(self) -> None:
        """End it."""
        self._mended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
