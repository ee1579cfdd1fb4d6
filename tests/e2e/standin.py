"""A wheel called vllm that takes its flags and answers at once: for tests of all around a service.

Each start of it adds its variable WORD to the file that STANDIN_STARTS names, if it does.
"""

from __future__ import annotations

from pathlib import Path

from tests.host.services import SERVER
from tests.host.wheels import wheel

INDEX = "/srv/index"
"""Where a host finds it; `index_url: file:///srv/index`."""

_API_SERVER = """\
import argparse, os, sys
parser = argparse.ArgumentParser()
parser.add_argument("--port", default="8000")
parser.add_argument("--served-model-name", default="model")
options, _ = parser.parse_known_args()
if os.environ.get("STANDIN_STARTS"):
    print(os.environ["WORD"], file=open(os.environ["STANDIN_STARTS"], "a"))
sys.argv = ["server", options.port, "--model", options.served_model_name, "--reply", "You said {user}"]
from vllm.server import main
main()
"""

_PARSER = """\
import argparse
class FlexibleArgumentParser(argparse.ArgumentParser):
    def parse_args(self, words):
        return self.parse_known_args(words)[0]
def make_arg_parser(parser):
    return parser
"""

_HEADLESS = """\
import os, signal, sys
def run_headless(arguments):
    if os.environ.get("STANDIN_STARTS"):
        print(os.environ["WORD"], file=open(os.environ["STANDIN_STARTS"], "a"))
    if os.environ.get("STANDIN_FAILS"):
        sys.exit("RuntimeError: this node does not start")
    signal.pause()
"""
"""A node of several that serves no requests: it runs until it is told to end."""


STREAMING = """\
import argparse, os, runpy, sys
parser = argparse.ArgumentParser()
parser.add_argument("--port")
parser.add_argument("--served-model-name")
options, _ = parser.parse_known_args()
sys.argv = ["upstream", options.port, os.uname().nodename, options.served_model_name]
runpy.run_path("/srv/upstream.py", run_name="__main__")
"""
"""A server that streams: tests/e2e/gateway/upstream.py, which has to be at /srv of the host."""


def install(root: Path, server: str = _API_SERVER) -> None:
    """Put an index with the wheel, and a model for it, on a host whose file system is at `root`."""
    package = root / INDEX.lstrip("/") / "vllm"
    package.mkdir(parents=True, exist_ok=True)
    modules = {
        "vllm/server.py": SERVER.read_text(),
        "vllm/entrypoints/__init__.py": "",
        "vllm/entrypoints/openai/__init__.py": "",
        "vllm/entrypoints/openai/api_server.py": server,
        "vllm/entrypoints/openai/cli_args.py": _PARSER,
        "vllm/entrypoints/cli/__init__.py": "",
        "vllm/entrypoints/cli/serve.py": _HEADLESS,
        "vllm/utils.py": _PARSER,
    }
    made = wheel(package, "vllm", "0.33.0", modules=modules)
    (package / "index.html").write_text(f'<a href="{made.name}">{made.name}</a>')
    model = root / "srv/model"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text("{}")
