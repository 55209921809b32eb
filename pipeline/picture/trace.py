"""Velocity over time at a small gate: raw, dealiased and true, in cm/s."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.picture.draw import ACCENT, CM_S, DIM, TEXT, sensible, signed, tick_steps, ticks
from trueflow.pipeline.sources.base import Truth

__all__ = ["GATE_SIDE_M", "Gate", "Trace", "TraceChart", "choose_gate"]

GATE_SIDE_M = 1.5e-3
LEAST_COVER = 0.5  # of the gate's pixels must show flow for its velocity to be drawn
SMOOTH = 3  # times finer is the chart drawn, then averaged: Pillow's lines are jagged

RAW_INK, DEALIASED_INK, TRUTH_INK = (255, 105, 97), (120, 220, 130), (105, 110, 125)
BAND, FRAME, CURSOR = (26, 28, 36), (70, 70, 78), (235, 235, 235)


@dataclass(frozen=True, slots=True)
class Gate:
    """A small block of pixels.

    Parameters
    ----------
    rows, columns : slice
    x_m, z_m : float
        Its middle.
    """

    rows: slice
    columns: slice
    x_m: float
    z_m: float


def choose_gate(frames: Sequence[ColorFrame], truths: Sequence[Truth], grid: ImageGrid) -> Gate:
    """Where the frames show most aliased flow: the sum over frames of what exceeds v_N; of all flow if nothing does."""
    half = [max(1, round(GATE_SIDE_M / step / 2)) for step in _pitch_m(grid)]
    size = [2 * n + 1 for n in half]
    seen_m_s = np.array(
        [
            np.abs(truth.velocity_m_s) * (frame.velocity.mask & truth.mask)
            for frame, truth in zip(frames, truths, strict=True)
        ]
    )
    excess_m_s = np.maximum(seen_m_s - frames[0].velocity.nyquist_velocity_m_s, 0).sum(axis=0)
    amount = ndimage.uniform_filter(excess_m_s if excess_m_s.any() else seen_m_s.sum(axis=0), size, mode="constant")
    within = np.zeros(grid.shape, np.bool_)
    within[size[0] : -size[0], size[1] : -size[1]] = True  # a gate at the edge looks cut off
    amount = np.where(within, amount, -1.0) if within.any() else amount
    row, column = (int(place) for place in np.unravel_index(np.argmax(amount), grid.shape))
    rows = slice(max(row - half[0], 0), row + half[0] + 1)
    columns = slice(max(column - half[1], 0), column + half[1] + 1)
    return Gate(rows, columns, float(grid.x_m[row, column]), float(grid.z_m[row, column]))


def _pitch_m(grid: ImageGrid) -> tuple[float, float]:
    """Typical distance between neighbors along both axes."""
    steps = [np.hypot(np.diff(grid.x_m, axis=axis), np.diff(grid.z_m, axis=axis)) for axis in (0, 1)]
    return float(np.median(steps[0])), float(np.median(steps[1]))


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """The gate's velocity, frame by frame, all (n_frames,); nan where too few of its pixels show flow.

    Parameters
    ----------
    time_s, raw_m_s, dealiased_m_s, truth_m_s : float64
    duration_s : float
        Length of the time axis.
    nyquist_m_s : float
    """

    time_s: NDArray[np.float64]
    raw_m_s: NDArray[np.float64]
    dealiased_m_s: NDArray[np.float64]
    truth_m_s: NDArray[np.float64]
    duration_s: float
    nyquist_m_s: float

    @classmethod
    def at(cls, gate: Gate, frames: Sequence[ColorFrame], truths: Sequence[Truth], *, duration_s: float) -> Trace:
        """Medians over the gate's flow pixels; of truth, over all of its pixels."""
        velocities = [frame.velocity for frame in frames]
        box = gate.rows, gate.columns
        return cls(
            np.array([frame.stamp.acquisition_time_s for frame in frames]),
            np.array([_median(v.wrapped_velocity_m_s[box], v.mask[box]) for v in velocities]),
            np.array([_median(v.velocity_m_s[box], v.mask[box]) for v in velocities]),
            np.array([np.median(truth.velocity_m_s[box]) for truth in truths], np.float64),
            duration_s,
            velocities[0].nyquist_velocity_m_s,
        )

    @property
    def range_m_s(self) -> tuple[float, float]:
        """Everything in the chart, with some air."""
        edge = 1.25 * self.nyquist_m_s
        values = np.concatenate([self.raw_m_s, self.dealiased_m_s, self.truth_m_s, [-edge, edge]])
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        air = 0.06 * (high - low)
        return low - air, high + air


