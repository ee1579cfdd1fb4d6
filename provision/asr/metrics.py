"""Counters of one run in the Prometheus text format."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping

_BATCH_BOUNDS = (1, 2, 4, 8, 16, 32)
_SECONDS_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Histogram:
    """Counts of values up to each bound, their number and their sum."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = (*bounds, float("inf"))
        self._counts = [0] * len(self._bounds)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[next(i for i, bound in enumerate(self._bounds) if value <= bound)] += 1
        self.sum += value

    def samples(self) -> Iterable[str]:
        """The samples in text format, each without the name of the metric that they begin with."""
        total = 0
        for bound, count in zip(self._bounds, self._counts):
            total += count
            yield f'_bucket{{le="{"+Inf" if bound == float("inf") else format(bound, "g")}"}} {total}'
        yield f"_sum {self.sum:.6f}"
        yield f"_count {total}"


class Metrics:
    """What happened since the start."""

    def __init__(self) -> None:
        self.requests: collections.Counter[tuple[str, int]] = collections.Counter()
        """Answers by path and status."""
        self.request_seconds = Histogram(_SECONDS_BOUNDS)
        """From the first byte to the answer, of requests with a transcript."""
        self.batch_size = Histogram(_BATCH_BOUNDS)
        """Requests recognized together."""
        self.audio_seconds = 0.0
        """Seconds of audio recognized."""
        self.inference_seconds = 0.0
        """Seconds that recognition processes spent on it."""

    def count_batch(self, requests: int, seconds: float) -> None:
        """Count requests that were recognized together in so many seconds."""
        self.batch_size.observe(requests)
        self.inference_seconds += seconds

    @property
    def seconds_per_request(self) -> float:
        """Mean time that a recognition process spends on a request; 1 while nothing is known."""
        return self.inference_seconds / self.batch_size.sum if self.batch_size.sum else 1.0

    def render(
        self, gauges: Mapping[str, tuple[str, float]], restarts: Mapping[str, Mapping[str, int]]
    ) -> str:
        """The page. ``gauges``: help text and value by name; ``restarts``: counts by role and cause."""
        factor = self.inference_seconds / self.audio_seconds if self.audio_seconds else 0.0
        families: list[tuple[str, str, str, Iterable[str]]] = [
            ("requests_total", "counter", "Answers by path and status.",
             (f'{{path="{p}",status="{s}"}} {n}' for (p, s), n in sorted(self.requests.items()))),
            ("request_seconds", "histogram", "Seconds from request to transcript.",
             self.request_seconds.samples()),
            ("batch_size", "histogram", "Requests recognized together.", self.batch_size.samples()),
            ("audio_seconds_total", "counter", "Seconds of audio recognized.",
             [f" {self.audio_seconds:.6f}"]),
            ("inference_seconds_total", "counter", "Seconds that processes spent on recognition.",
             [f" {self.inference_seconds:.6f}"]),
            ("real_time_factor", "gauge", "Seconds of recognition per second of audio since the start.",
             [f" {factor:.6f}"]),
            ("worker_restarts_total", "counter", "Processes replaced, by their role and the cause.",
             (f'{{role="{role}",cause="{cause}"}} {counts.get(cause, 0)}'
              for role, counts in restarts.items() for cause in ("died", "hung", "recycled"))),
            *((name, "gauge", text, [f" {value:g}"]) for name, (text, value) in gauges.items()),
        ]  # fmt: skip
        return "".join(
            f"# HELP asr_{name} {text}\n# TYPE asr_{name} {kind}\n"
            + "".join(f"asr_{name}{sample}\n" for sample in samples)
            for name, kind, text, samples in families
        )
