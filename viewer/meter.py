"""Frame rate and latency over the last two seconds."""

from __future__ import annotations

from collections import deque

__all__ = ["Meter"]

WINDOW_S = 2.0


class Meter:
    """Counts distinct frames that were shown, and how old they were."""

    def __init__(self) -> None:
        self._shown: deque[tuple[float, float]] = deque()

    def count(self, now_s: float, latency_s: float) -> None:
        """A frame that had not been shown before is on the screen."""
        self._shown.append((now_s, latency_s))
        self._forget(now_s)

    def rate_hz(self, now_s: float) -> float:
        """Distinct frames per second."""
        self._forget(now_s)
        if len(self._shown) < 2:
            return float(len(self._shown))
        return (len(self._shown) - 1) / max(self._shown[-1][0] - self._shown[0][0], 1e-6)

    @property
    def n_counted(self) -> int:
        """Frames within the window."""
        return len(self._shown)

    def latency_s(self) -> float | None:
        """Median, from a packet in memory to its image on the screen."""
        ages = sorted(latency for _, latency in self._shown)
        return ages[len(ages) // 2] if ages else None

    def _forget(self, now_s: float) -> None:
        while self._shown and now_s - self._shown[0][0] > WINDOW_S:
            self._shown.popleft()
