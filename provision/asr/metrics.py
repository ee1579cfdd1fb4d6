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
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        index = next((i for i, bound in enumerate(self._bounds) if value <= bound), len(self._bounds))
        self._counts[index] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """Number of values."""
        return sum(self._counts)

    def lines(self, name: str) -> Iterable[str]:
        """The samples in text format."""
        total = 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts):
            total += count
            yield f'{name}_bucket{{le="{"+Inf" if bound == float("inf") else format(bound, "g")}"}} {total}'
        yield f"{name}_sum {self.sum:.6f}"
        yield f"{name}_count {total}"


class Metrics:
    """What happened since the start."""

    def __init__(self) -> None:
        self.requests: collections.Counter[tuple[str, int]] = collections.Counter()
        """Answers by path and status."""
        self.request_seconds = Histogram(_SECONDS_BOUNDS)
        """From the first byte to the answer, of requests with a transcript."""
        self.batch_size = Histogram(_BATCH_BOUNDS)
        """Requests recognised together."""
        self.audio_seconds = 0.0
        """Seconds of audio recognised."""
        self.inference_seconds = 0.0
        """Seconds that recognition processes spent on it."""

    @property
    def seconds_per_request(self) -> float:
        """Mean time that a recognition process spends on a request; 1 while nothing is known."""
        return self.inference_seconds / self.batch_size.sum if self.batch_size.sum else 1.0

    def render(
        self, gauges: Mapping[str, tuple[str, float]], restarts: Mapping[str, Mapping[str, int]]
    ) -> str:
        """The page. ``gauges``: values by name, with help text; ``restarts``: counts by role and cause."""
        out: list[str] = []
        requests = self.requests.items()

        def family(name: str, kind: str, text: str, lines: Iterable[str]) -> None:
            out.extend([f"# HELP {name} {text}", f"# TYPE {name} {kind}", *lines])

        family(
            "asr_requests_total", "counter", "Answers by path and status.",
            (f'asr_requests_total{{path="{p}",status="{s}"}} {n}' for (p, s), n in sorted(requests)),
        )  # fmt: skip
        name = "asr_request_seconds"
        family(name, "histogram", "Seconds from request to transcript.", self.request_seconds.lines(name))
        name = "asr_batch_size"
        family(name, "histogram", "Requests recognised together.", self.batch_size.lines(name))
        for name, text, value in (
            ("asr_audio_seconds_total", "Seconds of audio recognised.", self.audio_seconds),
            (
                "asr_inference_seconds_total",
                "Seconds that processes spent on recognition.",
                self.inference_seconds,
            ),
        ):
            family(name, "counter", text, [f"{name} {value:.6f}"])
        factor = self.inference_seconds / self.audio_seconds if self.audio_seconds else 0.0
        family("asr_real_time_factor", "gauge", "Seconds of recognition per second of audio since the start.",
               [f"asr_real_time_factor {factor:.6f}"])  # fmt: skip
        family(
            "asr_worker_restarts_total",
            "counter",
            "Processes replaced, by their role and the cause.",
            (
                f'asr_worker_restarts_total{{role="{role}",cause="{cause}"}} {counts.get(cause, 0)}'
                for role, counts in restarts.items()
                for cause in ("died", "hung", "recycled")
            ),
        )
        for name, (text, value) in gauges.items():
            family(name, "gauge", text, [f"{name} {value:g}"])
        return "\n".join(out) + "\n"
