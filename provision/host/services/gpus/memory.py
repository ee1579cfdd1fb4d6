"""Which processes hold memory of which NVIDIA GPU, as the driver's own tool tells."""

from __future__ import annotations

import re
from typing import NamedTuple

from provision.host.services import figures, processes
from provision.host.services.gpus import gpu_turn

MIB = 1024 * 1024

QUERY = "--query-compute-apps=pid,gpu_uuid,used_gpu_memory,process_name"


class Holder(NamedTuple):
    """A process that holds memory of a GPU."""

    pid: int
    name: str
    gpu: str
    """The GPU's UUID."""
    bytes: int | None
    """None where the driver does not tell."""

    def __str__(self) -> str:
        service = service_of(self.pid)
        whose = f" of service {service}" if service else ""
        size = "" if self.bytes is None else f", {self.bytes / 1024**3:.1f} GiB"
        return f"{self.name}{whose} (pid {self.pid}{size})"


def service_of(pid: int) -> str | None:
    """Return the service of ours that a process belongs to, by its unit or by what a start marks it with.

    A process that gives itself a title, as the workers of vLLM do, overwrites the variables that it was
    started with: then those of its parents tell.
    """
    unit = re.search(r"/provision-([^/]+)\.service", processes.cgroup(pid))
    if unit:
        return unit.group(1)
    there = processes.process(pid)
    while there is not None and there.pid > 1:
        for each in processes.environment(there.pid):
            name, _, value = each.partition("=")
            if name == "PROVISION_SERVICE":
                return value
        there = processes.process(there.parent)
    return None


def holders() -> list[Holder] | None:
    """Return who holds GPU memory, the biggest first; None where there is no NVIDIA driver."""
    answer = gpu_turn.nvidia_smi(QUERY, "--format=csv,noheader,nounits")
    return None if answer is None else parse(answer)


def parse(text: str) -> list[Holder]:
    """Return the holders in what `nvidia-smi` prints for `QUERY`, with or without header and units."""
    found = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",", 3)]
        if len(fields) == 4 and fields[0].isdigit():
            mib = fields[2].split()[0] if fields[2] else ""
            size = int(mib) * MIB if mib.isdigit() else None
            found.append(Holder(int(fields[0]), fields[3], fields[1], size))
    return sorted(found, key=lambda holder: -(holder.bytes or 0))


def taken_meanwhile(log: str) -> float | None:
    """Return the GiB that others took of a GPU while vLLM measured it; None when its log does not tell.

    vLLM gives the KV cache total × gpu_memory_utilization, less the weights, less all that has come into
    use since it started (`vllm/v1/worker/gpu_worker.py`, 0.25.1). What is missing beyond the weights was used
    by its own activations, or by another process. The total is what the log says, or else the driver.
    """
    told = figures.read(log, 0)
    if told.weights is None or told.cache is None:
        return None
    total = re.search(r"/([\d.]+) GiB\) on startup", log)
    size = float(total.group(1)) if total else _smallest()
    if not size:
        return None
    share = re.search(r"'?gpu_memory_utilization'?[:=] ?([\d.]+)", log)
    used = float(share.group(1)) if share else 0.9
    return size * used - (told.weights + told.cache) / figures.GIB


def _smallest() -> float | None:
    """Return the GiB of the smallest GPU, or None without an NVIDIA driver."""
    answer = gpu_turn.nvidia_smi("--query-gpu=memory.total", "--format=csv,noheader,nounits") or ""
    return min((int(line) / 1024 for line in answer.split() if line.isdigit()), default=None)
