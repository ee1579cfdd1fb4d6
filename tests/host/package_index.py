"""A package index (PEP 503) of a few wheels: as a folder, or over HTTP with a password, TLS or as a proxy."""

from __future__ import annotations

import base64
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


def simple(directory: Path, *wheels: Path) -> Path:
    """Lay wheels out as an index: one page for each package."""
    for wheel in wheels:
        name = wheel.name.split("-")[0].replace("_", "-").lower()
        page = directory / name / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        target = page.parent / wheel.name
        if not target.exists():
            os.link(wheel, target)
        with page.open("a") as file:
            file.write(f'<a href="{wheel.name}">{wheel.name}</a>\n')
    return directory


class Served:
    """A folder over HTTP, and what was asked of it."""

    def __init__(self, root: Path, password: str | None, certificate: Path | None) -> None:
        self.requests: list[str] = []
        self.open = threading.Event()
        """Wheels are given away once this is set, which it is until somebody clears it."""
        self.open.set()
        wanted = "Basic " + base64.b64encode(f"me:{password}".encode()).decode() if password else None
        served = self

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                served.requests.append(self.path)
                if wanted and self.headers.get("Authorization") != wanted:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="index"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.path = urlsplit(self.path).path  # as a proxy it is asked for whole URLs
                if self.path.endswith(".whl"):
                    served.open.wait()
                super().do_GET()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: Handler(*args, directory=str(root)))
        self.server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]


@contextmanager
def serve(root: Path, password: str | None = None, certificate: Path | None = None) -> Iterator[Served]:
    """Serve a folder on 127.0.0.1, to the user "me" when there is a password."""
    served = Served(root, password, certificate)
    thread = threading.Thread(target=served.server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.open.set()
        served.server.shutdown()
        served.server.server_close()
        thread.join()


def authority(directory: Path) -> tuple[Path, Path]:
    """Make a certificate authority that nobody knows; return its certificate and a server's, key included."""
    ca, server = directory / "ca.pem", directory / "server.pem"
    for argv in (
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
         "-subj", "/CN=test authority", "-addext", "keyUsage=critical,keyCertSign"],
        ["req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "request.pem",
         "-subj", "/CN=localhost"],
        ["x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
         "-out", "cert.pem", "-days", "2", "-extfile", "names"],
    ):  # fmt: skip
        (directory / "names").write_text(
            "subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n"
        )
        subprocess.run(["openssl", *argv], cwd=directory, check=True, capture_output=True)
    server.write_text((directory / "cert.pem").read_text() + (directory / "key.pem").read_text())
    return ca, server
