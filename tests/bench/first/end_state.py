"""Prints what a host has come to, as JSON: run on the host by the environment's Python.

Usage: python - MODEL_DIRECTORY < end_state.py
"""

import hashlib
import importlib.metadata
import json
import os
import sys
import sysconfig
from collections.abc import Iterator

OWN = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")
"""What each installer writes for itself into a package's metadata."""


def below(directory: str) -> Iterator[str]:
    """Yield the files below a directory, relative to it; none that begins with a dot."""
    for parent, directories, names in os.walk(directory):
        directories[:] = [name for name in directories if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(parent, name), directory)


def installed(directory: str) -> dict[str, int]:
    """Return the size of each file that packages have brought; bytecode is whole when it is there."""
    found = {}
    for name in below(directory):
        if not name.endswith(".pyc") and os.path.basename(name) not in OWN:
            found[name] = os.path.getsize(os.path.join(directory, name))
    return found


def hashes(directory: str) -> dict[str, str]:
    """Return the SHA-256 of each file."""
    found = {}
    for name in below(directory):
        with open(os.path.join(directory, name), "rb") as file:
            found[name] = hashlib.sha256(file.read()).hexdigest()
    return found


if __name__ == "__main__":
    site = sysconfig.get_paths()["purelib"]
    print(
        json.dumps(
            {
                "packages": {
                    each.metadata["Name"].lower(): each.version
                    for each in importlib.metadata.distributions(path=[site])
                },
                "files": installed(site),
                "bytecode": sum(name.endswith(".pyc") for name in below(site)),
                "model": hashes(sys.argv[1]),
            }
        )
    )
