"""A server that streams as an OpenAI-compatible one does, and says what it has seen. Standard library.

upstream.py PORT NAME [MODEL]

It takes START_SECONDS until it listens, and STOP_SECONDS to end; both may be in its environment.

A chat request says how it is answered: `n` (or `max_tokens`) pieces with `gap` seconds between two, after
`first` seconds.
Each piece names the server, and the last one has a reason to end; an answer that is no stream repeats the
headers that reached it.
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import socketserver
import sys
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    name = sys.argv[2]
    model = sys.argv[3] if len(sys.argv) > 3 else "chat"

    def log_message(self, *parts: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200, {})
        elif self.path == "/v1/models" and self.allowed():
            self.answer(200, {"object": "list", "data": [{"id": self.model}]})
        else:
            self.answer(404, {"reached": self.path})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.allowed():
            self.answer(401, {"error": "wrong key"})
        elif self.path in ("/v1/chat/completions", "/v1/completions"):
            self.complete(json.loads(body))
        else:
            self.answer(200, {"reached": self.path, "bytes": len(body)})

    def allowed(self) -> bool:
        key = os.environ.get("VLLM_API_KEY")
        return key is None or self.headers.get("Authorization") == f"Bearer {key}"

    def complete(self, asked: dict) -> None:
        time.sleep(asked.get("first", 0))
        if not asked.get("stream"):
            text = f"{self.name} says pong"
            choice = {"text": text} if self.path == "/v1/completions" else {"message": {"content": text}}
            self.answer(200, {"choices": [choice], "model": asked.get("model"), "seen": dict(self.headers)})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        pieces = asked.get("n", asked.get("max_tokens", 3))
        for number in range(pieces):
            if number:
                time.sleep(asked.get("gap", 0.2))
            reason = "stop" if number == pieces - 1 else None
            choice = {"index": 0, "delta": {"content": f"{number} "}, "finish_reason": reason}
            self.piece(json.dumps({"choices": [choice], "server": self.name}))
        if asked.get("stream_options"):
            self.piece(json.dumps({"choices": [], "usage": {"completion_tokens": pieces}}))
        self.piece("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def piece(self, text: str) -> None:
        data = f"data: {text}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def answer(self, status: int, data: dict) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 256


def stop(*_: object) -> None:
    """End, as servers do that still have something to write."""
    time.sleep(float(os.environ.get("STOP_SECONDS", "0")))
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    time.sleep(float(os.environ.get("START_SECONDS", "0")))
    Server(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
