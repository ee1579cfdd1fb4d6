"""Certificates for servers of tests, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple


class Certificate(NamedTuple):
    """A self-signed certificate, which is its own CA, and its key."""

    cert: Path
    key: Path

    @property
    def flags(self) -> str:
        """Return vLLM's flags for it."""
        return f"--ssl-certfile {self.cert} --ssl-keyfile {self.key}"


def certificate(directory: Path, name: str = "server") -> Certificate:
    """Make a certificate for a name that nobody resolves."""
    made = Certificate(directory / f"{name}.crt", directory / f"{name}.key")
    command = ["openssl", "req", "-x509", "-days", "2", "-nodes", "-subj", f"/CN={name}.example"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-out", str(made.cert), "-keyout", str(made.key)]
    subprocess.run(command, check=True, capture_output=True)
    return made
