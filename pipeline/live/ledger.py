"""What a run has done: counts, where the time went, how old pictures were. Memory does not grow with its length."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from trueflow.pipeline.live.source import SourceCounters

__all__ = ["Ledger", "Report", "Series", "Spread"]

KEPT = 1 << 15  # durations: 18 minutes at 30 frames/s


@dataclass(frozen=True, slots=True)
class Spread:
    """Quantiles of durations (s); of the last 32,768, but for `max_s` and `n`.

    p95 and p99 are durations that occurred, the next larger ones.
    """

    n: int
    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float


class Series:
    """The last durations of one kind, in memory that is there from the beginning."""

    def __init__(self, kept: int = KEPT) -> None:
        self._values = np.full(kept, np.nan, np.float32)  # touched: zeros would be mapped as they are filled
        self.n, self._max_s = 0, 0.0

    def add(self, duration_s: float) -> None:
        """One more."""
        self._values[self.n % self._values.size] = duration_s
        self.n += 1
        self._max_s = max(self._max_s, duration_s)

    def spread(self) -> Spread | None:
        """Quantiles; None where there is nothing."""
        if self.n == 0:
            return None
        values = self._values[: self.n]
        p50, p95, p99 = (float(np.quantile(values, q, method="higher")) for q in (0.5, 0.95, 0.99))
        return Spread(self.n, p50, p95, p99, self._max_s)


@dataclass(frozen=True, slots=True)
class Report:
    """The state of a run.

    Parameters
    ----------
    source : SourceCounters
        What arrived.
    n_frames : int
        Pictures made.
    n_dropped : int
        Packets that arrived, and that newer ones replaced before the chain got to them.
    n_failed : int
        Packets that a stage failed on, and that were skipped.
    n_missed : int
        Pictures that came after the deadline.
    n_silences : int
        How often nothing came for longer than it may.
    n_waiting, deepest : int
        Packets in the ring: now, and at most.
    silent_s : float
        Since the last packet came.
    busy_s : float
        Since the chain began with the packet it works on; 0 where it waits.
    latency : Spread, optional
        From a packet's first byte to its picture handed to the display.
    waited : Spread, optional
        In the ring.
    stages : mapping
        Spreads by name of the stage; "sinks" is what was done with the picture.
    """

    source: SourceCounters
    n_frames: int = 0
    n_dropped: int = 0
    n_failed: int = 0
    n_missed: int = 0
    n_silences: int = 0
    n_waiting: int = 0
    deepest: int = 0
    silent_s: float = 0.0
    busy_s: float = 0.0
    latency: Spread | None = None
    waited: Spread | None = None
    stages: Mapping[str, Spread] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


class Ledger:
    """Gathers what a report says of the chain's side."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.n_frames = self.n_failed = self.n_missed = self.n_silences = 0
        self._latency, self._waited = Series(), Series()
        self._stages: dict[str, Series] = {}

    def frame(
        self, stages_s: Mapping[str, float], *, latency_s: float | None, waited_s: float | None, missed: bool
    ) -> None:
        """One picture was handed on; latency and waiting are known where the packet says when it came."""
        with self._lock:
            self.n_frames += 1
            self.n_missed += missed
            if latency_s is not None and waited_s is not None:
                self._latency.add(latency_s)
                self._waited.add(waited_s)
            for name, duration_s in stages_s.items():
                if name not in self._stages:
                    self._stages[name] = Series()
                self._stages[name].add(duration_s)

    def spreads(self) -> tuple[Spread | None, Spread | None, dict[str, Spread]]:
        """Latency, waiting, stages."""
        with self._lock:
            stages = {name: spread for name, series in self._stages.items() if (spread := series.spread())}
            return self._latency.spread(), self._waited.spread(), stages
