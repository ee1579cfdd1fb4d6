"""Which processes hold memory of which NVIDIA GPU, as the driver's own tool tells."""

from __future__ import annotations

import shutil
from typing import NamedTuple

from provision.host.machine import Machine
from provision.host.resource import Failure

MIB = 1024 * 1024


class Holder(NamedTuple):
    """A process that holds memory of a GPU."""

    pid: int
    name: str
    gpu: str
    """The GPU's UUID."""
    bytes: int

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid}, {self.bytes / 1024**3:.1f} GiB)"


def present() -> bool:
    """Whether the driver's tool is there to ask."""
    return shutil.which("nvidia-smi") is not None


def holders(machine: Machine) -> list[Holder]:
    """Return who holds GPU memory, the biggest first; nobody where there is no NVIDIA driver."""
    if not present():
        return []
    query = "--query-compute-apps=pid,gpu_uuid,used_gpu_memory,process_name"
    try:
        answer = machine.run(["nvidia-smi", query, "--format=csv,noheader,nounits"], timeout=20, check=False)
    except Failure:
        return []
    return parse(answer.out)


def parse(text: str) -> list[Holder]:
    """Return the holders in what `nvidia-smi` prints for the query above, with or without header and units.

    Memory that the driver does not tell (`[N/A]`) counts as none.
    """
    found = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",", 3)]
        if len(fields) == 4 and fields[0].isdigit():
            mib = fields[2].split()[0] if fields[2] else ""
            found.append(Holder(int(fields[0]), fields[3], fields[1], int(mib) * MIB if mib.isdigit() else 0))
    return sorted(found, key=lambda holder: -holder.bytes)
