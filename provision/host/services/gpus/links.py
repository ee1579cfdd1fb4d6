"""How the GPUs of a host reach each other, from the matrix of `nvidia-smi topo -m`."""

from __future__ import annotations

import re


def parse(text: str) -> list[list[object]]:
    """Return [index, index, how] for each pair: NV18 for NVLinks, PIX, PXB, PHB, NODE or SYS for PCIe.

    Cards of networks are in the same matrix and are left out.
    """
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).split() for line in text.splitlines()]
    heads = next((line for line in lines if line[:1] == ["GPU0"] and "X" not in line), [])
    columns = [_index(name) for name in heads]
    found: list[list[object]] = []
    for name, *cells in (line for line in lines if line and line is not heads):
        row = _index(name)
        for column, how in zip(columns, cells):
            if row is not None and column is not None and row < column:
                found.append([row, column, how])
    return found


def _index(name: str) -> int | None:
    match = re.match(r"GPU(\d+)$", name)
    return int(match.group(1)) if match else None
