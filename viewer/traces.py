"""Velocity over time at chosen points."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.grid import ImageGrid

__all__ = ["TRACE_INKS", "Point", "Trace", "nearest_pixel"]

TRACE_INKS = ((120, 220, 130), (255, 214, 64), (110, 190, 255), (255, 140, 220))
GATE_SIDE_M = 1.0e-3
LEAST_COVER = 0.5  # of the gate's pixels must show flow
MOST_POINTS = 4096


def nearest_pixel(grid: ImageGrid, x_m: float, z_m: float) -> tuple[int, int] | None:
    """Row and column of the pixel at a place; None outside the grid."""
    if grid.kind == "polar":
        along = float(np.hypot(x_m, z_m - grid.apex_z_m)), float(np.arctan2(x_m, z_m - grid.apex_z_m))
    else:
        along = z_m, x_m
    found = []
    for axis, position in zip((grid.axis_0, grid.axis_1), along, strict=True):
        edge = 0.5 * (axis[-1] - axis[0]) / max(axis.size - 1, 1)
        if not axis[0] - edge <= position <= axis[-1] + edge:
            return None
        found.append(int(np.abs(axis - position).argmin()))
    return found[0], found[1]


@dataclass(frozen=True, slots=True)
class Point:
    """What the maps say at one pixel.

    Parameters
    ----------
    x_m, z_m : float
    velocity_m_s, wrapped_m_s : float
    fold : int
    confidence, coherence : float
    flow : bool
    """

    x_m: float
    z_m: float
    velocity_m_s: float
    wrapped_m_s: float
    fold: int
    confidence: float
    coherence: float
    flow: bool

    @classmethod
    def of(cls, frame: ColorFrame, grid: ImageGrid, x_m: float, z_m: float) -> Point | None:
        """The pixel at a place; None outside the grid."""
        at = nearest_pixel(grid, x_m, z_m)
        if at is None:
            return None
        v, r0 = frame.velocity, float(frame.doppler.r0[at])
        coherence = min(abs(complex(frame.doppler.r1[at])) / r0, 1.0) if r0 > 0 else 0.0
        return cls(
            x_m, z_m, float(v.velocity_m_s[at]), float(v.wrapped_velocity_m_s[at]), int(v.fold[at]),
            float(v.confidence[at]), coherence, bool(v.mask[at]),
        )  # fmt: skip


@dataclass(slots=True)
class Trace:
    """The median velocity of a small gate, frame by frame; nan where too few of its pixels show flow.

    Parameters
    ----------
    x_m, z_m : float
    number : int
        Its color.
    """

    x_m: float
    z_m: float
    number: int
    rows: slice
    columns: slice
    time_s: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_POINTS))
    dealiased_m_s: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_POINTS))
    raw_m_s: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_POINTS))

    @classmethod
    def at(cls, grid: ImageGrid, x_m: float, z_m: float, number: int, frames: Iterable[ColorFrame]) -> Trace | None:
        """A trace with what frames so far say; None outside the grid."""
        at = nearest_pixel(grid, x_m, z_m)
        if at is None:
            return None
        half = []
        for axis in (0, 1):
            step_m = np.hypot(np.diff(grid.x_m, axis=axis), np.diff(grid.z_m, axis=axis))
            half.append(max(1, round(GATE_SIDE_M / 2 / float(np.median(step_m)))))
        rows, columns = (slice(max(i - h, 0), i + h + 1) for i, h in zip(at, half, strict=True))
        trace = cls(x_m, z_m, number, rows, columns)
        for frame in frames:
            trace.add(frame)
        return trace

    @property
    def ink(self) -> tuple[int, int, int]:
        """Its color."""
        return TRACE_INKS[self.number % len(TRACE_INKS)]

    def add(self, frame: ColorFrame) -> None:
        """Append a frame; the same one made again replaces its first version, going back in time begins anew."""
        time_s = frame.stamp.acquisition_time_s
        if self.time_s and time_s == self.time_s[-1]:
            for values in (self.time_s, self.dealiased_m_s, self.raw_m_s):
                values.pop()
        elif self.time_s and time_s < self.time_s[-1]:
            self.clear()
        box, velocity = (self.rows, self.columns), frame.velocity
        mask = velocity.mask[box]
        seen = mask.mean() >= LEAST_COVER
        self.time_s.append(time_s)
        self.dealiased_m_s.append(float(np.median(velocity.velocity_m_s[box][mask])) if seen else float("nan"))
        self.raw_m_s.append(float(np.median(velocity.wrapped_velocity_m_s[box][mask])) if seen else float("nan"))

    def clear(self) -> None:
        """Forget everything."""
        for values in (self.time_s, self.dealiased_m_s, self.raw_m_s):
            values.clear()
