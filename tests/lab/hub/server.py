"""The hub: a folder, a server thread, the faults in force and the record of requests."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from ..errors import LabError
from .protocol import Handler
from .records import Fault, Request
from .repository import Repository


class Hub:
    """Serves a folder of models while it is entered.

    Args:
        root: the folder; models may be added while the hub runs.
        address: where to listen: 127.0.0.1, or the gateway of a lab's network.
        port: 0 picks a free one.
        token: when given, requests without it get 401.
        faults: see Fault; more can be added to a running hub with ``break_``.
        echo: print each request as a line.

    Raises:
        LabError: the port is taken, or the address is not of this machine.
    """

    def __init__(
        self,
        root: Path,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        faults: tuple[Fault, ...] = (),
        echo: bool = False,
    ) -> None:
        self.root = root
        self.token = token
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self._echo = echo
        self._lock = threading.Lock()
        self._mended = threading.Condition(self._lock)
        self._faults = list(faults)
        self._hits: Counter[int] = Counter()
        self._repositories: dict[str, Repository] = {}
        handler = type("BoundHandler", (Handler,), {"hub": self})
        try:
            self._server = ThreadingHTTPServer((address, port), handler)
        except OSError as error:
            raise LabError(f"the hub cannot listen on {address}:{port}: {error.strerror}") from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def url(self) -> str:
        """The endpoint to give to a client."""
        address, port = self._server.server_address[:2]
        return f"http://{address!s}:{port}"

    def __enter__(self) -> Hub:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the port and end the requests that hang."""
        self.stopping.set()
        with self._mended:
            self._mended.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def wait(self) -> None:
        """Serve until the process is interrupted."""
        self._thread.join()

    # -- faults

    def break_(self, fault: Fault) -> None:
        """Let something go wrong from now on."""
        with self._lock:
            self._faults.append(fault)

    def mend(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._faults.clear()
            self._hits.clear()
            self._mended.notify_all()

    def hold(self, path: str) -> None:
        """Wait until no fault holds this path any more."""
        with self._mended:
            self._mended.wait_for(
                lambda: (
                    self.stopping.is_set()
                    or not any(fault.hold is not None and fault.match in path for fault in self._faults)
                )
            )

    def fault(self, path: str, *, body: bool) -> Fault:
        """What hits this request: faults of a file's ``body``, or those of the whole request, merged."""
        merged = Fault(path)
        with self._lock:
            for number, fault in enumerate(self._faults):
                of_body = fault.corrupt or {fault.cut, fault.slow, fault.hold} != {None}
                spent = fault.times is not None and self._hits[number] >= fault.times
                if fault.match in path and of_body is body and not spent:
                    self._hits[number] += 1
                    merged = replace(
                        merged,
                        cut=merged.cut if fault.cut is None else fault.cut,
                        corrupt=merged.corrupt or fault.corrupt,
                        status=fault.status or merged.status,
                        slow=fault.slow or merged.slow,
                        hold=merged.hold if fault.hold is None else fault.hold,
                        hang=merged.hang or fault.hang,
                    )
        return merged

    # -- content and record

    def repository(self, name: str) -> Repository | None:
        """The model ``owner/name``, or None when there is none."""
        folder = self.root / name
        if ".." in folder.parts or not folder.is_dir():
            return None
        with self._lock:
            return self._repositories.setdefault(name, Repository(folder))

    def record(self, request: Request) -> None:
        """Note a request, before its answer leaves: who has the answer finds the request in the record."""
        with self._lock:
            self.requests.append(request)

    def finished(self, request: Request) -> None:
        """Print the request, if this is wanted."""
        if self._echo:
            extent = f" [{request.range}]" if request.range else ""
            who = "auth" if request.authorized else "anon"
            cut = " CUT" if request.cut else ""
            answer = f"{request.status} {request.sent}{cut}"
            print(f"{request.method} {request.path}{extent} {who} -> {answer}", flush=True)

    def downloads(self, match: str = "") -> list[Request]:
        """The requests so far that got bytes of a file whose path holds ``match``."""
        with self._lock:
            return [
                request
                for request in self.requests
                if request.method == "GET"
                and request.status in (200, 206)
                and match in request.path
                and ("/resolve/" in request.path or "FilePath=" in request.path)
            ]
