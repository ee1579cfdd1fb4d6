"""A small OpenAI-shaped server that can be told to misbehave as vLLM does. Standard library, Python 3.8.

model_server.py PORT [--load SECONDS] [--fail TEXT] [--key KEY] [--model NAME] [--reply TEXT] [--worker]
                     [--deaf COUNT] [--drain SECONDS] [--status CODE] [--hang] [--dies TEXT]
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--load", type=float, default=0.0, help="seconds until the port opens")
    parser.add_argument("--fail", help="print this instead of serving, and exit 1")
    parser.add_argument("--key", default=os.environ.get("VLLM_API_KEY"))
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--reply", default="Hello there")
    parser.add_argument("--worker", action="store_true", help="start a child in a session of its own")
    parser.add_argument("--deaf", type=int, default=0, help="ignore so many SIGTERMs")
    parser.add_argument("--drain", type=float, default=0.0, help="seconds from the first SIGTERM to the end")
    parser.add_argument("--status", type=int, default=200, help="of completions")
    parser.add_argument("--hang", action="store_true", help="never answer a completion")
    parser.add_argument("--dies", help="print this at the first request instead of answering, and exit 1")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    began = time.monotonic()
    terms = 0

    def drain() -> None:
        server.socket.close()  # as a server that finishes its requests takes no further ones
        time.sleep(options.drain)
        print("drained", flush=True)
        os._exit(0)

    def stop(signum: int, frame: object) -> None:
        nonlocal terms
        terms += 1
        if options.drain and terms == 1:
            threading.Thread(target=drain, daemon=True).start()
            return
        if options.drain:
            print("cut by another SIGTERM", flush=True)
            os._exit(1)
        if options.deaf <= 0:
            sys.exit(0)
        options.deaf -= 1
        print("SIGTERM swallowed", flush=True)

    signal.signal(signal.SIGTERM, stop)
    if options.worker:
        worker = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        subprocess.Popen([sys.executable, "-c", worker], start_new_session=True)
    print("Loading weights", flush=True)
    while time.monotonic() - began < options.load:
        time.sleep(0.05)
    if options.fail:
        print(options.fail, flush=True)
        sys.exit(1)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if options.dies:
                print(options.dies, flush=True)
                os._exit(1)
            if self.path == "/health":
                self.answer(200, {})
            elif not self.allowed():
                self.answer(401, {"error": "Unauthorized"})
            elif self.path == "/v1/models":
                self.answer(200, {"data": [{"id": options.model}]})
            else:
                self.answer(404, {"detail": "Not Found"})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not self.allowed():
                self.answer(401, {"error": "Unauthorized"})
                return
            if self.path == "/v1/audio/transcriptions":
                self.answer(200, {"text": "Hello, world."} if b"RIFF" in body else {"nothing": 1})
                return
            asked = json.loads(body)
            if options.hang:
                time.sleep(600)
            if asked["model"] != options.model:
                message = "The model `{}` does not exist.".format(asked["model"])
                self.answer(404, {"error": {"message": message}})
            elif options.status != 200:
                self.answer(options.status, {"error": {"message": "no " + str(options.key)}})
            elif self.path == "/v1/chat/completions":
                content = options.reply.replace("{user}", asked["messages"][-1]["content"])
                self.answer(200, {"choices": [{"message": {"content": content}}]})
            elif self.path == "/v1/completions":
                self.answer(200, {"choices": [{"text": options.reply}]})
            else:
                self.answer(404, {"detail": "Not Found"})

        def allowed(self) -> bool:
            return not options.key or self.headers.get("Authorization") == "Bearer " + options.key

        def answer(self, status: int, data: object) -> None:
            body = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    if not options.dies:
        print("Application startup complete.", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
