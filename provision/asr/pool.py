"""A pool of child processes that survives their deaths: batches, one retry, replacement, recycling."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import logging
import math
import signal
from collections.abc import Callable
from typing import Any

from .child import Child

log = logging.getLogger(__name__)

_START_ATTEMPTS = 3
_BACKOFF_SECONDS = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)


class WorkerLost(Exception):
    """The process that worked on a job died twice."""


@dataclasses.dataclass(eq=False)
class _Job:
    payload: dict[str, Any]
    weight: float
    answer: asyncio.Future[dict[str, Any]]
    deaths: int = 0


@dataclasses.dataclass(eq=False)
class _Worker:
    child: Child
    jobs: list[_Job] = dataclasses.field(default_factory=list)
    finished: int = 0
    ready: bool = False
    retiring: bool = False
    hung: bool = False
    told_reason: bool = False
    watchdog: asyncio.TimerHandle | None = None


@dataclasses.dataclass(frozen=True)
class PoolOptions:
    """How a pool works. ``first_line`` configures its processes; a batch is bounded in jobs and in total
    weight.
    """

    name: str
    count: int
    first_line: dict[str, Any]
    threads: int = 1
    batch_jobs: int = 1
    batch_weight: float = float("inf")
    hang_seconds: float = 300.0
    recycle_after: int = 0


class Pool:
    """Runs jobs in ``count`` processes. All methods belong to the event loop's thread."""

    def __init__(
        self,
        options: PoolOptions,
        *,
        on_fatal: Callable[[str], None],
        on_batch: Callable[[int, float], None] = lambda jobs, seconds: None,
    ) -> None:
        """``on_fatal`` is told why the pool cannot work at all, ``on_batch`` the jobs and seconds of each
        batch.
        """
        self.options = options
        self._on_fatal = on_fatal
        self._on_batch = on_batch
        self._waiting: collections.deque[_Job] = collections.deque()
        self._workers: list[_Worker] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = 0
        self._recycled: _Worker | None = None  # it has done its share, and works until its successor is ready
        self._stopping = False
        self._failed_starts = 0
        self.complete = False
        """Whether all processes have been ready at the same time since the start."""
        self.restarts: collections.Counter[str] = collections.Counter()
        """Replaced processes by cause: ``died``, ``hung`` or ``recycled``."""

    @property
    def waiting(self) -> int:
        """Jobs that no process works on yet."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Jobs that a process works on."""
        return sum(len(worker.jobs) for worker in self._workers)

    @property
    def ready(self) -> int:
        """Processes that are ready and take jobs."""
        return sum(worker.ready and not worker.retiring for worker in self._workers)

    def start(self) -> None:
        """Start all processes; returns at once."""
        self._balance()

    async def submit(self, payload: dict[str, Any], weight: float = 0.0) -> dict[str, Any]:
        """The result of one job. Cancelling forgets the job if it still waits. Raises WorkerLost."""
        job = _Job(payload, weight, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._dispatch()
        try:
            return await job.answer
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(job)

    async def stop(self) -> None:
        """End all processes: those without work at once, the others when their work is done."""
        self._stopping = True
        for worker in self._workers:
            self._retire(worker)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=5)
            for worker in self._workers:
                worker.child.kill()
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _balance(self) -> None:
        """Start as many processes as are missing; one more while a process is being replaced."""
        wanted = self.options.count + (self._recycled is not None)
        alive = sum(not worker.retiring for worker in self._workers)
        while not self._stopping and alive + self._starting < wanted:
            self._starting += 1
            task = asyncio.get_running_loop().create_task(self._live())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _live(self) -> None:
        """One process from its start to its end."""
        try:
            await asyncio.sleep(_BACKOFF_SECONDS[min(self._failed_starts, len(_BACKOFF_SECONDS) - 1)])
            worker = _Worker(await Child.launch(self.options.first_line, self.options.threads))
            self._workers.append(worker)
        except OSError as error:
            self._failed_to_start(
                f"a {self.options.name} process cannot be started: {error.strerror}", final=False
            )
            return
        finally:
            self._starting -= 1
            self._balance()
        try:
            if self._stopping:
                self._retire(worker)
            await self._handle_messages(worker)
        finally:
            self._workers.remove(worker)
            if worker is self._recycled:
                self._recycled = None
            await self._after_end(worker)
            self._balance()
            self._dispatch()

    async def _handle_messages(self, worker: _Worker) -> None:
        """Handle the messages of a process until it ends."""
        async for message in worker.child.messages():
            if "fatal" in message:
                log.error("%s process: %s", self.options.name, message["fatal"])
                worker.told_reason = True
                self._failed_to_start(message["fatal"], final=True)
                return
            if "ready" in message:
                self._became_ready(worker)
            else:
                self._finish(worker, message)
            self._dispatch()

    def _became_ready(self, worker: _Worker) -> None:
        worker.ready = True
        self._failed_starts = 0
        log.info("%s process %d is ready", self.options.name, worker.child.pid)
        if self._recycled is not None and self.ready > self.options.count:
            self.restarts["recycled"] += 1
            self._retire(self._recycled)
            self._recycled = None
        self.complete = self.complete or self.ready >= self.options.count

    async def _after_end(self, worker: _Worker) -> None:
        if worker.watchdog is not None:
            worker.watchdog.cancel()
        jobs, worker.jobs = worker.jobs, []
        for job in reversed(jobs):
            job.deaths += 1
            if job.answer.done():
                continue
            if job.deaths > 1:
                job.answer.set_exception(WorkerLost())
            else:
                self._waiting.appendleft(job)
        self._dispatch()
        code = await worker.child.end()
        if worker.retiring or worker.told_reason:
            return
        if worker.ready:
            log.warning("%s process %d died (exit status %d)", self.options.name, worker.child.pid, code)
            self.restarts["hung" if worker.hung else "died"] += 1
        elif not self._stopping:
            memory = ", perhaps out of memory" if code == -signal.SIGKILL else ""
            self._failed_to_start(
                f"the {self.options.name} process died while it loaded (exit status {code}{memory})",
                final=False,
            )

    def _failed_to_start(self, reason: str, *, final: bool) -> None:
        """``final``: another attempt would end the same way. Once the pool has worked it never gives up."""
        self._failed_starts += 1
        if not self.complete and (final or self._failed_starts >= _START_ATTEMPTS):
            self._on_fatal(reason)

    def _dispatch(self) -> None:
        """Give waiting jobs to idle processes, the same share to each."""
        while self._waiting:
            idle = [
                worker for worker in self._workers if worker.ready and not worker.retiring and not worker.jobs
            ]
            if not idle:
                return
            self._begin(idle[0], self._take(math.ceil(len(self._waiting) / len(idle))))

    def _take(self, share: int) -> list[_Job]:
        batch: list[_Job] = []
        weight = 0.0
        while self._waiting and len(batch) < min(share, self.options.batch_jobs):
            job = self._waiting[0]
            # a job under which a process has died is tried alone, so that it does not affect others
            if batch and (job.deaths or batch[0].deaths or weight + job.weight > self.options.batch_weight):
                break
            batch.append(self._waiting.popleft())
            weight += job.weight
        return batch

    def _begin(self, worker: _Worker, jobs: list[_Job]) -> None:
        worker.jobs = jobs
        worker.watchdog = asyncio.get_running_loop().call_later(
            self.options.hang_seconds, self._hangs, worker
        )
        worker.child.send({"jobs": [job.payload for job in jobs]})

    def _hangs(self, worker: _Worker) -> None:
        log.error(
            "%s process %d has worked for %g s without an answer; it is killed",
            self.options.name,
            worker.child.pid,
            self.options.hang_seconds,
        )
        worker.hung = True
        for job in worker.jobs:
            job.deaths += 1  # no retry, as it may hang again; every request in it has timed out by now
        worker.child.kill()

    def _finish(self, worker: _Worker, message: dict[str, Any]) -> None:
        if worker.watchdog is not None:
            worker.watchdog.cancel()
        jobs, worker.jobs = worker.jobs, []
        worker.finished += len(jobs)
        for job, result in zip(jobs, message["results"]):
            if not job.answer.done():
                job.answer.set_result(result)
        self._on_batch(len(jobs), message["seconds"])
        if worker.retiring:
            worker.child.close()
        elif 0 < self.options.recycle_after <= worker.finished and self._recycled is None:
            self._recycled = worker
            self._balance()

    def _retire(self, worker: _Worker) -> None:
        """Give it no further job; it ends when its current jobs are done."""
        worker.retiring = True
        if not worker.jobs:
            worker.child.close()
