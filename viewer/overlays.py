"""What changes from frame to frame or with the mouse: status, seek bar, point probe, gates, traces, help."""

from __future__ import annotations

import math

import numpy as np

from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.picture.draw import CM_S, MM, sensible, signed, tick_steps, ticks
from trueflow.viewer.canvas import ACCENT, BLACK, DIM, FAINT, SMALL, TEXT, TITLE, WARN, WHITE, Canvas
from trueflow.viewer.controls import Box
from trueflow.viewer.keys import GROUPS, KEYS
from trueflow.viewer.layout import Layout, Panel, Rectangle
from trueflow.viewer.showing import Showing
from trueflow.viewer.traces import GATE_SIDE_M, Point, Trace

__all__ = ["draw_overlays", "seek_label_px"]

BAND = (26, 28, 36)
CHART_AIR = 1.08


def draw_overlays(canvas: Canvas, layout: Layout, showing: Showing, grid: ImageGrid) -> None:
    """Everything over and below the images."""
    for panel in layout.panels:
        if showing.controls.box_m is not None and showing.controls.color:
            _color_box(canvas, panel, showing.controls.box_m)
        for trace in showing.traces:
            _gate(canvas, panel, trace)
    _status(canvas, layout, showing)
    if layout.chart is not None:
        _chart(canvas, layout.chart, showing)
    if showing.cursor_px is not None:
        _probe(canvas, layout, showing, grid)
    if showing.message:
        _message(canvas, layout, showing.message)
    if showing.help:
        _help(canvas, layout)


def _color_box(canvas: Canvas, panel: Panel, box: Box) -> None:
    left, top, right, bottom = panel.image
    x0, y0 = panel.pixels(box[0], box[1])
    x1, y1 = panel.pixels(box[2], box[3])
    edges = max(x0, left), max(y0, top), min(x1, right), min(y1, bottom)
    if edges[0] < edges[2] and edges[1] < edges[3]:
        canvas.outline(round(edges[0]), round(edges[1]), round(edges[2]), round(edges[3]), DIM)


def _gate(canvas: Canvas, panel: Panel, trace: Trace) -> None:
    x, y = panel.pixels(trace.x_m, trace.z_m)
    half = max(3.0, GATE_SIDE_M / panel.pitch_m / 2)
    box = tuple(round(edge) for edge in (x - half, y - half, x + half, y + half))
    canvas.outline(box[0], box[1], box[2], box[3], BLACK, 3.0)
    canvas.outline(box[0], box[1], box[2], box[3], trace.ink, 2.0)


def _status(canvas: Canvas, layout: Layout, showing: Showing) -> None:
    em, y = layout.em, layout.status_y
    x = 0.6 * em
    flags = ((showing.stale, "NO SIGNAL", WARN), (showing.frozen, "FROZEN", ACCENT), (showing.recording, "REC", WARN))
    for flag, word, ink in flags:
        if flag:
            x += canvas.text(x, y, word, ink) + em
    canvas.text(x, y, showing.status, DIM)
    canvas.text(layout.right - 0.6 * em, y, showing.status_right, TEXT, anchor="ra")
    if showing.seek is None:
        return
    left, top, right, bottom = layout.seek
    right -= seek_label_px(canvas, showing)
    ink = ACCENT if showing.seek.cine else TEXT
    at = left + min(max(showing.seek.fraction, 0.0), 1.0) * (right - left)
    canvas.rectangle(left, top, right, bottom, FAINT)
    canvas.rectangle(left, top, at, bottom, ink, 0.6)
    canvas.rectangle(round(at) - 2, top - 3, round(at) + 2, bottom + 3, ink)
    canvas.text(layout.seek[2], (top + bottom) / 2, showing.seek.label, ink, size=SMALL, anchor="rm")


def seek_label_px(canvas: Canvas, showing: Showing) -> float:
    """Room that the label of the seek bar takes at its right end."""
    return 0.0 if showing.seek is None else canvas.width(showing.seek.label, SMALL) + canvas.em


