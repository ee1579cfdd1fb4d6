"""What the released wheels of vLLM and PyTorch need of a host, as their metadata says.

    python -m tests.gpu.wheels

It asks the package index by pip for each release of `provision/engines/vllm/flags.json`, and for each release
of PyTorch that one of these needs; only metadata is downloaded. It writes `provision/catalog/wheels.json`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from packaging.version import Version

from provision.engines.vllm import releases

PYTHON = "3.12"
"""All of these releases have wheels for it."""

GLIBC = (5, 12, 17, 24, 26, 27, 28, 31, 34, 35, 38, 39)
LEGACY = {"manylinux1": "2.5", "manylinux2010": "2.12", "manylinux2014": "2.17"}
MACHINES = ("x86_64", "aarch64")

MORE = ("2.10.0", "2.12.0", "2.13.0")
"""Releases of PyTorch that no vLLM pins, but other environments do."""


def ask(requirement: str, machine: str) -> dict[str, Any] | None:
    """Return what the index has of a release for Linux on this machine; None when it has no wheel."""
    tags = [f"{name}_{machine}" for name in [*LEGACY, *(f"manylinux_2_{minor}" for minor in GLIBC)]]
    platforms = [word for tag in tags for word in ("--platform", tag)]
    # Neither wheels nor settings of this machine count.
    env = {key: value for key, value in os.environ.items() if key != "PIP_FIND_LINKS"}
    with tempfile.TemporaryDirectory() as place:
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps"),
                *("--ignore-installed", "--only-binary", ":all:", "--python-version", PYTHON),
                *("--target", place, "--report", "-", *platforms, requirement),
            ],
            env={**env, "PIP_CONFIG_FILE": os.devnull},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
        )
    if ended.returncode != 0:
        return None
    (found,) = json.loads(ended.stdout)["install"]
    return {"file": found["download_info"]["url"].rpartition("/")[2], **found["metadata"]}


def glibc(file: str) -> str:
    """Return the oldest glibc that a wheel's name allows."""
    tags = file[: -len(".whl")].rpartition("-")[2].split(".")
    found = [re.match(r"manylinux_(\d+)_(\d+)_", tag) for tag in tags]
    versions = [f"{each[1]}.{each[2]}" for each in found if each]
    versions += [
        version for tag, version in LEGACY.items() if any(each.startswith(tag + "_") for each in tags)
    ]
    return min(versions, key=Version)


def needed(metadata: dict[str, Any], name: str) -> str | None:
    """Return the version of a package that a release pins."""
    for entry in metadata["requires_dist"]:
        found = re.match(rf"{name}(?:\[[^]]*\])?\s*\(?==\s*([\d.]+)", entry)
        if found and "extra ==" not in entry:
            return found[1]
    return None


def cuda(metadata: dict[str, Any]) -> str | None:
    """Return the CUDA toolkit of a PyTorch, such as 12.8: that of its runtime library."""
    names = ("cuda-toolkit", r"nvidia-cuda-runtime(?:-cu\d+)?")
    found = next((version for name in names if (version := needed(metadata, name))), None)
    return ".".join(found.split(".")[:2]) if found else None


def release(name: str, version: str) -> dict[str, Any] | None:
    """Return what is kept of one release; None when the index has no wheel of it."""
    answers = {machine: ask(f"{name}=={version}", machine) for machine in MACHINES}
    there = {machine: answer for machine, answer in answers.items() if answer}
    if not there:
        return None
    metadata = next(iter(there.values()))
    kept: dict[str, Any] = {
        "python": metadata["requires_python"],
        "glibc": {machine: glibc(answer["file"]) for machine, answer in there.items()},
    }
    return {**kept, **({"torch": needed(metadata, "torch")} if name == "vllm" else {"cuda": cuda(metadata)})}


def main() -> None:
    """Write the table."""
    vllm = {str(version): release("vllm", str(version)) for version in releases.versions()}
    pinned = {each["torch"] for each in vllm.values() if each and each["torch"]}
    torch = {version: release("torch", version) for version in sorted({*pinned, *MORE}, key=Version)}
    table = {"vllm": vllm, "torch": torch}
    lines = [
        f'"{name}": {{\n'
        + ",\n".join(f'"{version}": {json.dumps(each)}' for version, each in found.items() if each)
        + "\n}"
        for name, found in table.items()
    ]
    place = Path(str(files("provision.catalog"))) / "wheels.json"
    place.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
