"""A server that takes a GPU for itself while it loads, and writes down when. Standard library, Python 3.8.

gpu_server.py LOG NAME [PORT]

It writes `NAME loads` to LOG, loads until there is a file LOG.NAME (only for a moment, without LOG.slow),
writes `NAME ready` and opens PORT. A file LOG.NAME that holds text makes it end with that exit code instead.
"""

from __future__ import annotations

import http.server
import os
import sys
import time


def note(log: str, name: str, what: str) -> None:
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"{name} {what}\n")


def load(log: str, name: str) -> None:
    told = f"{log}.{name}"
    while os.path.exists(f"{log}.slow") and not os.path.exists(told):
        time.sleep(0.05)
    time.sleep(0.3)
    if not os.path.exists(told):
        return
    with open(told, encoding="utf-8") as file:
        code = file.read().strip()
    if code:
        note(log, name, "fails")
        sys.exit(int(code))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")


def main() -> None:
    log, name, *port = sys.argv[1:]
    note(log, name, "loads")
    load(log, name)
    note(log, name, "ready")
    if port:
        http.server.ThreadingHTTPServer(("127.0.0.1", int(port[0])), Handler).serve_forever()
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