def _probe(canvas: Canvas, layout: Layout, showing: Showing, grid: ImageGrid) -> None:
    """A box beside the cursor: what the maps say under it; a cross at the same place in every panel."""
    assert showing.cursor_px is not None
    under = layout.panel_at(*showing.cursor_px)
    point = Point.of(showing.frame, grid, *under[1]) if under else None
    if under is None or point is None:
        return
    for panel in layout.panels:
        column, row = (round(at) for at in panel.pixels(point.x_m, point.z_m))
        for ink, half in ((BLACK, 1), (WHITE, 0)):
            canvas.rectangle(column - 7, row - half, column + 8, row + half + 1, ink)
            canvas.rectangle(column - half, row - 7, column + half + 1, row + 8, ink)
    em, lines = canvas.em, _point_lines(point)
    width = max(canvas.width(f"{name}  {value}", SMALL) for name, value in lines) + 2.5 * em
    height = 1.25 * em * len(lines) + 0.7 * em
    left: float = showing.cursor_px[0] + em
    top: float = showing.cursor_px[1] + em
    if left + width > layout.right:
        left = showing.cursor_px[0] - em - width
    if top + height > layout.size[1]:
        top = showing.cursor_px[1] - em - height
    canvas.rectangle(left, top, left + width, top + height, BLACK, 0.8)
    canvas.outline(round(left), round(top), round(left + width), round(top + height), FAINT)
    for number, (name, value) in enumerate(lines):
        y = top + 0.5 * em + 1.25 * em * number
        canvas.text(left + 0.6 * em, y, name, DIM, size=SMALL)
        canvas.text(left + width - 0.6 * em, y, value, TEXT, size=SMALL, anchor="ra")


def _point_lines(point: Point) -> list[tuple[str, str]]:
    lines = [("lateral, depth", f"{point.x_m * MM:.1f}, {point.z_m * MM:.1f} mm")]
    if not point.flow:
        return [*lines, ("no flow seen", "")]
    return [
        *lines,
        ("velocity", f"{point.velocity_m_s * CM_S:+.1f} cm/s"),
        ("before dealiasing", f"{point.wrapped_m_s * CM_S:+.1f} cm/s"),
        ("fold", signed(point.fold)),
        ("confidence", f"{point.confidence * 100:.0f} %"),
        ("coherence", f"{point.coherence:.2f}"),
    ]


def _chart(canvas: Canvas, box: Rectangle, showing: Showing) -> None:
    """Velocity over time at the gates: dealiased in the gate's color, raw as dots; +-v_N as a band."""
    em, (left, top, right, bottom) = canvas.em, tuple(round(edge) for edge in box)
    nyquist = float(showing.frame.velocity.nyquist_velocity_m_s) * CM_S
    times = [t for trace in showing.traces for t in trace.time_s]
    speeds = [v * CM_S for trace in showing.traces for v in trace.dealiased_m_s if math.isfinite(v)]
    start, end = (min(times), max(times)) if times else (0.0, 1.0)
    end = max(end, start + 0.05)
    low, high = min([-nyquist, *speeds]) * CHART_AIR, max([nyquist, *speeds]) * CHART_AIR

    def place(time_s: float, speed: float) -> tuple[float, float]:
        return left + (time_s - start) / (end - start) * (right - left), top + (high - speed) / (high - low) * (
            bottom - top
        )

    canvas.rectangle(left, place(start, nyquist)[1], right, place(start, -nyquist)[1], BAND)
    canvas.outline(left, top, right, bottom, FAINT)
    for value, labelled in ticks(low, high, *tick_steps((high - low) / (bottom - top), 1.7 * em)):
        if labelled:
            y = round(place(start, value)[1])
            canvas.rectangle(left, y, right, y + 1, FAINT if value == 0 else (44, 44, 50))
            canvas.text(left - 0.5 * em, y, signed(value), TEXT, size=SMALL, anchor="rm")
    for value, labelled in ticks(0.0, end - start, *tick_steps((end - start) / (right - left), 3.5 * em)):
        x = round(place(start + value, 0)[0])
        canvas.rectangle(x, bottom + 1, x + 1, bottom + (6 if labelled else 3), DIM)
        if labelled:
            canvas.text(x, bottom + 0.6 * em, f"{value:g}", TEXT, size=SMALL, anchor="ma")
    canvas.text(right + 0.5 * em, bottom + 0.6 * em, "s", DIM, size=SMALL)
    canvas.text(left, top - 0.5 * em, "cm/s", DIM, size=SMALL, anchor="ls")
    for sign in (1, -1):
        text = signed(sensible(sign * nyquist)) + " Nyq"
        canvas.text(right + 0.5 * em, place(start, sign * nyquist)[1], text, ACCENT, size=SMALL, anchor="lm")
    for trace in showing.traces:
        _curve(canvas, trace, place)
    now = showing.frame.stamp.acquisition_time_s
    if start <= now <= end:
        x = round(place(now, 0)[0])
        canvas.rectangle(x, top, x + 1, bottom, TEXT, 0.7)


