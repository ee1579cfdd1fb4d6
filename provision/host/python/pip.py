"""Running pip in an environment, and saying in one sentence why it failed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from typing import Iterable, Iterator, NamedTuple, Sequence

from provision.host.failure import Failure
from provision.host.machine import TAIL, Machine
from provision.host.python import inside
from provision.wire.specs.environment import EnvironmentSpec

TEMPORARY = ".provision-tmp"
"""Where packages are unpacked, inside the environment: `/tmp` is often too small for what is downloaded."""

_NOISE = re.compile(
    r"^(Requirement already satisfied: |WARNING: Location .* is ignored|\[notice\]|\s*$|\s*[━╸╺]+ )"
)
_OUR_FILE = re.compile(r" ?\(from -r \S+ \(line \d+\)\)|->-r \S+ \(line \d+\)")


class Options(NamedTuple):
    """Where packages come from, in addition to the host's own pip configuration."""

    index_url: str | None = None
    extra_index_urls: Sequence[str] = ()
    find_links: Sequence[str] = ()
    constraints: Sequence[str] = ()
    """Files or URLs of constraints, or constraints themselves ("numpy<2")."""


def is_location(constraint: str) -> bool:
    """Tell a constraints file (a path or URL) from a constraint ("numpy<2")."""
    return constraint.startswith(("/", "file:", "http://", "https://"))


class Unchanged(Failure):
    """pip gave up before it had changed anything."""


@contextmanager
def scratch() -> Iterator[str]:
    """Give a directory that only its owner can read: an index URL may hold a password."""
    directory = tempfile.mkdtemp(prefix="provision-pip-")
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def unpacking(environment: str) -> Iterator[str]:
    """Give an empty directory on the environment's disk, which goes again."""
    above = os.path.join(environment, TEMPORARY)
    os.makedirs(above, mode=0o700, exist_ok=True)
    directory = tempfile.mkdtemp(dir=above)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if not os.listdir(above):
            os.rmdir(above)


