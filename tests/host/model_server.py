"""A small OpenAI-shaped server that can be told to misbehave as vLLM does. Standard library, Python 3.8.

model_server.py PORT [--load SECONDS] [--fail TEXT] [--key KEY] [--model NAME] [--reply TEXT] [--worker]
                     [--deaf COUNT] [--drain SECONDS] [--status CODE] [--hang] [--dies TEXT] [--greedy]
                     [--does TASK[,TASK]] [--form vllm|old|tei]
                     [--ssl-certfile FILE --ssl-keyfile FILE] [--uds PATH] [--host ADDRESS]
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import signal
import socketserver
import ssl
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
    parser.add_argument("--does", default="generate,transcribe", help="what the model can do")
    parser.add_argument(
        "--form", default="vllm", help="routes of new or old releases of vLLM (which have all), or of TEI"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--ssl-certfile")
    parser.add_argument("--ssl-keyfile")
    parser.add_argument("--uds", help="listen on this socket instead of the port")
    parser.add_argument("--greedy", action="store_true", help="end when it is to sample")
    parser.add_argument("--dies", help="print this at the first request instead of answering, and exit 1")
    return parser.parse_args()


ROUTES = {
    "/v1/chat/completions": "generate",
    "/v1/completions": "generate",
    "/v1/embeddings": "embed",
    "/pooling": "pooling",
    "/score": "score",
    "/v1/rerank": "score",
    "/classify": "classify",
}
"""What a model must be able to do for a path of vLLM."""


class OnSocket(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Serves HTTP on a unix socket."""

    daemon_threads = True

    def get_request(self):  # type: ignore[no-untyped-def]
        line, _ = super().get_request()
        return line, ("local", 0)


def likeness(query: str, document: str) -> float:
    """Return the part of the query's words that a document holds."""
    words = query.lower().split()
    return sum(word in document.lower() for word in words) / len(words)


def pooled(path: str, asked: dict) -> dict:  # type: ignore[type-arg]
    """Answer as vLLM does with a pooling model."""
    if path == "/v1/embeddings":
        return {"data": [{"index": 0, "embedding": [0.5, -0.25, float(len(asked["input"]))]}]}
    if path == "/pooling":
        return {"data": [{"index": 0, "data": [[0.5, -0.25], [0.125, 1.0]]}]}
    if path == "/classify":
        (text,) = asked["input"]
        label = "bad" if "not" in text else "good"
        return {"data": [{"index": 0, "label": label, "probs": [0.75, 0.25], "num_classes": 2}]}
    if path == "/score":
        scores = [likeness(asked["text_1"], each) for each in asked["text_2"]]
        return {"data": [{"index": index, "score": value} for index, value in enumerate(scores)]}
    scores = [likeness(asked["query"], each) for each in asked["documents"]]
    return {"results": [{"index": index, "relevance_score": value} for index, value in enumerate(scores)]}


def tei(path: str, asked: dict):  # type: ignore[no-untyped-def, type-arg]
    """Answer as text-embeddings-inference does, by its own paths."""
    if path == "/embed":
        return 200, [[0.5, -0.25]]
    if path == "/rerank" and "texts" not in asked:
        return 422, {"error": "missing field `texts`"}
    if path == "/rerank":
        return 200, [{"index": i, "score": likeness(asked["query"], t)} for i, t in enumerate(asked["texts"])]
    if path == "/similarity":
        source = asked["inputs"]["source_sentence"]
        return 200, [likeness(source, each) for each in asked["inputs"]["sentences"]]
    if path == "/predict":
        return 200, [{"label": "bad", "score": 0.25}, {"label": "good", "score": 0.75}]
    return 404, {"detail": "Not Found"}


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
                self.answer(200, {"data": [{"id": name} for name in options.model.split(",")]})
            else:
                self.answer(404, {"detail": "Not Found"})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not self.allowed():
                self.answer(401, {"error": "Unauthorized"})
                return
            if self.path == "/v1/audio/transcriptions" and "transcribe" in does:
                self.answer(200, {"text": "Hello, world."} if b"RIFF" in body else {"nothing": 1})
                return
            if not self.headers["Content-Type"].startswith("application/json"):
                self.answer(404, {"detail": "Not Found"})
                return
            asked = json.loads(body)
            if options.greedy and asked.get("temperature") != 0:
                print("RuntimeError: cannot compile the sampler", flush=True)
                os._exit(1)
            if options.hang:
                time.sleep(600)
            if options.form == "tei":
                self.answer(*tei(self.path, asked))
                return
            task = ROUTES.get(self.path)
            if task is None or (task not in does and options.form != "old"):
                self.answer(404, {"detail": "Not Found"})
            elif task not in does:
                self.answer(400, {"error": {"message": "The model does not support this API"}})
            elif asked["model"] not in options.model.split(","):
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
                self.answer(200, pooled(self.path, asked))

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

    does = options.does.split(",")
    server: socketserver.TCPServer
    if options.uds:
        server = OnSocket(options.uds, Handler)
    else:
        server = http.server.ThreadingHTTPServer((options.host, options.port), Handler)
    if options.ssl_certfile:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.ssl_certfile, options.ssl_keyfile)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    if not options.dies:
        print("Application startup complete.", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
