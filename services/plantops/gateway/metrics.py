"""What the gateway counts, for Prometheus. Labels are bounded: route templates, known methods, fixed words.

With several workers each counts into files of its own in a folder that all of them share, and whichever is
asked adds them up. The files are named by the worker's number, not by its process: one that is started again
goes on counting where it stopped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"))
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class Metrics:
    """One worker's. `shared` is the folder of all workers, None where there is only this one."""

    def __init__(self, shared: Path | None = None, worker: int = 1) -> None:
        self._shared = shared
        self._active = 0
        if shared is not None:
            _share(shared, worker)
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "plantops_http_requests",
            "Requests answered, by route template.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "plantops_http_request_seconds",
            "From the head of a request to the end of its answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._in_flight = Gauge(
            "plantops_http_requests_in_flight",
            "Requests under way, streams among them.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._in_flight.set(0)
        self._refused = Counter(
            "plantops_http_refused",
            "Requests that were not let in: credentials that prove nothing, too many requests or streams.",
            ("reason",),
            registry=self.registry,
        )

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """A request is under way while the block runs."""
        self._in_flight.inc()
        self._active += 1
        try:
            yield
        finally:
            self._active -= 1
            self._in_flight.dec()

    def done(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered. `route` is a template."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def refused(self, reason: str) -> None:
        """One was not let in; `reason` is one of a few fixed words."""
        self._refused.labels(reason).inc()

    @property
    def active(self) -> int:
        """Requests under way in this worker."""
        return self._active

    def text(self) -> bytes:
        """The exposition, of all workers."""
        if self._shared is None:
            return generate_latest(self.registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody, str(self._shared))  # type: ignore[no-untyped-call] # it has no types
        return generate_latest(everybody)


def _share(folder: Path, worker: int) -> None:
    """Count into files. The library takes the folder from the environment only."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call] # as above
