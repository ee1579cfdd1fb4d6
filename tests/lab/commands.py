"""Run a program of the controller machine and raise a readable error when it fails."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

from .errors import LabError


def run(argv: Sequence[str], *, input: str | None = None, check: bool = True) -> str:
    """Run ``argv`` and return its standard output.

    Raises:
        LabError: the program is not installed, or (with ``check``) it failed; its output is quoted.
    """
    try:
        done = subprocess.run(argv, input=input, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        hint = "apt-get install the packages of tests/lab/packages.txt"
        raise LabError(f"{argv[0]} is not installed; {hint}") from None
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise LabError(f"{shlex.join(argv)} failed with exit code {done.returncode}: {said}")
    return done.stdout
