"""What stands around the images and changes only with the controls: scales, bars, headings, facts."""

from __future__ import annotations

import numpy as np

from trueflow.pipeline.picture.draw import CAUTION, CM_S, MM, sensible, signed, tick_steps, ticks
from trueflow.pipeline.picture.panels import FOLD_INKS, PLAIN_INK
from trueflow.viewer.canvas import ACCENT, DIM, SMALL, TEXT, TITLE, Canvas
from trueflow.viewer.colors import color_table
from trueflow.viewer.controls import DisplayControls, Fit
from trueflow.viewer.layout import Layout, Panel
from trueflow.viewer.renderer import color_scale

__all__ = ["draw_furniture"]

DOUBTFUL = "hatched: confidence below 50 %"


def draw_furniture(
    canvas: Canvas,
    layout: Layout,
    controls: DisplayControls,
    fit: Fit,
    *,
    nyquist_m_s: float,
    facts: str,
    dealiaser: str,
) -> None:
    """Everything around the images.

    Parameters
    ----------
    canvas : Canvas
    layout : Layout
    controls : DisplayControls
    fit : Fit
    nyquist_m_s : float
    facts : str
        Probe, frequency, PRF, v_N.
    dealiaser : str
        Its name, for the heading of what it made.
    """
    em = layout.em
    canvas.text(0.6 * em, layout.header_y, facts, TEXT)
    canvas.text(layout.right - 0.6 * em, layout.header_y, CAUTION, ACCENT, anchor="ra")
    for panel in layout.panels:
        _headings(canvas, panel, controls, dealiaser)
        _scales(canvas, panel)
        if not controls.color:
            continue
        if panel.mode == "folds":
            _fold_legend(canvas, panel)
        else:
            _color_bar(canvas, panel, controls, fit, nyquist_m_s)


def _headings(canvas: Canvas, panel: Panel, controls: DisplayControls, dealiaser: str) -> None:
    em, (left, top, _, bottom) = canvas.em, panel.image
    line = panel.line
    if panel.mode == "dealiased":
        line = "not dealiased (dealiaser: none)" if dealiaser == "none" else f"dealiaser: {dealiaser}"
        line += f";  {DOUBTFUL}" if controls.confidence else ""
    heading = panel.heading if controls.color else "B-mode"
    x = left + 1.6 * em
    x += canvas.text(x, top - 0.75 * em, heading, TEXT, size=TITLE, anchor="ls") + em
    if controls.color and x + canvas.width(line, SMALL) < panel.bar[0] + 4.6 * em:
        canvas.text(x, top - 0.75 * em, line, DIM, size=SMALL, anchor="ls")
    below = panel.bar[3] + 2.2 * em if panel.mode != "folds" else panel.bar[1] + 10.5 * em
    if below + em < bottom + 2.4 * em:
        gain = f"gain {signed(sensible(controls.gain_db))}"
        for row, text in enumerate((f"B {controls.dynamic_range_db:g} dB", gain)):
            canvas.text(panel.bar[0], below + 1.2 * em * row, text, DIM, size=SMALL)


def _scales(canvas: Canvas, panel: Panel) -> None:
    """Depth at the left edge, lateral position at the lower edge, mm; a mark at element 0's side."""
    em, (left, top, _, bottom), place = canvas.em, panel.image, panel.place
    major, minor = tick_steps(panel.pitch_m * MM, 3.5 * em)
    edge = 3.0
    marks: list[tuple[float, float, float, float]] = []
    for mm, labelled in ticks(place.z_m[0] * MM, place.z_m[1] * MM, major, minor):
        y = round(top + (mm / MM - place.z_m[0]) / panel.pitch_m)
        marks.append((left - edge - (0.6 if labelled else 0.3) * em, y, left - edge, y + 1))
        if labelled:
            canvas.text(left - 1.1 * em, y, f"{mm:g}", TEXT, size=SMALL, anchor="rm")
    for mm, labelled in ticks(place.x_m[0] * MM, place.x_m[1] * MM, major, minor):
        x = round(left + (mm / MM - place.x_m[0]) / panel.pitch_m)
        marks.append((x, bottom + edge, x + 1, bottom + edge + (0.6 if labelled else 0.3) * em))
        if labelled:
            canvas.text(x, bottom + 1.1 * em, signed(mm, plus=""), TEXT, size=SMALL, anchor="ma")
    canvas.rectangles(np.round(marks), DIM)
    canvas.text(left - 1.1 * em, bottom + 1.1 * em, "mm", DIM, size=SMALL, anchor="ra")
    canvas.dot(left + 0.7 * em, top - 1.05 * em, 0.3 * em, ACCENT)


def _color_bar(canvas: Canvas, panel: Panel, controls: DisplayControls, fit: Fit, nyquist_m_s: float) -> None:
    """Velocity in cm/s; where the bar goes beyond v_N, v_N is marked."""
    em, (left, top, right, bottom) = canvas.em, panel.bar
    scale = color_scale(panel.mode, controls, fit, nyquist_m_s)
    rows = np.arange(top, bottom, dtype=np.float32)
    speeds = np.linspace(scale.high_m_s, scale.low_m_s, len(rows), dtype=np.float32)
    table = color_table(controls.color_map, invert=controls.invert)
    colors = table[:, scale.entries(speeds)]
    columns = np.linspace(left, right, len(table) + 1, dtype=np.float32)
    for index, strip in enumerate(colors):  # one row of the table: one strip; with variance growing to the right
        boxes = np.stack(
            [np.full_like(rows, columns[index]), rows, np.full_like(rows, columns[index + 1]), rows + 1], axis=1
        )
        canvas.rectangles(boxes, strip)
    canvas.outline(left, top, right, bottom, DIM)
    canvas.text(left, top - 0.5 * em, "cm/s", TEXT, size=SMALL, anchor="ls")
    canvas.text(left, bottom + 0.7 * em, "variance" if len(table) > 1 else "+ towards", DIM, size=SMALL)
    extended = scale.scale_m_s > 1.001 * nyquist_m_s
    taken: list[float] = []
    marks = [(v, TEXT, "") for v in (scale.high_m_s, scale.low_m_s, 0.0)]
    if extended:
        marks += [(v, ACCENT, " Nyq") for v in (nyquist_m_s, -nyquist_m_s) if scale.low_m_s < v < scale.high_m_s]
    for speed, ink, suffix in marks:
        y = round(top + (scale.high_m_s - speed) / (2 * scale.scale_m_s) * (bottom - top - 1))
        canvas.rectangle(right + 1, y, right + 0.4 * em, y + 1, ink)
        if suffix:
            canvas.rectangle(left, y, right, y + 1, ink)
        if all(abs(y - other) > 1.1 * em for other in taken):
            taken.append(y)
            text = signed(sensible(speed * CM_S)) + suffix
            canvas.text(right + 0.6 * em, y, text, ink, size=SMALL, anchor="lm")


def _fold_legend(canvas: Canvas, panel: Panel) -> None:
    em, (left, top, right, _) = canvas.em, panel.bar
    canvas.text(left, top - 0.5 * em, "fold", TEXT, size=SMALL, anchor="ls")
    plain = tuple(int(level) for level in np.round(PLAIN_INK * 0.8))
    for line, number in enumerate((2, 1, 0, -1, -2)):
        y = round(top + 0.3 * em + 1.9 * em * line)
        ink = FOLD_INKS.get(number, (plain[0], plain[1], plain[2]))
        canvas.rectangle(left, y, right, y + 1.4 * em, ink)
        canvas.text(right + 0.6 * em, y + 0.7 * em, signed(number), TEXT, size=SMALL, anchor="lm")
