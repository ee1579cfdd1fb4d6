"""Add what measure.py has found to the records: record.py OUT/<release> GPU.

Reads each log and the note beside it; a start of the same name is replaced. The shapes are those of
shapes.json. Whole logs are copied by hand to `records/logs/<release>` where they show something new.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SHAPES: dict[str, Any] = json.loads((HERE / "shapes.json").read_text(encoding="utf-8"))

FIELDS = {
    "dtype",
    "enforce_eager",
    "gpu_memory_utilization",
    "kv_cache_dtype",
    "max_model_len",
    "max_num_batched_tokens",
    "max_num_seqs",
    "pipeline_parallel_size",
    "quantization",
    "tensor_parallel_size",
}
"""The flags that a service has a field for, by the name of the field; others go to `extra_args`."""

LOGGED = {
    "model_loading_gib": r"Model loading took ([\d.]+) GiB",
    "available_kv_cache_gib": r"Available KV cache memory: (-?[\d.]+) GiB",
    "kv_cache_tokens": r"KV cache size: ([\d,]+) tokens",
    "concurrency": r"Maximum concurrency for [\d,]+ tokens per request: ([\d.]+)x",
    "graph_capture_gib": r"Graph capturing finished in \d+ secs, took ([\d.]+) GiB",
}


def fields(arguments: str) -> dict[str, Any]:
    """Return the fields of a service for arguments of `vllm serve`."""
    words = shlex.split(arguments)
    found: dict[str, Any] = {}
    rest: list[str] = []
    while words:
        flag = words.pop(0)
        values = []
        while words and not words[0].startswith("--"):
            values.append(words.pop(0))
        name = flag.removeprefix("--").replace("-", "_")
        if name == "speculative_config":
            found["speculative"] = json.loads(values[0])
        elif name in FIELDS:
            found[name] = _value(values[0]) if values else True
        else:
            rest += [flag, *values]
    return {**found, "extra_args": rest} if rest else found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def start(note: dict[str, Any], log: str) -> dict[str, Any] | None:
    """Return the record of one start; None where it tells nothing of memory.

    A start that was ended before it was ready counts as started once the log has told of the cache: vLLM
    refuses no later. Before that it is not known: `started` is null.
    """
    run: dict[str, Any] = {name: note[name] for name in ("name", "release", "model")}
    run["args"] = fields(note["args"])
    for name, pattern in LOGGED.items():
        told = re.findall(pattern, log)
        run[name] = json.loads(told[-1].replace(",", "")) if told else None
    run["started"] = note["state"] == "ran" or run["kv_cache_tokens"] is not None
    if note["state"] == "timeout":
        run["note"] = "ended before it was ready"
    if note["state"] == "refused":
        told = re.findall(r"^.*?((?:ValueError|RuntimeError): .+)$", log, re.MULTILINE)
        run["refusal"] = told[0] if told else None
        if not re.search(r"memory|blocks|seq len", run["refusal"] or ""):
            return None
    if not run["started"] and note["state"] != "refused":
        # The weights are known all the same.
        run["started"] = None
    backend = re.search(r"Using (?:AttentionBackendEnum\.)?(\w+) (?:attention )?backend", log)
    run["attention_backend"] = backend[1] if backend else None
    run["model_runner"] = "v1" if "gpu_model_runner.py" in log else "v2"
    run["gpu_memory_used_after_start_mib"] = note["used_mib"]
    run["start_seconds"] = note["seconds"] if note["state"] == "ran" else None
    return {
        key: value for key, value in run.items() if value is not None or key in LOGGED or key == "started"
    }


def main(folder: Path, gpu: str) -> None:
    """Renew the file of a release and a GPU."""
    path = HERE / "records" / f"memory-{gpu}-{folder.name}.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    runs = {run["name"]: run for run in known["runs"]}
    for note in sorted(folder.glob("*.json")):
        said = json.loads(note.read_text(encoding="utf-8"))
        run = start(said, note.with_suffix(".log").read_text(encoding="utf-8", errors="replace"))
        if run:
            runs[run["name"]] = run
            known["configs"][run["model"]] = SHAPES[run["model"]]
    known["runs"] = list(runs.values())
    path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
