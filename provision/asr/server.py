"""Runs the application under uvicorn: listening, limits of connections, draining at SIGTERM, exit status."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn

from .app import create_app
from .connections import sweep_idle, unread
from .declared import Settings
from .listener import BACKLOG, has_waiting, listen, turn_away
from .modelfiles import check_models
from .service import Service
from .settings import SettingsError
from .spool import Spool

log = logging.getLogger(__name__)

_RESERVED_DESCRIPTORS = 256  # files, sockets to the processes, and some reserve
_HANDSHAKE_SECONDS = 0.3  # a connection that has begun is complete within this, or its client is far away
_ACCEPT_SECONDS = 0.05  # from accept() until uvicorn lists the connection
_FIRST_REQUEST_SECONDS = 2.0  # how long the drain waits for connections that have not asked anything yet
_ROUND_SECONDS = 0.02
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _QuietProbes(logging.Filter):
    """Keeps successful probes of a monitor out of the access log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line of uvicorn's access log (client, method, path, version, status) is kept."""
        arguments = record.args
        return not (
            isinstance(arguments, tuple) and arguments[2:5:2] in (("/health", 200), ("/metrics", 200))
        )


class _Server(uvicorn.Server):
    """uvicorn's server, with a drain that loses nothing and ends with status 0."""

    def __init__(self, config: uvicorn.Config, service: Service, listener: socket.socket) -> None:
        super().__init__(config)
        self._service = service
        self._listener = listener
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and to watch for connections that never ask anything."""
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        settings = self._service.settings
        self._sweeper = self._loop.create_task(
            sweep_idle(self.server_state.connections, settings.body_timeout, settings.keep_alive)
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal. A second ^C drops everything; a second SIGTERM changes nothing.

        Supervisors and people send SIGTERM more than once, and that must not lose accepted requests; whoever
        cannot wait sends SIGKILL. Unlike uvicorn's own this does not raise the signal again afterwards: a
        drained service ends with status 0.
        """
        if self._loop is None:
            self.should_exit = True
            return
        if self._service.draining:
            if sig == signal.SIGINT:
                self.should_exit = self.force_exit = True
            else:
                self._loop.call_soon_threadsafe(
                    log.info, "still stopping: accepted requests are finished first"
                )
            return
        self._service.draining = True
        self._loop.call_soon_threadsafe(self._begin_drain, self._loop)

    def _begin_drain(self, loop: asyncio.AbstractEventLoop) -> None:
        self._drainer = loop.create_task(self._drain())

    async def _drain(self) -> None:
        """Take every connection that has begun and read its request, then let uvicorn finish.

        Requests in kept-alive connections are read and answered meanwhile, with Connection: close; uvicorn's
        shutdown closes the listener and the connections that are idle, and waits for the answers.
        """
        log.info("stopping: accepted requests are finished first")
        turn_away(self._listener)
        await asyncio.sleep(_HANDSHAKE_SECONDS)
        await _until(lambda: not has_waiting(self._listener))
        await asyncio.sleep(_ACCEPT_SECONDS)
        await _until(lambda: not unread(self.server_state.connections))
        self.should_exit = True


async def _until(condition: Callable[[], bool]) -> None:
    """Wait for the condition, for a limited time.

    Rounds are counted instead of seconds, so that a machine that is paused for a while loses no connection.
    """
    for _ in range(round(_FIRST_REQUEST_SECONDS / _ROUND_SECONDS)):
        if condition():
            return
        await asyncio.sleep(_ROUND_SECONDS)


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the exit status is 0 then, and 1 when the service cannot work.

    Raises SettingsError when that shows before the start.
    """
    logging.basicConfig(level=settings.log_level.upper(), format=_LOG_FORMAT, stream=sys.stderr)
    logging.getLogger("uvicorn.access").addFilter(_QuietProbes())
    check_models(settings)
    connections = _raise_descriptor_limit() - _RESERVED_DESCRIPTORS
    listener = listen(settings.host, settings.port)
    try:
        spool = Spool()
    except OSError as error:
        raise SettingsError(f"no place for uploads: {error}") from None
    failures: list[str] = []

    def give_up(reason: str) -> None:
        failures.append(reason)
        server.should_exit = True

    service = Service(settings, spool, give_up)
    config = uvicorn.Config(
        create_app(service),
        ssl_certfile=settings.ssl_certfile,
        ssl_keyfile=settings.ssl_keyfile,
        log_config=None,
        log_level=settings.log_level,
        ws="none",
        lifespan="on",
        backlog=BACKLOG,
        limit_concurrency=max(16, connections),
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=int(settings.timeout) + 1,
        server_header=False,
    )
    server = _Server(config, service, listener)
    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.ssl_certfile else "http"
    log.info(
        "listening on %s://%s:%d, loading %d recognition processes", scheme, host, port, settings.workers
    )
    if not settings.api_keys and not host.startswith("127."):
        log.warning("no ASR_API_KEY is set: everyone who reaches %s:%d may use this service", host, port)
    with contextlib.closing(listener):
        server.run(sockets=[listener])
    spool.close()
    if failures:
        print(f"error: {failures[0]}", file=sys.stderr)
        return 1
    return 0


def _raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one, as each connection takes one; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard > 2**20:
        hard = 2**20
    if hard > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return max(soft, hard)
