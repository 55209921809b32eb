"""The picture around the image: scales in mm, bars, and what a reader must know, in clinical units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.config import DisplayConfig
from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.picture.color_maps import color_map
from trueflow.pipeline.picture.compose import ColorScale, Compositor, choose_scale_m_s, envelope_reference
from trueflow.pipeline.picture.raster import Raster

__all__ = [
    "Layout",
    "Painter",
    "Surroundings",
    "facts_line",
    "load_font",
    "sensible",
    "side_by_side",
    "signed",
    "tick_steps",
    "ticks",
]

Pixels = NDArray[np.uint8]

TEXT, DIM, ACCENT = (225, 225, 225), (150, 150, 150), (255, 215, 80)
CAUTION = "Research use only"
MM, CM_S = 1e3, 1e2


class Painter:
    """Draws color frames of one recording as finished pictures, all of the same size and scale.

    Parameters
    ----------
    acquisition : Acquisition
    grid : ImageGrid
    display : DisplayConfig
    first : sequence of ColorFrame
        One or more frames that settle the color scale and the brightness where `display` leaves them open.
    n_frames : int, optional
        For the frame counter.
    label : str
        Says what is drawn, for example "not dealiased".
    wrapped : bool
        Draw the velocity before dealiasing.
    height_px, width_px : int
        The box that the ultrasound image (without its surroundings) is fitted into.
    n_threads : int, optional
        Default: all cores.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        grid: ImageGrid,
        display: DisplayConfig,
        *,
        first: Sequence[ColorFrame],
        n_frames: int | None = None,
        label: str = "",
        wrapped: bool = False,
        height_px: int = 640,
        width_px: int = 960,
        n_threads: int | None = None,
    ) -> None:
        scale = ColorScale(display.scale_m_s or choose_scale_m_s(list(first), wrapped=wrapped), display.baseline_m_s)
        self._wrapped = wrapped
        self._n_frames = n_frames
        raster = Raster(grid, height_px=height_px, width_px=width_px)
        self._compose = Compositor(
            raster, display, scale=scale, reference=envelope_reference(first[0]), n_threads=n_threads
        )
        nyquist_m_s = first[0].velocity.nyquist_velocity_m_s
        lines = facts_line(acquisition, nyquist_m_s), label
        self._layout = Layout.around(raster, lines, counter=self._counter(first[0]))
        self._background = Image.new("RGB", self._layout.size)
        Surroundings(self._background, self._layout).draw(raster, display, scale, nyquist_m_s, lines)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the finished picture; both even, as video wants them."""
        width, height = self._layout.size
        return height, width

    @property
    def scale(self) -> ColorScale:
        """What the ends of the color bar stand for."""
        return self._compose.scale

    def __call__(self, frame: ColorFrame) -> Pixels:
        """The finished picture, (rows, columns, 3) uint8 sRGB."""
        picture, layout = self._background.copy(), self._layout
        picture.paste(Image.fromarray(self._compose(frame, wrapped=self._wrapped)), layout.image)
        ImageDraw.Draw(picture).text(
            (layout.size[0] - layout.pad, layout.line_y(1)), self._counter(frame), TEXT, layout.font, anchor="ra"
        )
        return np.asarray(picture)

    def _counter(self, frame: ColorFrame) -> str:
        of = "" if self._n_frames is None else f"/{self._n_frames}"
        return f"frame {frame.stamp.index + 1}{of}    {frame.stamp.acquisition_time_s:.3f} s"


def side_by_side(pictures: Sequence[Pixels]) -> Pixels:
    """Pictures in a row, aligned at the top, on black."""
    height = max(picture.shape[0] for picture in pictures)
    padded = [np.pad(picture, ((0, height - picture.shape[0]), (0, 0), (0, 0))) for picture in pictures]
    return np.concatenate(padded, axis=1)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are, in pixels; lengths follow from the font, and the font from the image."""

    font: ImageFont.FreeTypeFont
    small: ImageFont.FreeTypeFont
    em: int
    size: tuple[int, int]
    image: tuple[int, int]
    bar: tuple[int, int, int, int]

    @property
    def pad(self) -> int:
        """Distance from the edge of the picture."""
        return self.em // 2

    def line_y(self, line: int) -> int:
        """Top of a header line."""
        return self.pad + round(1.35 * self.em * line)

    @classmethod
    def around(cls, raster: Raster, lines: Sequence[str], *, counter: str) -> Layout:
        """Room for header lines above, scales left and below, bars to the right of one image."""
        rows, columns = raster.shape
        em = min(28, max(12, round(max(rows, 0.6 * columns) / 36)))
        font, small = load_font(em), load_font(round(0.85 * em))
        left, right, top, bottom = 4 * em, round(8 * em), round(4.6 * em), round(4.1 * em)
        header = max(font.getlength(lines[0]), font.getlength(lines[1]) + font.getlength(counter) + 2 * em)
        width = max(left + columns + right, math.ceil(header) + 2 * (em // 2) + em)
        width, height = width + width % 2, top + rows + bottom
        height += height % 2
        image = left + (width - left - columns - right) // 2, top
        bar_left = image[0] + columns + 2 * em
        bar_top = top + round(1.2 * em)
        bar_height = min(rows - round(2.4 * em), max(round(0.62 * rows), 10 * em))
        bar = bar_left, bar_top, bar_left + round(1.1 * em), bar_top + max(bar_height, 4 * em)
        return cls(font, small, em, (width, height), image, bar)


class Surroundings:
    """Everything in a picture that does not change from frame to frame."""

    def __init__(self, canvas: Image.Image, layout: Layout) -> None:
        self._canvas = canvas
        self._pen = ImageDraw.Draw(canvas)
        self._at = layout

    def draw(
        self, raster: Raster, display: DisplayConfig, scale: ColorScale, nyquist_m_s: float, lines: Sequence[str]
    ) -> None:
        """Header lines, scales and bars."""
        at = self._at
        self._pen.text((at.pad, at.line_y(0)), lines[0], TEXT, at.font)
        self._pen.text((at.pad, at.line_y(1)), lines[1], ACCENT, at.font)
        self._pen.text((at.size[0] - at.pad, at.size[1] - at.pad), CAUTION, DIM, at.small, anchor="rd")
        self.scales(raster)
        self.gray_bar(display)
        self.color_bar(display, scale, nyquist_m_s)

    def scales(self, raster: Raster) -> None:
        """Depth at the left edge, lateral position at the lower edge; mm."""
        at, em = self._at, self._at.em
        x0, y0 = at.image
        rows, columns = raster.shape
        major, minor = tick_steps(raster.pitch_m * MM, 3.5 * em)
        for mm, is_major in ticks(raster.z_m[0] * MM, raster.z_m[1] * MM, major, minor):
            y = y0 + (mm / MM - raster.z_m[0]) / raster.pitch_m
            self._pen.line([(x0 - (em * 0.6 if is_major else em * 0.3) - 3, y), (x0 - 4, y)], DIM)
            if is_major:
                self._pen.text((x0 - em, y), f"{mm:g}", TEXT, at.small, anchor="rm")
        for mm, is_major in ticks(raster.x_m[0] * MM, raster.x_m[1] * MM, major, minor):
            x = x0 + (mm / MM - raster.x_m[0]) / raster.pitch_m
            self._pen.line([(x, y0 + rows + 3), (x, y0 + rows + 2 + (em * 0.6 if is_major else em * 0.3))], DIM)
            if is_major:
                self._pen.text((x, y0 + rows + em), signed(mm, plus=""), TEXT, at.small, anchor="ma")
        self._pen.text((x0 + columns / 2, y0 + rows + 2.1 * em), "lateral (mm)", DIM, at.small, anchor="ma")
        self._pen.text((x0 - em, y0 - 0.3 * em), "mm", DIM, at.small, anchor="rd")
        radius = 0.28 * em  # the orientation mark: this edge is element 0's
        center = x0 + 0.9 * em, y0 - 0.65 * em
        self._pen.ellipse([center[0] - radius, center[1] - radius, center[0] + radius, center[1] + radius], ACCENT)

    def gray_bar(self, display: DisplayConfig) -> None:
        """B-mode's gray levels and their range, left of the color bar."""
        at = self._at
        left, top, _, bottom = at.bar
        right = left - round(0.5 * at.em)
        ramp = np.linspace(255, 0, bottom - top).astype(np.uint8)
        width = round(0.5 * at.em)
        bar = np.repeat(ramp[:, None], width, axis=1)
        self._canvas.paste(Image.fromarray(bar).convert("RGB"), (right - width, top))
        self._pen.rectangle([right - width - 1, top - 1, right, bottom], outline=DIM)
        below = bottom + round(2.2 * at.em)
        self._pen.text((right - width, below), f"B-mode {display.dynamic_range_db:g} dB", DIM, at.small, anchor="la")

    def color_bar(self, display: DisplayConfig, scale: ColorScale, nyquist_m_s: float) -> None:
        """Velocity in cm/s beside the image; where the bar goes beyond v_N, v_N is marked."""
        at, em = self._at, self._at.em
        left, top, right, bottom = at.bar
        velocities = np.linspace(scale.high_m_s, scale.low_m_s, bottom - top, dtype=np.float32)
        colors = color_map(display.color_map)[scale.entries(velocities)]
        bar = np.repeat(colors[:, None], right - left, axis=1)
        self._canvas.paste(Image.fromarray(bar), (left, top))
        self._pen.rectangle([left - 1, top - 1, right, bottom], outline=DIM)
        self._pen.text((left, top - 0.35 * em), "cm/s", TEXT, at.small, anchor="ld")
        self._pen.text((right + 0.6 * em, bottom + 0.9 * em), "+ towards", DIM, at.small, anchor="la")
        labelled: list[float] = []
        marks = [(v, TEXT, "") for v in (scale.high_m_s, scale.low_m_s, 0.0)]
        if scale.scale_m_s > 1.001 * nyquist_m_s:
            marks += [(v, ACCENT, " Nyq") for v in (nyquist_m_s, -nyquist_m_s) if scale.low_m_s < v < scale.high_m_s]
        for velocity_m_s, ink, suffix in marks:
            y = top + (scale.high_m_s - velocity_m_s) / (2 * scale.scale_m_s) * (bottom - top - 1)
            self._pen.line([(right + 1, y), (right + 0.4 * em, y)], ink)
            if suffix:
                self._pen.line([(left, y), (right - 1, y)], ink)
            if all(abs(y - other) > 1.1 * em for other in labelled):
                labelled.append(y)
                text = signed(sensible(velocity_m_s * CM_S)) + suffix
                self._pen.text((right + 0.6 * em, y), text, ink, at.small, anchor="lm")


def facts_line(acquisition: Acquisition, nyquist_m_s: float) -> str:
    """What was recorded with: probe, frequency, PRF, v_N."""
    probe = acquisition.probe
    name = f"{probe.kind} array" if probe.name == "unnamed" else probe.name
    facts = [name, f"{acquisition.center_frequency_hz / 1e6:.1f} MHz"]
    facts.append(f"PRF {acquisition.prf_hz / 1e3:.3g} kHz")
    if acquisition.slow_time_rate_hz < acquisition.prf_hz:
        facts.append(f"slow time {acquisition.slow_time_rate_hz / 1e3:.3g} kHz")
    if acquisition.stagger is not None:
        facts.append("stagger {}:{}".format(*acquisition.stagger))
    facts.append(f"Nyquist ±{nyquist_m_s * CM_S:.1f} cm/s")
    return "    ".join(facts)


def tick_steps(unit_per_px: float, least_px: float) -> tuple[float, float]:
    """Distances between labelled and unlabelled ticks, so that labels are at least `least_px` apart."""
    for decade in (0.1, 1.0, 10.0, 100.0):
        for step, parts in ((1.0, 2), (2.0, 2), (5.0, 5)):
            if step * decade >= least_px * unit_per_px:
                return step * decade, step * decade / parts
    return 1000.0, 500.0


def ticks(low: float, high: float, major: float, minor: float) -> list[tuple[float, bool]]:
    """(position, labelled?) of each tick between two edges, all in the unit of the labels."""
    every = round(major / minor)
    first, last = math.ceil(low / minor - 1e-6), math.floor(high / minor + 1e-6)
    return [(i * minor, i % every == 0) for i in range(first, last + 1)]


def sensible(value: float) -> float:
    """Three digits at most."""
    return round(value, 1) if abs(value) < 100 else round(value)


def signed(value: float, *, plus: str = "+") -> str:
    """A number with its sign; a hyphen, since Pillow's own font has no minus."""
    sign = "-" if value < 0 else plus if value > 0 else ""
    return f"{sign}{abs(value):g}"


def load_font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font, `size` pixels high: the same on every machine."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # no wheel of Pillow is without FreeType
    return font