def _median(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    return float(np.median(values[mask])) if mask.mean() >= LEAST_COVER else float("nan")


class TraceChart:
    """Draws a trace into a box of a picture; only the cursor changes from frame to frame.

    Parameters
    ----------
    trace : Trace
    canvas : Image
        Gets what surrounds the plot: axes, labels.
    box : (int, int, int, int)
        Left, top, right, bottom of the plot in the picture; labels go left of and below it.
    font : FreeTypeFont
    """

    def __init__(
        self, trace: Trace, canvas: Image.Image, box: tuple[int, int, int, int], font: ImageFont.FreeTypeFont
    ) -> None:
        self._trace = trace
        self._box = box
        self._low, self._high = (edge * CM_S for edge in trace.range_m_s)
        self._size = (box[2] - box[0]) * SMOOTH, (box[3] - box[1]) * SMOOTH
        self._plot = self._draw_plot(self._draw_axes(canvas, font))

    def __call__(self, canvas: Image.Image, index: int) -> None:
        """Paste the plot with the cursor at a frame."""
        plot, trace = self._plot.copy(), self._trace
        pen = ImageDraw.Draw(plot)
        x = self._x(trace.time_s[index])
        pen.line([(x, 0), (x, self._size[1])], CURSOR, SMOOTH)
        for values, ink in ((trace.raw_m_s, RAW_INK), (trace.dealiased_m_s, DEALIASED_INK)):
            if np.isfinite(values[index]):
                pen.circle((x, self._y(values[index] * CM_S)), 5.5 * SMOOTH, ink, CURSOR, round(1.5 * SMOOTH))
        width, height = self._box[2] - self._box[0], self._box[3] - self._box[1]
        canvas.paste(plot.resize((width, height), Image.Resampling.BOX), self._box[:2])

    def _x(self, time_s: float) -> float:
        return float(time_s / self._trace.duration_s * self._size[0])

    def _y(self, cm_s: float) -> float:
        return float((self._high - cm_s) / (self._high - self._low) * self._size[1])

    def _draw_axes(self, canvas: Image.Image, font: ImageFont.FreeTypeFont) -> list[float]:
        """Labels around the plot; returns the labelled velocities (cm/s) for the grid."""
        pen, (left, top, right, bottom), em = ImageDraw.Draw(canvas), self._box, round(font.size)
        pen.rectangle([left - 1, top - 1, right, bottom], outline=FRAME)
        steps = tick_steps((self._high - self._low) / (bottom - top), 1.7 * em)
        labelled = [value for value, major in ticks(self._low, self._high, *steps) if major]
        for value in labelled:
            y = top + self._y(value) / SMOOTH
            pen.text((left - 0.6 * em, y), signed(value), TEXT, font, anchor="rm")
        pen.text((left, top - 0.5 * em), "cm/s", DIM, font, anchor="rd")
        duration_s = self._trace.duration_s
        for value, major in ticks(0.0, duration_s, *tick_steps(duration_s / (right - left), 3.5 * em)):
            x = left + self._x(value) / SMOOTH
            pen.line([(x, bottom + 1), (x, bottom + (6 if major else 3))], DIM)
            if major:
                pen.text((x, bottom + 0.6 * em), f"{value:.1f}", TEXT, font, anchor="ma")
        pen.text((right, bottom + 1.9 * em), "time (s)", DIM, font, anchor="ra")
        for sign in (1, -1):
            nyquist = sign * self._trace.nyquist_m_s * CM_S
            y = top + self._y(nyquist) / SMOOTH
            pen.text((right + 0.5 * em, y), signed(sensible(nyquist)) + " Nyq", ACCENT, font, anchor="lm")
        return labelled

    def _draw_plot(self, grid_cm_s: list[float]) -> Image.Image:
        plot = Image.new("RGB", self._size)
        pen, trace = ImageDraw.Draw(plot), self._trace
        nyquist = trace.nyquist_m_s * CM_S
        pen.rectangle([0, self._y(nyquist), self._size[0], self._y(-nyquist)], BAND)
        for value in grid_cm_s:
            ink = FRAME if value == 0 else (44, 44, 50)
            pen.line([(0, self._y(value)), (self._size[0], self._y(value))], ink, SMOOTH)
        for value in (nyquist, -nyquist):
            pen.line([(0, self._y(value)), (self._size[0], self._y(value))], ACCENT, SMOOTH)
        self._curve(pen, trace.truth_m_s, TRUTH_INK, 9)
        self._curve(pen, trace.raw_m_s, RAW_INK, 2, dots=3)
        self._curve(pen, trace.dealiased_m_s, DEALIASED_INK, 3, dots=3)
        return plot

    def _curve(
        self,
        pen: ImageDraw.ImageDraw,
        values_m_s: NDArray[np.float64],
        ink: tuple[int, int, int],
        width: int,
        *,
        dots: int = 0,
    ) -> None:
        """A line through the frames, broken where there is no value."""
        points = [
            (self._x(t), self._y(v * CM_S)) if np.isfinite(v) else None
            for t, v in zip(self._trace.time_s, values_m_s, strict=True)
        ]
        for one, other in itertools.pairwise(points):
            if one and other:
                pen.line([one, other], ink, width * SMOOTH)
        for point in filter(None, points):
            pen.circle(point, max(dots, width / 2) * SMOOTH, ink)