def write_listing(directory: str, lines: Iterable[str]) -> str:
    """Write a requirements file into a directory and return its path."""
    path = os.path.join(directory, "requirements.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return path


def options_as_lines(
    directory: str,
    extra_index_urls: Sequence[str] = (),
    find_links: Sequence[str] = (),
    constraints: Sequence[str] = (),
) -> list[str]:
    """Return options as lines of a requirements file: the command line is seen by every user.

    Args:
        directory: where constraints that are written out are put into a file.
        extra_index_urls: as in `Options`, like the others.
        find_links: more places.
        constraints: files and constraints.
    """
    lines = ["--extra-index-url " + url for url in extra_index_urls]
    lines += ["--find-links " + place for place in find_links]
    lines += ["-c " + place for place in constraints if is_location(place)]
    inline = [text for text in constraints if not is_location(text)]
    if inline:
        path = os.path.join(directory, "constraints.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(inline) + "\n")
        lines.append("-c " + path)
    return lines


class Pip:
    """The pip of one environment.

    Args:
        machine: what to run it on.
        id: the resource whose progress and output this is.
        environment: the environment's directory.
        options: where packages come from.
        raw_progress: this pip (24.1 and later) can print the bytes it has downloaded.
    """

    def __init__(
        self, machine: Machine, id: str, environment: str, options: Options, raw_progress: bool
    ) -> None:
        self.machine = machine
        self.id = id
        self.environment = environment
        self.options = options
        self.raw_progress = raw_progress

    def install(self, requirements: Iterable[str], *, dependencies: bool = True) -> None:
        """Install requirements as pip writes them ("vllm==0.33.0", "-e /src/x").

        Args:
            requirements: lines of a requirements file.
            dependencies: install what they need, too.

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
        """Take packages out."""
        self._run(["uninstall", "--yes", *names])

    def _install(self, requirements: Iterable[str], extra: Sequence[str]) -> None:
        with scratch() as directory:
            options = self.options
            lines = options_as_lines(
                directory, options.extra_index_urls, options.find_links, options.constraints
            )
            listing = write_listing(directory, [*lines, *requirements])
            progress = ["--progress-bar", "raw"] if self.raw_progress else []
            self._run(["install", "--no-user", "-r", listing, *progress, *extra])

    def _run(self, arguments: Sequence[str]) -> None:
        env = {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        if self.options.index_url:
            # A requirements file's --index-url would drop the extra indexes of the host's configuration.
            env["PIP_INDEX_URL"] = self.options.index_url
        python = os.path.join(self.environment, "bin", "python")
        lines: list[str] = []
        watch = _Progress(self.machine, self.id)

        def on_line(line: str) -> None:
            if watch.took(line) or _NOISE.match(line):
                return
            line = _OUR_FILE.sub("", line)
            lines.append(line)
            self.machine.output(self.id, line)

        with unpacking(self.environment) as temporary:
            env["TMPDIR"] = temporary
            ended = self.machine.run(
                [python, "-I", inside.__file__, "pip", *arguments], env=env, on_line=on_line, check=False
            )
        if ended.code != 0:
            failure = explain(lines, ended.code, self.environment)
            begun = any(line.startswith(("Installing collected", "Found existing")) for line in lines)
            if ended.code > 0 and not begun:
                raise Unchanged(failure.code, failure.message, failure.hint, failure.log)
            raise failure


class _Progress:
    """Turns pip's raw progress into progress events, named by the file that is being downloaded."""

    def __init__(self, machine: Machine, id: str) -> None:
        self.machine = machine
        self.id = id
        self.file = ""

    def took(self, line: str) -> bool:
        found = re.match(r"\s*Downloading (\S+)", line)
        if found:
            self.file = found.group(1).rpartition("/")[2]
        found = re.match(r"Progress (\d+) of (\d+)", line)
        if found:
            done, total = int(found.group(1)), int(found.group(2))
            self.machine.progress(self.id, done, total or None, text=self.file)
            return True
        return False


_CAUSES: Sequence[tuple[str, str, str]] = (
    (
        r"No space left on device|Errno 28",
        "the disk is full",
        "free some space below {environment}, or set the environment's path to another disk",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError|certificate verify failed",
        "the package index's TLS certificate was not accepted",
        "add the authority that signed it: `pip config --global set global.cert /path/ca.pem`",
    ),
    (
        r"Temporary failure in name resolution|Name or service not known|nodename nor servname|"
        r"NameResolutionError|getaddrinfo failed",
        "the package index's name cannot be resolved",
        "check the host's network and DNS, or set index_url to an index it can reach",
    ),
    (
        r"NewConnectionError|ConnectTimeoutError|Connection refused|Network is unreachable|"
        r"ProxyError|Max retries exceeded|ReadTimeoutError|Connection reset by peer",
        "the package index cannot be reached",
        "check the host's network and proxy, or set index_url to an index it can reach",
    ),
    (
        r"401 Client Error|403 Client Error|401 Error|403 Error",
        "the package index refused access",
        "check the user name and password in the index's URL",
    ),
    (
        r"Read-only file system",
        "the environment's file system is read-only",
        "set the environment's path to one that can be written",
    ),
)


def known_causes(text: str, environment: str) -> Iterator[tuple[str, str]]:
    """Yield what may have gone wrong, by an installer's output, and what to change."""
    for pattern, message, hint in _CAUSES:
        if re.search(pattern, text):
            yield message, hint.format(environment=environment)


def explain(lines: Sequence[str], code: int, environment: str) -> Failure:
    """Return the failure that pip's output tells of.

    Args:
        lines: what pip printed.
        code: its exit code; negative for a signal.
        environment: the environment's directory, for hints.
    """
    tail = list(lines[-TAIL:])
    if code < 0:
        hint = "it may have been out of memory: see `dmesg`" if code == -9 else None
        return Failure("pip-failed", f"pip was ended by signal {-code}", hint=hint, log=tail)
    errors = [line.strip() for line in lines if re.match(r"\s*(ERROR|error):", line)]
    text = "\n".join(lines)
    reached = re.search(r"host='?([^',)]+)'?, port=(\d+)", text)
    answered = re.search(r"\(from versions: (?!none)|Cannot install", text)
    for message, hint in known_causes(text, environment):
        if answered and "index" in message:
            continue  # a retry that helped, or one index of several: not what it failed for
        where = f" ({reached.group(1)})" if reached and "index" in message else ""
        return Failure("pip-failed", message + where, hint=hint, log=tail)
    message, hint = _reason(errors, lines)
    return Failure("pip-failed", "pip: " + message, hint=hint, log=tail)


def _reason(errors: Sequence[str], lines: Sequence[str]) -> tuple[str, str | None]:
    """Pick the line that says what was wrong: pip's last error is often only the end of a longer one."""
    texts = [re.sub(r"^(ERROR|error):\s*", "", line) for line in errors]
    for text in texts:
        if text.startswith("No matching distribution found"):
            offered = re.search(r"\(from versions: (.*)\)", "\n".join(texts))
            versions = [] if offered is None or offered.group(1) == "none" else offered.group(1).split(", ")
            if versions:
                return text, "the index offers " + ", ".join(versions[-8:])
            return (
                text,
                "check the name, and the indexes it is looked for in",
            )
    for text in texts:
        if text.startswith("Cannot install"):
            causes = [
                line.strip()
                for line in lines
                if re.match(r"\s+\S.* depends on | {4}The user requested", line)
            ]
            return text.rstrip("."), "; ".join(causes[:4]) or None
        if "Could not open requirements file" in text or "Invalid requirement" in text:
            return text, None
    for text in texts:
        if text.startswith(("Failed building wheel", "Failed to build", "Could not build wheels")):
            return (
                text,
                "see the log, or pin a version that has a wheel for this Python",
            )
    for text in texts:
        if "legacy-install-failure" in text or "subprocess-exited-with-error" in text:
            return (
                "a package could not be built",
                "see the log, or pin a version that has a wheel for this Python",
            )
    if texts:
        return texts[-1], None
    return next((line.strip() for line in reversed(lines) if line.strip()), "failed and said nothing"), None


def options(spec: EnvironmentSpec) -> Options:
    """Return where the packages of an environment come from."""
    return Options(spec.index_url, spec.extra_index_urls, spec.find_links, spec.constraints)
