"""A server that is silent because it compiles kernels."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from provision.host.services.compiling import compiles


def test_a_build_below_the_server_is_told(tmp_path: Path) -> None:
    ninja = tmp_path / "ninja"
    ninja.write_text("#!/bin/sh\necho begun\nread wait\n")
    ninja.chmod(0o755)
    server = subprocess.Popen(
        ["/bin/sh", "-c", f"{ninja} -v -C /cache/flashinfer/cached_ops/trtllm_comm; :"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "begun\n"
        assert compiles(server.pid) == "compiles CUDA kernels (trtllm_comm); they are kept for later starts"
        assert compiles(None) is None
    finally:
        server.communicate("go\n")
    assert compiles(os.getpid()) is None
