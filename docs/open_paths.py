"""Requests each path of a running vLLM without the key, and records which ones answer.

    python docs/open_paths.py PYTHON MODEL [--runner pooling]
    python docs/open_paths.py --table

PYTHON is the interpreter of an environment with vLLM, MODEL the directory of a small model. The server gets
an API key and a free port of the loopback. Each path of its application is requested without the key, and the
result is saved in `vllm-open-paths.json`, from which the table in `security.md` is made.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().with_name("vllm-open-paths.json")
PAGE = DATA.with_name("security.md")
BEGIN, END = "<!-- open paths of vLLM -->\n", "<!-- end -->\n"
KEY = "only-who-knows-this"
START_SECONDS = 900
LATE = re.compile(r"pause|resume|sleep|wake|scale|abort|shutdown|reset|collective")
"""Paths that may disturb the server are requested last."""

LAUNCH = """
import json, runpy, sys, uvicorn
target = sys.argv.pop(1)
begin = uvicorn.Config.__init__
def note(self, app, *args, **more):
    here = getattr(app, "app", app)
    while not hasattr(here, "routes"):
        here = here.app
    found = [[route.path, sorted(getattr(route, "methods", None) or ["MOUNT"])] for route in here.routes]
    json.dump(found, open(target, "w"))
    begin(self, app, *args, **more)
uvicorn.Config.__init__ = note
runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__", alter_sys=True)
"""
"""Runs the server's own module, and notes the routes of the application that it hands to uvicorn."""


WORK: dict[str, dict[str, Any]] = {
    "/tokenize": {"model": "m", "prompt": "a"},
    "/detokenize": {"model": "m", "tokens": [65, 66]},
    "/pooling": {"model": "m", "input": "a"},
    "/score": {"model": "m", "text_1": "a", "text_2": "b"},
    "/rerank": {"model": "m", "query": "a", "documents": ["b"]},
    "/classify": {"model": "m", "input": "a"},
    "/invocations": {"model": "m", "prompt": "a b c d", "input": "a", "max_tokens": 1},
}
"""Requests that make the model work, for the open paths for which one is known."""


def ask(url: str, method: str, data: bytes) -> int | str:
    """Return the HTTP status without a key, or the name of the error."""
    request = urllib.request.Request(
        url, data if method != "GET" else None, {"Content-Type": "application/json"}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)
    except OSError as error:
        return type(error).__name__


def look(python: str, model: str, runner: str) -> tuple[str, dict[str, Any]]:
    """Start a server, request all paths, and return its version and the results."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        routes = Path(folder, "routes")
        argv = [
            python,
            "-c",
            LAUNCH,
            str(routes),
            "--model",
            model,
            "--served-model-name",
            "m",
            "--api-key",
            KEY,
        ]
        argv += ["--host", "127.0.0.1", "--port", str(port), "--dtype", "bfloat16", "--enforce-eager"]
        argv += ["--max-model-len", "512", "--max-num-seqs", "4"]
        argv += ["--runner", runner] if runner != "generate" else []
        quiet = {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
        with Path(folder, "log").open("wb") as log:
            server = subprocess.Popen(
                argv,
                env={**os.environ, **quiet},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            end = time.monotonic() + START_SECONDS
            while ask(f"{url}/health", "GET", b"") != 200:
                if server.poll() is not None or time.monotonic() > end:
                    raise SystemExit(Path(folder, "log").read_text(errors="replace")[-4000:])
                time.sleep(1)
            with urllib.request.urlopen(f"{url}/version") as answer:
                version = json.load(answer)["version"]
            each = [
                (path, method)
                for path, methods in json.loads(routes.read_text())
                for method in methods
                if method not in ("HEAD", "OPTIONS")
            ]
            found: dict[str, Any] = {}
            for path, method in sorted(
                set(map(tuple, each)), key=lambda one: (bool(LATE.search(one[0])), one)
            ):
                real = re.sub(r"{.*?}", "x", path) + ("/" if method == "MOUNT" else "")
                way = "GET" if method == "MOUNT" else method
                found[f"{way} {path}"] = ask(url + real, way, b"{}")
            # Requests that use the engine come last: a wrong request does not need it.
            for path in WORK:
                if found.get(f"POST {path}", 401) != 401:
                    found[f"POST {path}"] = ask(url + path, "POST", json.dumps(WORK[path]).encode())
            return version, found
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def table(known: dict[str, dict[str, dict[str, int | str]]]) -> str:
    """Return which paths answer without the key, by version; `–` where a version has no such path."""
    versions = sorted(known, key=lambda version: [int(part) for part in version.split(".")])
    columns = [(version, runner) for version in versions for runner in sorted(known[version])]
    named = [f"{version}{' (embedding)' if runner == 'pooling' else ''}" for version, runner in columns]
    rows = [f"| without a key | {' | '.join(named)} |", "|---|" + "---|" * len(columns)]
    paths = {path for version, runner in columns for path in known[version][runner]}
    for path in sorted(paths, key=lambda path: path.split()[::-1]):
        found = [known[version][runner].get(path) for version, runner in columns]
        if any(status not in (None, 401) for status in found):
            words = ["–" if status is None else "key" if status == 401 else "open" for status in found]
            rows.append(f"| `{path}` | {' | '.join(words)} |")
    return "\n".join(rows) + "\n"


def page(text: str) -> str:
    """Return the page with its table updated."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + table(json.loads(DATA.read_text())) + END + rest.partition(END)[2]


def main() -> None:
    """Examine one server, and add the results to those of others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true", help="only renew the table")
    parser.add_argument("python", nargs="?")
    parser.add_argument("model", nargs="?")
    parser.add_argument("--runner", default="generate", choices=["generate", "pooling"])
    given = parser.parse_args()
    if not given.table:
        version, found = look(given.python, given.model, given.runner)
        known = json.loads(DATA.read_text()) if DATA.exists() else {}
        known.setdefault(version, {})[given.runner] = found
        DATA.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
        print(version, given.runner, len(found), "paths")
    PAGE.write_text(page(PAGE.read_text()))


if __name__ == "__main__":
    main()
