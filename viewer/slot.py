"""The latest frame wins: drawing never waits for processing, nor processing for drawing."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from trueflow.pipeline.frames import ColorFrame

__all__ = ["Delivery", "LatestSlot"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A frame, when its packet was in memory (time.monotonic, s), and the same frame in a GPU's memory."""

    frame: ColorFrame
    began_s: float
    on_device: ColorFrame | None = None


class LatestSlot:
    """Room for one frame; a newer one replaces what nobody has taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: Delivery | None = None
        self._n_dropped = 0

    def put(self, frame: ColorFrame, began_s: float, on_device: ColorFrame | None = None) -> None:
        """Leave a frame."""
        with self._lock:
            self._n_dropped += self._held is not None
            self._held = Delivery(frame, began_s, on_device)

    def take(self) -> Delivery | None:
        """The newest frame, once."""
        with self._lock:
            held, self._held = self._held, None
            return held

    @property
    def n_dropped(self) -> int:
        """Frames that nobody has seen."""
        return self._n_dropped
