"""Running pip in an environment, and saying in one sentence why it failed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from typing import Iterable, Iterator, NamedTuple, Sequence

from provision.host import kind
from provision.host.failure import Failure
from provision.host.machine import TAIL, Machine
from provision.host.python import inside
from provision.host.state import scraps
from provision.wire.specs.environment import EnvironmentSpec

TEMPORARY = ".provision-tmp"
"""Where packages are unpacked, inside the environment: `/tmp` is often too small for what is downloaded."""

_NOISE = re.compile(
    r"^(Requirement already satisfied: |WARNING: Location .* is ignored|\[notice\]|\s*$|\s*[━╸╺]+ )"
)
_OUR_FILE = re.compile(r" ?\(from -r \S+ \(line \d+\)\)|->-r \S+ \(line \d+\)")
_BEGUN = ("Installing collected", "Found existing")


class Unchanged(Failure):
    """pip gave up before it had changed anything."""


def is_location(constraint: str) -> bool:
    """Tell a constraints file (a path or URL) from a constraint ("numpy<2")."""
    return constraint.startswith(("/", "file:", "http://", "https://"))


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Give a directory that only its owner can read: an index URL may hold a password."""
    return tempfile.TemporaryDirectory(prefix=scraps.prefix())


@contextmanager
def unpacking(environment: str) -> Iterator[str]:
    """Give an empty directory on the environment's disk, and delete it afterwards."""
    above = os.path.join(environment, TEMPORARY)
    os.makedirs(above, mode=0o700, exist_ok=True)
    directory = tempfile.mkdtemp(dir=above)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if not os.listdir(above):
            os.rmdir(above)


def write_listing(
    directory: str, places: Sequence[str], constraints: Sequence[str], requirements: Iterable[str]
) -> str:
    """Write a requirements file into a directory and return its path.

    Indexes and constraints are in it, too, as the command line is seen by every user.

    Args:
        directory: what only its owner can read.
        places: lines that say where packages come from.
        constraints: files or URLs of constraints, and constraints themselves ("numpy<2").
        requirements: as pip writes them ("vllm==0.33.0", "-e /src/x").
    """
    lines = [*places, *("-c " + place for place in constraints if is_location(place))]
    inline = [text for text in constraints if not is_location(text)]
    if inline:
        lines.append("-c " + _write(directory, "constraints.txt", inline))
    return _write(directory, "requirements.txt", [*lines, *requirements])


def _write(directory: str, name: str, lines: Iterable[str]) -> str:
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return path


