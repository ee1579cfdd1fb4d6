"""Finds out that a silent server is compiling kernels: at its first start, or with an empty cache.

On an H100, vLLM 0.25.1 spent 85 s of its first start in FlashInfer's sampling kernels, and on two H100 more
than 140 s in the kernels of its all-reduce, without a line in the log: `flashinfer/jit/cpp_ext.py` runs ninja
in `<cache>/cached_ops/<module>`.
"""

from __future__ import annotations

import os

from provision.host.services import processes

COMPILERS = ("ninja", "nvcc", "cicc", "ptxas", "cudafe++")
"""Programs that build CUDA kernels, by the names of their processes."""


def compiles(root: int | None) -> str | None:
    """Return what a process, or one below it, compiles; None when no compiler runs there."""
    if root is None:
        return None
    table = processes.table()
    pids = [pid for pid in processes.tree(root, table) if table[pid].name in COMPILERS]
    if not pids:
        return None
    modules = sorted({module for pid in pids if (module := _module(pid))})
    what = f" ({', '.join(modules)})" if modules else ""
    return f"compiles CUDA kernels{what}; they are kept for later starts"


def _module(pid: int) -> str | None:
    """Return what ninja builds, from the directory that it was told to build in."""
    words = processes.arguments(pid)
    directory = words[words.index("-C") + 1] if "-C" in words[:-1] else ""
    return os.path.basename(directory.rstrip("/")) or None
