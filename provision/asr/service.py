"""From an uploaded file to its transcript: decoding, the bounded queue, recognition, and the time limit."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .declared import Settings
from .errors import Refusal
from .metrics import Metrics
from .pool import Pool, PoolOptions, WorkerLost
from .settings import usable_cpus
from .spool import Spool
from .transcript import Segment, Transcript

_BATCH_REQUESTS = 8
_MAX_RETRY_AFTER = 60


class Service:
    """The two pools of processes, and how requests pass through them."""

    def __init__(self, settings: Settings, spool: Spool, on_fatal: Callable[[str], None]) -> None:
        """``on_fatal`` is told in one sentence why the service can never become ready."""
        self.settings = settings
        self.spool = spool
        self.metrics = Metrics()
        self.draining = False
        self._decoding = 0
        options = {
            name: str(value.resolve()) if isinstance(value, Path) else value
            for name, value in vars(settings).items()
            if name != "api_keys"
        }
        self.decoders = Pool(
            PoolOptions(
                name="decoding",
                count=max(1, min(4, usable_cpus() // 2)),
                first_line={**options, "role": "decode"},
                hang_seconds=settings.timeout,
                recycle_after=settings.recycle_after * 4,
            ),
            on_fatal=on_fatal,
        )
        self.recognizers = Pool(
            PoolOptions(
                name="recognition",
                count=settings.workers,
                first_line={**options, "role": "recognize"},
                threads=max(1, usable_cpus() // settings.workers),
                batch_jobs=_BATCH_REQUESTS,
                batch_weight=settings.batch_size_s,
                hang_seconds=settings.timeout,
                recycle_after=settings.recycle_after,
            ),
            on_fatal=on_fatal,
            on_batch=self.metrics.count_batch,
        )

    def start(self) -> None:
        """Start the processes; returns at once, see ``state``."""
        self.decoders.start()
        self.recognizers.start()

    async def stop(self) -> None:
        """End the processes and remove all files."""
        await asyncio.gather(self.recognizers.stop(), self.decoders.stop())
        self.spool.close()

    @property
    def state(self) -> str:
        """``ok`` when requests are served; ``starting`` until every process has passed its warm-up once,
        ``unavailable`` while all processes of a kind are being replaced, ``stopping`` after SIGTERM.
        """
        if self.draining:
            return "stopping"
        if not (self.recognizers.complete and self.decoders.complete):
            return "starting"
        return "ok" if self.recognizers.ready and self.decoders.ready else "unavailable"

    @property
    def waiting(self) -> int:
        """Accepted requests whose recognition has not begun."""
        return self._decoding + self.recognizers.waiting

    def check_room(self) -> None:
        """Raise Refusal (503) when a request would not be accepted now."""
        if not (self.recognizers.complete and self.decoders.complete):
            raise Refusal(503, "the service is starting", retry_after=5)
        if self.waiting >= self.settings.queue:
            raise Refusal(
                503, "too many requests are waiting; try again later", retry_after=self._retry_after()
            )

    async def transcribe(self, upload: Path, decoded: Path, language: str, split: bool) -> Transcript:
        """Recognize the file ``upload``, with ``decoded`` as scratch space. Raises Refusal."""
        try:
            return await asyncio.wait_for(
                self._transcribe(upload, decoded, language, split), self.settings.timeout
            )
        except asyncio.TimeoutError:
            reason = f"no result within {self.settings.timeout:g} s; try again later or send shorter audio"
            raise Refusal(504, reason) from None
        except WorkerLost:
            reason = "the process that worked on this request died twice; the audio may be at fault"
            raise Refusal(503, reason, retry_after=5) from None

    async def _transcribe(self, upload: Path, decoded: Path, language: str, split: bool) -> Transcript:
        self.check_room()  # there is no await between this check and a change of what it counts
        self._decoding += 1
        try:
            sound = await self.decoders.submit({"source": str(upload), "target": str(decoded)})
        finally:
            self._decoding -= 1
        if "status" in sound:
            raise Refusal(sound["status"], sound["reason"], param="file")
        if "error" in sound:
            raise Refusal(500, "decoding failed")
        seconds: float = sound["seconds"]
        job = {"path": str(decoded), "language": language, "split": split}
        answer: dict[str, Any] = await self.recognizers.submit(job, weight=seconds)
        if "error" in answer:
            raise Refusal(500, "recognition failed")
        self.metrics.audio_seconds += seconds
        segments = [Segment(**segment) for segment in answer["segments"]]
        return Transcript(seconds, segments, answer["emoji"], answer.get("plain", False))

    def _retry_after(self) -> int:
        seconds = self.waiting * self.metrics.seconds_per_request / self.settings.workers
        return max(1, min(_MAX_RETRY_AFTER, math.ceil(seconds)))

    def render_metrics(self) -> str:
        """The Prometheus page."""
        restarts = {pool.options.name: pool.restarts for pool in (self.recognizers, self.decoders)}
        gauges = {
            "ready": ("1 when requests are served.", float(self.state == "ok")),
            "queue_depth": ("Accepted requests whose recognition has not begun.", float(self.waiting)),
            "queue_limit": ("Requests that may wait.", float(self.settings.queue)),
            "running": ("Requests in recognition.", float(self.recognizers.running)),
            "workers_ready": ("Recognition processes that are ready.", float(self.recognizers.ready)),
        }
        return self.metrics.render(gauges, restarts)