def _curve(canvas: Canvas, trace: Trace, place: object) -> None:
    at = place
    assert callable(at)
    points = [at(t, v * CM_S) for t, v in zip(trace.time_s, trace.dealiased_m_s, strict=True)]
    raw = [at(t, v * CM_S) for t, v in zip(trace.time_s, trace.raw_m_s, strict=True) if math.isfinite(v)]
    if raw:
        centers = np.array(raw, np.float32)
        canvas.rectangles(np.concatenate([centers - 1, centers + 1], axis=1), trace.ink, 0.6)
    canvas.line(points, trace.ink, 2.0)


def _message(canvas: Canvas, layout: Layout, message: str) -> None:
    em = canvas.em
    most = layout.right - 4 * em
    while canvas.width(message) > most and len(message) > 8:
        message = message[:-5].rstrip(". ") + "..."
    half, y = canvas.width(message) / 2 + em, layout.size[1] - 5.2 * em
    middle = layout.right / 2
    canvas.rectangle(middle - half, y, middle + half, y + 1.9 * em, (40, 40, 48), 0.92)
    canvas.text(middle, y + 0.95 * em, message, TEXT, anchor="mm")


def _help(canvas: Canvas, layout: Layout) -> None:
    """All keys, in columns, over a dimmed picture."""
    em, (width, height) = canvas.em, layout.size
    canvas.rectangle(0, 0, width, height, BLACK, 0.86)
    canvas.text(1.5 * em, 1.2 * em, "Keys", TEXT, size=TITLE)
    canvas.text(width - 1.5 * em, 1.2 * em, "any key: back", DIM, anchor="ra")
    rows = sum(2 + sum(1 for key in KEYS if key.group == group) for group in GROUPS)
    per_column = max(1, int((height - 4.5 * em) / (1.45 * em)))
    n_columns = max(1, math.ceil(rows / per_column))
    x, y, step = 1.5 * em, 3.6 * em, (width - 3 * em) / max(n_columns, 2)
    for group in GROUPS:
        entries = [key for key in KEYS if key.group == group]
        if y + 1.45 * em * (len(entries) + 1) > height - em and y > 4 * em:
            x, y = x + step, 3.6 * em
        canvas.text(x, y, group, ACCENT)
        beside = max(canvas.width(entry.keys, SMALL) for entry in entries) + 1.2 * em
        for entry in entries:
            y += 1.45 * em
            canvas.text(x, y, entry.keys, TEXT, size=SMALL)
            canvas.text(x + max(beside, 7 * em), y, entry.what, DIM, size=SMALL)
        y += 2.3 * em
