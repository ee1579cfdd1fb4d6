"""The NVIDIA GPUs of this host and their driver, as the driver's own tool tells."""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple, Sequence

from provision.host.capture import Completed
from provision.host.machine import Machine
from provision.host.services.gpus import links, memory, smi
from provision.host.services.gpus.gpu_turn import DEVICES
from provision.host.services.gpus.memory import MIB, Holder
from provision.wire.finding import Finding, warning
from provision.wire.survey import Gpu

FIELDS = (
    *("index", "uuid", "name", "memory.total", "memory.used", "memory.free", "driver_version"),
    *("compute_cap", "mig.mode.current"),
)
"""What is asked about each GPU. Older drivers do not know all of it: compute_cap came after 470."""

FORMAT = "--format=csv,noheader,nounits"

NOTHING = ("[N/A]", "[Not Supported]", "N/A", "")
"""What the tool says where there is nothing to tell; other words in brackets, and ERR!, mean trouble."""


class Cards(NamedTuple):
    """What the driver tells; see `Surveyed`."""

    driver: str | None = None
    cuda: str | None = None
    gpus: list[Gpu] | None = None
    trouble: Finding | None = None
    links: Sequence[list[Any]] = ()
    holders: Sequence[Holder] = ()


def read(machine: Machine) -> Cards:
    """Ask the driver."""
    if not smi.installed():
        return _without_tool()
    fields: Sequence[str] = FIELDS
    query, apps, table = smi.ask(machine, _query(fields), [memory.QUERY, FORMAT], [])
    while not query.late and (unknown := _unknown(query)) in fields:
        fields = [field for field in fields if field != unknown]
        (query,) = smi.ask(machine, _query(fields))
    trouble = smi.trouble(query)
    gpus = parse(query.out, fields)
    if trouble and not gpus:
        return Cards(cuda=_cuda(table.out), gpus=[], trouble=trouble)
    further = [["-L"]] if any(gpu.mig is not None for gpu in gpus) else []
    further += [["topo", "-m"]] if len(gpus) > 1 else []
    answers = smi.ask(machine, *further) if further else []
    said = {words[0]: answer.out for words, answer in zip(further, answers)}
    return Cards(
        driver=_driver(query.out, fields),
        cuda=_cuda(table.out),
        gpus=with_instances(gpus, said.get("-L", ""), table.out),
        trouble=trouble,
        links=links.parse(said.get("topo", "")),
        holders=memory.parse(apps.out),
    )


def _without_tool() -> Cards:
    if not os.path.exists(DEVICES[0]):
        return Cards()
    message = f"this host has NVIDIA GPUs, but no {smi.TOOL}: what is on them is not known"
    return Cards(trouble=warning("driver-failing", message, "install the driver's tools on the host"))


def _query(fields: Sequence[str]) -> list[str]:
    return [f"--query-gpu={','.join(fields)}", FORMAT]


def _unknown(answer: Completed) -> str | None:
    """Return the field that the tool does not know."""
    found = re.search(r'Field "([\w.]+)" is not a valid field to query', answer.out + answer.err)
    return found.group(1) if found else None


def parse(text: str, fields: Sequence[str] = FIELDS) -> list[Gpu]:
    """Return the GPUs in an answer to a query for these fields."""
    return [_gpu(row) for row in _rows(text, fields)]


def _rows(text: str, fields: Sequence[str]) -> list[dict[str, str]]:
    found = []
    for line in text.splitlines():
        values = [value.strip() for value in line.split(",")]
        if len(values) == len(fields) and values[0].isdigit():
            found.append(dict(zip(fields, values)))
    return found


def _gpu(row: dict[str, str]) -> Gpu:
    total, used, free = (_bytes(row.get(f"memory.{name}", "")) for name in ("total", "used", "free"))
    capability = re.match(r"(\d+)\.(\d+)$", row.get("compute_cap", ""))
    return Gpu(
        index=int(row["index"]),
        uuid=row["uuid"],
        name=row["name"],
        # What the driver keeps for itself is neither used nor free, and no engine gets it.
        memory=total if used is None or free is None else used + free,
        used=used,
        capability=[int(part) for part in capability.groups()] if capability else None,
        mig=[] if row.get("mig.mode.current") == "Enabled" else None,
        trouble=next((value.strip("[]") for value in row.values() if _wrong(value)), None),
    )


def _wrong(value: str) -> bool:
    return value not in NOTHING and (value.startswith("[") or "ERR!" in value)


def _bytes(text: str) -> int | None:
    number = text.split(" ")[0]  # a unit may follow
    return int(number) * MIB if number.isdigit() else None


def _driver(text: str, fields: Sequence[str]) -> str | None:
    versions = (row.get("driver_version", "") for row in _rows(text, fields))
    return next((version for version in versions if re.match(r"\d+\.\d", version)), None)


def _cuda(table: str) -> str | None:
    """Return the newest CUDA that the driver runs: only the head of the tool's table has it."""
    found = re.search(r"CUDA Version:\s*(\d+\.\d+)", table)
    return found.group(1) if found else None


def with_instances(gpus: Sequence[Gpu], listing: str, table: str) -> list[Gpu]:
    """Return GPUs, and after each that is divided its instances (MIG) as GPUs with the same index.

    Args:
        gpus: whole GPUs.
        listing: what `nvidia-smi -L` prints, with the names and UUIDs of instances.
        table: what `nvidia-smi` prints, with their memory.
    """
    instances = _instances(listing)
    sizes = {
        (int(index), int(device)): (int(total), int(used))
        for index, device, used, total in re.findall(
            r"^\|\s+(\d+)\s+\d+\s+\d+\s+(\d+)\s+\|\s+(\d+)MiB\s*/\s*(\d+)MiB", table, re.MULTILINE
        )
    }
    found: list[Gpu] = []
    for gpu in gpus:
        mine = [each for each in instances if each[0] == gpu.index] if gpu.mig is not None else []
        found.append(gpu.replace(mig=[uuid for *_, uuid in mine]) if gpu.mig is not None else gpu)
        for index, profile, device, uuid in mine:
            total, used = sizes.get((index, device), (None, None))
            found.append(
                gpu.replace(
                    uuid=uuid,
                    name=f"{gpu.name} MIG {profile}",
                    memory=None if total is None else total * MIB,
                    used=None if used is None else used * MIB,
                    mig=None,
                )
            )
    return found


def _instances(listing: str) -> list[tuple[int, str, int, str]]:
    """Return the instances in a listing: index of the GPU, profile, number on the GPU, UUID."""
    found = []
    index = -1
    for line in listing.splitlines():
        gpu = re.match(r"GPU (\d+):", line)
        index = int(gpu.group(1)) if gpu else index
        instance = re.match(r"\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (MIG-[^)]+)\)", line)
        if instance:
            found.append((index, instance.group(1), int(instance.group(2)), instance.group(3)))
    return found
