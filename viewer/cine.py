"""The cine buffer: the last seconds, to be looked at again."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator

from trueflow.pipeline.frames import ColorFrame

__all__ = ["Cine"]

USUAL_INTERVAL_S = 0.04
LONGEST_INTERVAL_S = 1.0


class Cine:
    """Keeps the frames of the last seconds, as far as memory allows, and plays them.

    Parameters
    ----------
    seconds : float
        Of watching.
    most_bytes : int
    """

    def __init__(self, *, seconds: float = 10.0, most_bytes: int = 512 << 20) -> None:
        self._seconds, self._most_bytes = seconds, most_bytes
        self._frames: deque[tuple[ColorFrame, float, tuple[str, ...]]] = deque()
        self._n_bytes = 0
        self._due_s: float | None = None
        self.index = 0

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[ColorFrame]:
        return (frame for frame, _, _ in self._frames)

    @property
    def n_bytes(self) -> int:
        """Memory in use."""
        return self._n_bytes

    @property
    def frame(self) -> ColorFrame:
        """The one at the index."""
        return self._frames[self.index][0]

    @property
    def settings(self) -> tuple[str, ...]:
        """What it was made with, as `add` was told."""
        return self._frames[self.index][2]

    def add(self, frame: ColorFrame, now_s: float, settings: tuple[str, ...] = (), *, follow: bool = True) -> None:
        """Append a frame and move to it, or stay at the one we are at; the oldest ones make room."""
        kept = dataclasses.replace(frame, doppler=dataclasses.replace(frame.doppler, second=None), segmentation=None)
        self._frames.append((kept, now_s, settings))
        self._n_bytes += _size(kept)
        while len(self._frames) > 1 and (
            self._n_bytes > self._most_bytes or now_s - self._frames[0][1] > self._seconds
        ):
            self._n_bytes -= _size(self._frames.popleft()[0])
            self.index = max(self.index - 1, 0)
        if follow:
            self.index = len(self._frames) - 1

    def ends_with(self, index: int) -> bool:
        """Whether the newest frame is the source's one of this index."""
        return bool(self._frames) and self._frames[-1][0].stamp.index == index

    def go_to(self, index: int) -> None:
        """Move to a frame, or to the nearest end."""
        self.index = min(max(index, 0), max(len(self._frames) - 1, 0))
        self._due_s = None

    def advance(self, now_s: float, *, speed: float, loop: bool) -> bool:
        """Play: move on as far as time has come; False at an end where there is no loop."""
        if self._due_s is None:
            self._due_s = now_s + self._interval_s() / speed
        while now_s >= self._due_s and len(self._frames) > 1:
            if self.index == len(self._frames) - 1 and not loop:
                self._due_s = None
                return False
            self.index = (self.index + 1) % len(self._frames)
            self._due_s = max(self._due_s + self._interval_s() / speed, now_s - LONGEST_INTERVAL_S)
        return True

    def _interval_s(self) -> float:
        """From this frame to the next one, in real time."""
        if self.index + 1 >= len(self._frames):
            return USUAL_INTERVAL_S
        here, there = (self._frames[self.index + i][0].stamp.acquisition_time_s for i in (0, 1))
        return there - here if 0 < there - here <= LONGEST_INTERVAL_S else USUAL_INTERVAL_S


def _size(frame: ColorFrame) -> int:
    v, d = frame.velocity, frame.doppler
    arrays = (
        frame.bmode.envelope, d.r0, d.r1, v.velocity_m_s, v.wrapped_velocity_m_s, v.fold, v.confidence, v.mask,
    )  # fmt: skip
    return sum(array.nbytes for array in arrays)
