"""Start vLLM's engine once for each case and keep its log: measure.py CASES MODELS OUT.

CASES is a text file, one case a line: ``name | model | arguments of vllm serve``. The engine is made as
``vllm serve`` makes it, in a child of a process that has already imported vLLM, which saves 15 s a start.
OUT/<release>/<name>.log receives the log, OUT/<release>/<name>.json what became of the start.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "fork")
os.environ |= {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}

import vllm
import vllm.v1.engine.core
import vllm.v1.worker.gpu_worker
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.usage.usage_lib import UsageContext
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.v1.engine.async_llm import AsyncLLM

READY = "MEASURE ready"
SECONDS = float(os.environ.get("MEASURE_TIMEOUT", "170"))
CARDS = ["-i", os.environ["CUDA_VISIBLE_DEVICES"]] if os.environ.get("CUDA_VISIBLE_DEVICES") else []


def ask(query: str) -> list[str]:
    """Return the lines that nvidia-smi prints for a query."""
    command = ["nvidia-smi", *CARDS, f"--query-{query}", "--format=csv,noheader,nounits"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()


def used() -> list[int]:
    """Return the used memory of each card, in MiB."""
    return [int(line) for line in ask("gpu=memory.used")]


def serve(arguments: list[str], log: Path) -> None:
    """Make the engine and keep it; the log says how far it came."""
    os.setsid()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)

    async def run() -> None:
        parser = AsyncEngineArgs.add_cli_args(FlexibleArgumentParser())
        wanted = AsyncEngineArgs.from_cli_args(parser.parse_args(arguments))
        kept = AsyncLLM.from_engine_args(wanted, usage_context=UsageContext.OPENAI_API_SERVER)
        print(READY, flush=True)
        await asyncio.sleep(3600)
        del kept

    try:
        asyncio.run(run())
    except BaseException:  # the log of a refused start is what this is for
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(1)


def outcome(pid: int, log: Path) -> str:
    """Wait for a start: ``ran``, ``refused``, or ``timeout``."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.3)
        if log.exists() and READY in log.read_text(errors="replace"):
            return "ran"
        if os.waitpid(pid, os.WNOHANG)[0]:
            return "refused"
    return "timeout"


def end(pid: int, idle: list[int]) -> None:
    """End a start with all its processes, and wait until the cards are as free as before."""
    for pids in ([-pid], [int(line) for line in ask("compute-apps=pid") if line.isdigit()]):
        for each in pids:
            try:
                os.kill(each, signal.SIGKILL)
            except ProcessLookupError:
                pass
    deadline = time.monotonic() + 30
    while any(now - before > 300 for now, before in zip(used(), idle, strict=True)):
        if time.monotonic() > deadline:
            sys.exit("the cards are not free again")
        time.sleep(0.3)


def measure(name: str, model: str, arguments: str, out: Path) -> dict[str, Any]:
    """Run one case."""
    idle, begun, log = used(), time.monotonic(), out / f"{name}.log"
    command = ["--model", model, "--load-format", "dummy", *shlex.split(arguments)]
    pid = os.fork()
    if pid == 0:
        serve(command, log)
    state = outcome(pid, log)
    found = {"seconds": round(time.monotonic() - begun, 1), "used_mib": used()}
    end(pid, idle)
    return {"name": name, "release": vllm.__version__, "state": state, **found}


def main(cases: Path, models: Path, out: Path) -> None:
    """Run all cases that have no log yet."""
    out = out / vllm.__version__
    out.mkdir(parents=True, exist_ok=True)
    for line in cases.read_text().splitlines():
        name, model, arguments = (part.strip() for part in line.split("|"))
        if not (out / f"{name}.log").exists():
            found = measure(name, str(models / model), arguments, out)
            record = {**found, "model": model, "args": arguments}
            (out / f"{name}.json").write_text(json.dumps(record))
            print(found, flush=True)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
