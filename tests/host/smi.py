"""A stand-in for nvidia-smi: tests have no GPU. It answers as the tool does, with what a test says.

What it prints is written after the real output in tests/unit/host/nvidia_smi.
"""

from __future__ import annotations

from pathlib import Path

H200 = "NVIDIA H200, 143771, 0, 143156, 580.159.04, 9.0, Disabled"

TABLE = "| NVIDIA-SMI 580.159.04             Driver Version: 580.159.04     CUDA Version: 13.0     |"


def uuid(index: int) -> str:
    """Return the UUID of a GPU of `cards`."""
    return f"GPU-95513fbb-1565-ddd7-6a61-977b94babff{index}"


def cards(count: int) -> str:
    """Return what is said about idle H200s."""
    return "\n".join(f"{index}, {uuid(index)}, {H200}" for index in range(count))


def tool(
    gpus: str = "", apps: str = "", table: str = TABLE, listing: str = "", links: str = "", code: int = 0
) -> str:
    """Return the text of a program that prints these answers, each with the same exit code."""
    answers = {"--query-gpu=*": gpus, "--query-compute-apps=*": apps, "-L": listing, "topo": links, "": table}
    cases = "".join(
        f"{words or chr(39) * 2}) cat <<'END'\n{said}\nEND\n;;\n" for words, said in answers.items()
    )
    return f'#!/bin/sh\ncase "$1" in\n{cases}esac\nexit {code}\n'


def install(directory: Path, text: str) -> None:
    """Put such a program into a directory of a search path."""
    directory.mkdir(parents=True, exist_ok=True)
    new = directory / ".nvidia-smi.new"
    new.write_text(text)
    new.chmod(0o755)
    new.rename(directory / "nvidia-smi")
