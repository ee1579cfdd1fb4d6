"""Downloading a model's files by the hub's own library, inside an environment that has it."""

from __future__ import annotations

import json
import os
import re
import threading
from typing import Any, Sequence

from provision.host.failure import Failure
from provision.host.files.paths import mount_point
from provision.host.machine import TAIL, Machine
from provision.host.models.hubs.listing import Hub, Listing, RemoteFile
from provision.host.python import inside
from provision.wire.specs.model import ModelSpec

INTERVAL = 0.5
"""Seconds between two reports of how much has arrived."""

MANY = 200
"""Up to so many files are asked for by name; for more, the declared patterns are passed on."""

_WEEK = 7 * 24 * 3600


class Interrupted(Failure):
    """The connection broke: what has arrived is kept, and trying again goes on from there."""

    progress = False
    """Something had arrived before it broke."""


class Download(threading.Thread):
    """Tells twice a second how many of `total` bytes have arrived in a directory, while the library works.

    Files there that are in `kept` are not part of the download, which is called `text`.
    """

    def __init__(
        self, machine: Machine, id: str, directory: str, kept: set[str], total: int, text: str
    ) -> None:
        super().__init__(daemon=True)
        self.machine = machine
        self.id = id
        self.directory = directory
        self.kept = kept
        self.total = total
        self.text = text
        self._most = 0
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Report until stopped."""
        while not self._stop_asked.wait(INTERVAL):
            self._tell()

    def stop(self) -> None:
        """End, with one last report."""
        self._stop_asked.set()
        self.join()
        self._tell()

    def _tell(self) -> None:
        # A file that is moved to its place during the look may be in neither of the two directories.
        self._most = max(self._most, min(arrived(self.directory, self.kept), self.total))
        self.machine.progress(self.id, self._most, self.total, text=self.text)


def arrived(directory: str, kept: set[str]) -> int:
    """Return the bytes on disk below a directory, also of incomplete files, without those in `kept`."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.relpath(path, directory) in kept:
                continue
            try:
                status = os.lstat(path)
            except OSError:
                continue
            total += min(status.st_size, status.st_blocks * 512)  # an empty file may have its full length
    return total


def fetch(
    machine: Machine, id: str, hub: Hub, listing: Listing, spec: ModelSpec, wanted: Sequence[RemoteFile]
) -> None:
    """Have the hub's library download the wanted files into the model's directory.

    Raises:
        Interrupted: the connection broke.
        Failure: anything else that went wrong, explained.
    """
    python = spec.python or "python3"
    by_name = len(wanted) <= MANY
    request = {
        "source": spec.source,
        "repo": spec.repo,
        "revision": listing.revision,
        "path": spec.path,
        "allow": [_exactly(file.path) for file in wanted] if by_name else spec.allow,
        "ignore": None if by_name else spec.ignore,
        "workers": spec.workers,
        "endpoint": listing.endpoint,
    }
    env = {
        hub.variable: listing.endpoint,
        "MODELSCOPE_DOWNLOAD_TOTAL_TIMEOUT": str(_WEEK),  # the library gives up a file after an hour
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "0",
        "TQDM_DISABLE": "1",
    }
    if spec.token:
        env["PROVISION_HUB_TOKEN"] = env["MODELSCOPE_API_TOKEN"] = env["HF_TOKEN"] = spec.token
    lines: list[str] = []
    report: list[dict[str, Any]] = []

    def on_line(line: str) -> None:
        if line.startswith(inside.MARK):
            report.append(json.loads(line[len(inside.MARK) :]))
        elif line.strip() and not re.search(r"\d+%\|", line):
            lines.append(line)
            machine.output(id, line)

    ended = machine.run(
        inside.command_of(python, "download"),
        input=json.dumps(request),
        env=env,
        on_line=on_line,
        check=False,
    )
    if ended.code == 0:
        return
    if not report:
        why = f"signal {-ended.code}" if ended.code < 0 else f"exit {ended.code}"
        last = f": {lines[-1].strip()}" if lines else ""
        raise Failure(
            "download-failed", f"{python} could not download {spec.repo} ({why}){last}", log=lines[-TAIL:]
        )
    raise explain(report[0], hub, listing.endpoint, spec, lines)


def _exactly(path: str) -> str:
    """Return a pattern for one file; ModelScope's library splits patterns at commas."""
    return re.sub(r"([*?\[])", r"[\1]", path).replace(",", "?")


_BROKEN = re.compile(
    r"Network|Connect|Timeout|TimedOut|ChunkedEncoding|Protocol|IncompleteRead|IncompleteBody|ReadError|SSLError"
)
_DAMAGED = re.compile(r"Integrity|SizeMismatch|CorruptedCache")


def explain(
    report: dict[str, Any], hub: Hub, endpoint: str, spec: ModelSpec, lines: Sequence[str]
) -> Failure:
    """Return the failure that the exceptions of a download mean.

    Args:
        report: what `inside.report` printed.
        hub: the kind of hub.
        endpoint: its address.
        spec: the model's specification.
        lines: what the library printed.
    """
    chain = report["chain"]
    log = [*lines[-TAIL:], *(f"{error['class']}: {error['text']}" for error in chain)]
    environment = os.path.dirname(os.path.dirname(spec.python or "")) or "python3"
    repo, library, text = spec.repo, hub.library, chain[0]["text"]

    def failure(code: str, message: str, hint: str | None = None) -> Failure:
        return Failure(code, message, hint=hint, log=log)

    if report["kind"] == "import" and f"'{library}'" in text:
        message = f"{environment} has no {library}, which downloads this model"
        return Failure("no-download-library", message, f"add {library} to the packages of that environment")
    if report["kind"] == "import":
        return failure("no-download-library", f"{library} in {environment} cannot be imported: {text}")
    if report["kind"] == "old":
        message = f"the {library} in {environment} is too old: {text}"
        return Failure("no-download-library", message, f"let that environment have a newer {library}")
    if any(error["errno"] == 28 or "No space left" in error["text"] for error in chain):
        return failure("disk-full", f"the disk is full: {mount_point(spec.path)}", "free some space there")
    refused = next((error["status"] for error in chain if error["status"] in (401, 403)), None)
    if refused:
        return hub.refused(endpoint, repo, refused, spec.token, log)
    damaged = next((error["text"] for error in chain if _DAMAGED.search(error["class"])), None)
    if damaged is not None:
        return failure(
            "damaged-download",
            f"a file of {repo} arrived damaged, again and again: {damaged}",
            f"the hub or a proxy on the way gives a wrong file; try another endpoint ({hub.variable})",
        )
    if any(_BROKEN.search(error["class"]) for error in chain):
        return Interrupted(
            "hub-unreachable",
            f"the connection to {hub.title} at {endpoint} broke while {repo} was downloaded",
            hint="apply again: it goes on where it stopped",
            log=log,
        )
    return failure("download-failed", f"{library} could not download {repo}: {chain[0]['class']}: {text}")
