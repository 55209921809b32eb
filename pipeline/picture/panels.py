"""Three views of each frame side by side, raw color, aliased pixels and dealiased, over a velocity trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.config import DisplayConfig
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.picture.compose import ColorScale, Compositor, choose_scale_m_s, envelope_reference
from trueflow.pipeline.picture.draw import (
    ACCENT,
    CM_S,
    DIM,
    MM,
    TEXT,
    Layout,
    Surroundings,
    facts_line,
    load_font,
    sensible,
    signed,
)
from trueflow.pipeline.picture.raster import Raster
from trueflow.pipeline.picture.trace import (
    DEALIASED_INK,
    GATE_SIDE_M,
    RAW_INK,
    TRUTH_INK,
    Trace,
    TraceChart,
    choose_gate,
)
from trueflow.pipeline.sources.base import Truth

__all__ = ["FOLD_INKS", "Panels", "fold_image"]

Pixels = NDArray[np.uint8]

WIDTH, HEIGHT = 1600, 900
IMAGE_PX = 384
IMAGE_TOP = 146
COLUMN = 524
TRACE_BOX = 78, 634, 1216, 846
LEGEND_LEFT = 1316

FOLD_INKS = {  # apart from each other for every common kind of color blindness, and unlike velocity's red and blue
    2: (255, 122, 0),
    1: (255, 214, 64),
    -1: (64, 224, 190),
    -2: (150, 110, 255),
}
MOST_FOLDS = 2
PLAIN_INK, PLAIN_SHARE = np.array((150, 165, 190), np.float32), np.float32(0.35)


def fold_image(gray: Pixels, raster: Raster, fold: NDArray[np.int8], mask: NDArray[np.bool_]) -> Pixels:
    """Folds in color over a B-mode picture; flow without a fold is tinted only.

    Parameters
    ----------
    gray : (rows, columns, 3) uint8
    raster : Raster
    fold : (n_z, n_x) int8
        Beyond +-2 the last color holds.
    mask : (n_z, n_x) bool
    """
    # Neighbors that differ from the nearest one by more than "v_N" have no say: whole folds stay whole.
    flow, value = raster.velocity(fold.astype(np.float32), mask, nyquist_velocity_m_s=0.25)
    nearest = np.clip(np.rint(value), -MOST_FOLDS, MOST_FOLDS).astype(np.int8)
    pixels = gray[raster.inside]
    shown = pixels[flow]
    tinted = shown * (1 - PLAIN_SHARE) + PLAIN_INK * PLAIN_SHARE
    for number, ink in FOLD_INKS.items():
        tinted[nearest == number] = ink
    pixels[flow] = tinted.astype(np.uint8)
    image: Pixels = gray.copy()
    image[raster.inside] = pixels
    return image


@dataclass(frozen=True, slots=True)
class _Fonts:
    title: ImageFont.FreeTypeFont
    heading: ImageFont.FreeTypeFont
    text: ImageFont.FreeTypeFont
    small: ImageFont.FreeTypeFont


class Panels:
    """Pictures of 1600 x 900 pixels that tell the story of one recording, a frame at a time.

    Parameters
    ----------
    acquisition : Acquisition
    grid : ImageGrid
    display : DisplayConfig
    frames : sequence of ColorFrame
        All of them, with arrays on the CPU.
    truths : sequence of Truth
        One per frame, on the frames' pixels.
    duration_s : float
        Length of the trace's time axis.
    title : str
        What is shown.
    caution : str
        What a reader must know before believing it.
    dealiaser : str

    Attributes
    ----------
    peak : int
        The frame with the fastest true flow.

    Raises
    ------
    TrueflowError
        Without frames.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        grid: ImageGrid,
        display: DisplayConfig,
        *,
        frames: Sequence[ColorFrame],
        truths: Sequence[Truth],
        duration_s: float,
        title: str,
        caution: str,
        dealiaser: str,
    ) -> None:
        if not frames:
            raise TrueflowError("no frames", where="Panels", expected="at least one")
        self._frames = frames
        self.peak = int(np.argmax([np.abs(t.velocity_m_s).max(initial=0.0, where=t.mask) for t in truths]))
        self.nyquist_m_s = frames[0].velocity.nyquist_velocity_m_s
        self._fonts = _Fonts(*(load_font(size) for size in (27, 23, 17, 15)))
        raster = Raster(grid, height_px=IMAGE_PX, width_px=IMAGE_PX)
        display = replace(display, scale_m_s=None, baseline_m_s=0.0)
        scales = [ColorScale(self.nyquist_m_s), ColorScale(choose_scale_m_s([frames[self.peak]]))]
        reference = envelope_reference(frames[0])
        self._compose = [Compositor(raster, display, scale=scale, reference=reference) for scale in scales]
        gate = choose_gate(frames, truths, grid)
        self._trace = Trace.at(gate, frames, truths, duration_s=duration_s)
        self._gate = (gate.x_m - raster.x_m[0]) / raster.pitch_m, (gate.z_m - raster.z_m[0]) / raster.pitch_m
        self._gate_half_px = GATE_SIDE_M / raster.pitch_m / 2
        self._raster = raster
        self._background = Image.new("RGB", (WIDTH, HEIGHT))
        self._draw_header(facts_line(acquisition, self.nyquist_m_s), title, caution)
        self._layouts = [self._layout(column) for column in range(3)]
        self._draw_panels(display, scales, dealiaser)
        self._draw_trace_legend(gate.x_m, gate.z_m)
        self._chart = TraceChart(self._trace, self._background, TRACE_BOX, self._fonts.small)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the pictures."""
        return HEIGHT, WIDTH

    def __call__(self, index: int) -> Pixels:
        """The picture of one frame, (900, 1600, 3) uint8 sRGB."""
        frame, picture = self._frames[index], self._background.copy()
        raw, dealiased = self._compose
        gray = dealiased(frame, color=False)
        images = [
            raw(frame, wrapped=True),
            fold_image(gray, self._raster, frame.velocity.fold, frame.velocity.mask),
            dealiased(frame),
        ]
        pen = ImageDraw.Draw(picture)
        for image, layout in zip(images, self._layouts, strict=True):
            picture.paste(Image.fromarray(image), layout.image)
            self._mark_gate(pen, layout.image)
        self._chart(picture, index)
        self._draw_numbers(pen, index)
        return np.asarray(picture)

    def _layout(self, column: int) -> Layout:
        """Where a panel's image and bar are."""
        em, (rows, columns) = 17, self._raster.shape
        left = column * COLUMN + 46 + (IMAGE_PX - columns) // 2
        bar_left = left + columns + 13
        bar = bar_left, IMAGE_TOP + 24, bar_left + 18, IMAGE_TOP + max(rows - 34, 120)
        return Layout(self._fonts.text, self._fonts.small, em, (WIDTH, HEIGHT), (left, IMAGE_TOP), bar)

    def _draw_header(self, facts: str, title: str, caution: str) -> None:
        pen, fonts = ImageDraw.Draw(self._background), self._fonts
        pen.text((20, 14), title, TEXT, fonts.title)
        pen.text((20, 50), facts, DIM, fonts.text)
        pen.text((WIDTH - 20, 18), caution, ACCENT, fonts.heading, anchor="ra")

    def _draw_panels(self, display: DisplayConfig, scales: Sequence[ColorScale], dealiaser: str) -> None:
        nyquist, interval = (sensible(n * self.nyquist_m_s * CM_S) for n in (1, 2))
        texts = (
            ("Raw color Doppler", f"what a scanner shows: beyond ±{nyquist:g} cm/s the color flips"),
            ("Aliased pixels", f"how often each pixel has wrapped, {interval:g} cm/s each time"),
            ("Dealiased", f"velocity and direction restored (dealiaser: {dealiaser})"),
        )
        pen = ImageDraw.Draw(self._background)
        for layout, (heading, line) in zip(self._layouts, texts, strict=True):
            left, top = layout.image
            pen.text((left, top - 30), heading, TEXT, self._fonts.heading, anchor="ld")
            pen.text((left + 26, top - 5), line, DIM, self._fonts.small, anchor="ld")
            Surroundings(self._background, layout).scales(self._raster)
        Surroundings(self._background, self._layouts[0]).color_bar(display, scales[0], self.nyquist_m_s)
        Surroundings(self._background, self._layouts[2]).color_bar(display, scales[1], self.nyquist_m_s)
        self._draw_fold_legend(pen)

    def _draw_fold_legend(self, pen: ImageDraw.ImageDraw) -> None:
        left, top, _, _ = self._layouts[1].bar
        pen.text((left, top - 6), "fold", TEXT, self._fonts.small, anchor="ld")
        plain = tuple(np.round(PLAIN_INK * 0.8).astype(int).tolist())
        for line, number in enumerate((2, 1, 0, -1, -2)):
            y = top + 4 + 34 * line
            pen.rectangle([left, y, left + 18, y + 24], FOLD_INKS.get(number, plain))
            pen.text((left + 28, y + 12), signed(number), TEXT, self._fonts.text, anchor="lm")

    def _mark_gate(self, pen: ImageDraw.ImageDraw, corner: tuple[int, int]) -> None:
        x, y = corner[0] + self._gate[0], corner[1] + self._gate[1]
        for half, ink in ((self._gate_half_px + 1, (0, 0, 0)), (self._gate_half_px, (255, 255, 255))):
            pen.rectangle([x - half, y - half, x + half, y + half], outline=ink, width=2)

    def _draw_trace_legend(self, x_m: float, z_m: float) -> None:
        pen, fonts = ImageDraw.Draw(self._background), self._fonts
        top = TRACE_BOX[1]
        pen.text((TRACE_BOX[0] + 10, top - 10), "Velocity at the gate (white square)", TEXT, fonts.text, anchor="ld")
        where = f"gate {GATE_SIDE_M * MM:g} mm wide, lateral {signed(round(x_m * MM, 1), plus='')} mm, "
        pen.text((TRACE_BOX[2], top - 10), f"{where}depth {z_m * MM:.1f} mm", DIM, fonts.small, anchor="rd")
        rows = ("dealiased", DEALIASED_INK, 3), ("raw", RAW_INK, 2), ("truth", TRUTH_INK, 9)
        for line, (name, ink, width) in enumerate(rows):
            y = top + 84 + 32 * line
            pen.line([(LEGEND_LEFT, y), (LEGEND_LEFT + 34, y)], ink, width)
            pen.text((LEGEND_LEFT + 46, y), name, TEXT, fonts.text, anchor="lm")

    def _draw_numbers(self, pen: ImageDraw.ImageDraw, index: int) -> None:
        """What changes from frame to frame: time, counter, the gate's velocities."""
        trace, fonts, top = self._trace, self._fonts, TRACE_BOX[1]
        pen.text((WIDTH - 20, top + 6), f"{trace.time_s[index]:.2f} s", TEXT, fonts.title, anchor="ra")
        counter = f"frame {index + 1}/{len(self._frames)}"
        pen.text((LEGEND_LEFT, top + 14), counter, DIM, fonts.text, anchor="la")
        for line, values in enumerate((trace.dealiased_m_s, trace.raw_m_s, trace.truth_m_s)):
            value = values[index] * CM_S
            y = top + 84 + 32 * line
            if np.isfinite(value):
                pen.text((WIDTH - 62, y), f"{value:+.1f}", TEXT, fonts.text, anchor="rm")
                pen.text((WIDTH - 20, y), "cm/s", DIM, fonts.small, anchor="rm")
            else:
                pen.text((WIDTH - 20, y), "no flow seen", DIM, fonts.small, anchor="rm")