class Pip(NamedTuple):
    """The pip of one environment."""

    machine: Machine
    id: str
    """The resource whose progress and output this is."""
    spec: EnvironmentSpec
    raw_progress: bool
    """This pip (24.1 and later) can print the bytes that it has downloaded."""

    def install(self, requirements: Iterable[str], *, dependencies: bool = True) -> None:
        """Install requirements as pip writes them, and what they need unless `dependencies` is False.

        Raises:
            Failure: pip failed; one sentence says why, and a hint what to change.
        """
        self._install(requirements, [] if dependencies else ["--no-deps"])

    def fetch(self, requirement: str, directory: str) -> None:
        """Put one package, without what it needs, into a directory that is no environment.

        Raises:
            Failure: pip failed, or there is no wheel of it for this host.
        """
        alone = ["--no-deps", "--no-compile", "--only-binary", ":all:", "--target", directory]
        self._install([requirement], alone)

    def uninstall(self, names: Sequence[str]) -> None:
        """Remove packages."""
        self._run(["uninstall", "--yes", *names])

    def _install(self, requirements: Iterable[str], extra: Sequence[str]) -> None:
        spec = self.spec
        places = ["--extra-index-url " + url for url in spec.extra_index_urls]
        places += ["--find-links " + place for place in spec.find_links]
        progress = ["--progress-bar", "raw"] if self.raw_progress else []
        with scratch() as directory:
            listing = write_listing(directory, places, spec.constraints, requirements)
            self._run(["install", "--no-user", "-r", listing, *progress, *extra])

    def _run(self, arguments: Sequence[str]) -> None:
        env = {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        if self.spec.index_url:
            # A requirements file's --index-url would drop the extra indexes of the host's configuration.
            env["PIP_INDEX_URL"] = self.spec.index_url
        lines: list[str] = []
        file = ""

        def on_line(line: str) -> None:
            nonlocal file
            downloading = re.match(r"\s*Downloading (\S+)", line)
            if downloading:
                file = downloading.group(1).rpartition("/")[2]
            progress = re.match(r"Progress (\d+) of (\d+)", line)
            if progress:
                done, total = map(int, progress.groups())
                self.machine.progress(self.id, done, total or None, text=file)
            elif not _NOISE.match(line):
                lines.append(_OUR_FILE.sub("", line))
                self.machine.output(self.id, lines[-1])

        with unpacking(self.spec.path) as temporary:
            env["TMPDIR"] = temporary
            command = inside.command(self.spec.path, "pip", *arguments)
            ended = self.machine.run(command, env=env, on_line=on_line, check=False)
        if ended.code != 0:
            raise explain(lines, ended.code, self.spec.path)


_FATAL: Sequence[tuple[str, str, str, str]] = (
    (
        "disk-full",
        r"No space left on device|Errno 28",
        "the disk is full",
        "free some space below {environment}, or set the environment's path to another disk",
    ),
    (
        "file-refused",
        r"Read-only file system",
        "the environment's file system is read-only",
        "set the environment's path to one that can be written",
    ),
)
_INDEX: Sequence[tuple[str, str, str, str]] = (
    (
        "index-refused",
        r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError|certificate verify failed",
        "the package index's TLS certificate was not accepted",
        "add the authority that signed it: `pip config --global set global.cert /path/ca.pem`",
    ),
    (
        "index-unreachable",
        r"Temporary failure in name resolution|Name or service not known|nodename nor servname|"
        r"NameResolutionError|getaddrinfo failed",
        "the package index's name cannot be resolved",
        "check the host's network and DNS, or set index_url to an index it can reach",
    ),
    (
        "index-unreachable",
        r"NewConnectionError|ConnectTimeoutError|Connection refused|Network is unreachable|"
        r"ProxyError|Max retries exceeded|ReadTimeoutError|Connection reset by peer",
        "the package index cannot be reached",
        "check the host's network and proxy, or set index_url to an index it can reach",
    ),
    (
        "index-refused",
        r"401 Client Error|403 Client Error|401 Error|403 Error",
        "the package index refused access",
        "check the user name and password in the index's URL",
    ),
    (
        "damaged-download",
        r"BadZipFile|Wheel '.*' located at .* is invalid|IncompleteRead|zlib\.error",
        "a file from the package index arrived damaged, or cut off",
        "the index or a proxy on the way gives a wrong file: apply again, or use another index",
    ),
)
_UNBUILT = "see the log, or pin a version that has a wheel for this Python"


def fatal(program: str, lines: Sequence[str], code: int, environment: str) -> Failure | None:
    """Return the failure that no other installer would avoid: it was killed, or nothing can be written.

    Args:
        program: `pip` or `uv`.
        lines: what it printed.
        code: its exit code; negative for a signal.
        environment: the environment's directory, for hints.
    """
    tail = lines[-TAIL:]
    if code < 0:
        hint = "it may have been out of memory: see `dmesg`" if code == -9 else None
        return Failure("pip-failed", f"{program} was ended by signal {-code}", hint=hint, log=tail)
    for known, pattern, message, hint in _FATAL:
        if re.search(pattern, "\n".join(lines)):
            return Failure(known, message, hint=hint.format(environment=environment), log=tail)
    return None


def explain(lines: Sequence[str], code: int, environment: str) -> Failure:
    """Return the failure that pip's output tells of; the arguments are those of `fatal`."""
    failure = fatal("pip", lines, code, environment)
    other = re.search(r"DO NOT MATCH THE HASHES.*?\n\s*(\S+==\S+)", "\n".join(lines), re.DOTALL)
    if failure is None and other:
        failure = Failure(*mismatch(other[1]), log=lines[-TAIL:])
    if failure is None:
        known, message, hint = _index(lines) or ("pip-failed", *_reason(lines))
        failure = Failure(known, message, hint=hint, log=lines[-TAIL:])
    if code > 0 and not any(line.startswith(_BEGUN) for line in lines):
        return Unchanged(failure.code, failure.message, failure.hint, failure.log)
    return failure


def mismatch(package: str) -> tuple[str, str, str]:
    """Return code, message and hint for a file with another content than the locked one."""
    said = f"the file of {package} that the index gives is not the one that is locked"
    return "lock-mismatch", said, kind.RESTORE


def _index(lines: Sequence[str]) -> tuple[str, str, str | None] | None:
    """Return what is wrong with the package index: code, message, and what to change."""
    text = "\n".join(lines)
    if re.search(r"\(from versions: (?!none)|Cannot install", text):
        return None  # a retry that helped, or one index of several: not what it failed for
    reached = re.search(r"host='?([^',)]+)'?, port=(\d+)", text)
    where = f" ({reached.group(1)})" if reached else ""
    found = (each for each in _INDEX if re.search(each[1], text))
    return next(((code, message + where, hint) for code, _, message, hint in found), None)


def _reason(lines: Sequence[str]) -> tuple[str, str | None]:
    """Pick the line that says what was wrong: pip's last error is often only the end of a longer one."""
    found = [re.match(r"\s*(?:ERROR|error):\s*(.*?)\s*$", line) for line in lines]
    errors = [each.group(1) for each in found if each]
    for text in errors:
        if text.startswith("No matching distribution found"):
            offered = re.search(r"\(from versions: (?!none\))(.*)\)", "\n".join(errors))
            if offered is None:
                return f"pip: {text}", "check the name, and the indexes it is looked for in"
            return f"pip: {text}", "the index offers " + ", ".join(offered.group(1).split(", ")[-8:])
    for text in errors:
        if text.startswith("Cannot install"):
            why = re.compile(r"\s+\S.* depends on | {4}The user requested")
            causes = [line.strip() for line in lines if why.match(line)]
            return f"pip: {text.rstrip('.')}", "; ".join(causes[:4]) or None
        if "Could not open requirements file" in text or "Invalid requirement" in text:
            return f"pip: {text}", None
    for text in errors:
        if text.startswith(("Failed building wheel", "Failed to build", "Could not build wheels")):
            return f"pip: {text}", _UNBUILT
    if any("legacy-install-failure" in text or "subprocess-exited-with-error" in text for text in errors):
        return "pip: a package could not be built", _UNBUILT
    said = errors or [line.strip() for line in lines if line.strip()]
    return f"pip: {said[-1] if said else 'failed and said nothing'}", None
