"""The picture of the growth curves: a panel for each job and axis, both scales logarithmic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from trueflow.pipeline.picture.draw import load_font

__all__ = ["draw_growth"]

Curve = Mapping[str, Any]

PANEL, COLUMNS = (330, 250), 4  # pixels
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 40, 40
FINER = 2  # drawn so many times larger, then brought down: smooth lines
FONT_PX, TITLE_PX = 12, 13
TEXT, GRAY, DIM = "#e1e1e1", "#a0a0a0", "#383838"
OURS = ("#9cc9f5", "#3d8fe0", "#2a68a8")  # by number of threads
PEERS = ("#f0b050", "#7bc47f", "#d77fb0", "#c0c0c0", "#b39ddb", "#e57373")
JOBS = {
    "chain": "chain, per frame", "das": "delay-and-sum, per ensemble", "doppler": "velocity, per map",
    "dealias": "dealiasing, per map",
}  # fmt: skip
AXES = {"pixels": "pixels", "channels": "channels", "pulses": "pulses", "all": "all three"}


def draw_growth(growth: Mapping[str, Any], path: Path) -> None:
    """Draw all curves that have two points or more.

    Parameters
    ----------
    growth : mapping
        From `growth.run_growth`.
    path : Path
        PNG.
    """
    curves = [c for c in growth["curves"] if len(c["points"]) > 1]
    panels = list(dict.fromkeys((c["job"], c["along"]) for c in curves))
    rows = -(-(len(panels) + 1) // COLUMNS)
    size = (COLUMNS * PANEL[0], rows * PANEL[1])
    image = Image.new("RGB", (FINER * size[0], FINER * size[1]))
    draw = ImageDraw.Draw(image)
    styles = _styles(curves)
    for place, (job, along) in enumerate(panels):
        shown = [c for c in curves if (c["job"], c["along"]) == (job, along)]
        _Panel(draw, _corner(place), f"{JOBS[job]}: {AXES[along]}", shown).draw(styles)
    _legend(draw, _corner(len(panels)), styles)
    image.resize(size, Image.Resampling.LANCZOS).save(path, optimize=True)


def _corner(place: int) -> tuple[int, int]:
    return place % COLUMNS * PANEL[0], place // COLUMNS * PANEL[1]


def _who(curve: Curve) -> tuple[str, int]:
    return curve["name"], curve["n_threads"]


def _styles(curves: Sequence[Curve]) -> dict[tuple[str, int], str]:
    """A color for each contender: shades of one for ours."""
    ours = sorted({_who(c) for c in curves if c["name"] == "trueflow"}, key=lambda who: who[1])
    peers = list(dict.fromkeys(_who(c) for c in curves if c["name"] != "trueflow"))
    own = {who: OURS[min(i, len(OURS) - 1)] for i, who in enumerate(ours)}
    return own | {who: PEERS[i % len(PEERS)] for i, who in enumerate(peers)}


class _Panel:
    """One pair of axes."""

    def __init__(
        self, draw: ImageDraw.ImageDraw, corner: tuple[int, int], title: str, curves: Sequence[Curve]
    ) -> None:
        self._draw, self._corner, self._title, self._curves = draw, corner, title, curves
        points = [p for c in curves for p in c["points"]]
        self._sizes = sorted({p["size"] for p in points})
        self._labels = {p["size"]: _size_label(p["point"], c["along"]) for c in curves for p in c["points"]}
        times = [1e3 * p["timing"]["p50_s"] for p in points]
        self._low, self._high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))
        self._high = max(self._high, self._low + 1)

    def draw(self, styles: Mapping[tuple[str, int], str]) -> None:
        """Frame, ticks, curves, exponents."""
        self._text((LEFT, 8), self._title, TEXT, px=TITLE_PX)
        for decade in range(self._low, self._high + 1):
            y = self._y(10.0**decade)
            self._line([(LEFT, y), (PANEL[0] - RIGHT, y)], DIM)
            self._text((LEFT - 6, y), f"{10.0**decade:g}", GRAY, anchor="rm")
        self._text((LEFT - 6, TOP - 16), "ms", GRAY, anchor="rm")
        for size in self._sizes:
            x = self._x(size)
            self._line([(x, TOP), (x, PANEL[1] - BOTTOM)], DIM)
            self._text((x, PANEL[1] - BOTTOM + 6), self._labels[size], GRAY, anchor="ma")
        for curve in self._curves:
            self._curve(curve, styles[_who(curve)])
        self._exponents(styles)

    def _exponents(self, styles: Mapping[tuple[str, int], str]) -> None:
        """Beside each curve's last point, moved down where two would overlap."""
        ends = [
            (self._y(1e3 * c["points"][-1]["timing"]["p50_s"]), self._x(c["points"][-1]["size"]), c)
            for c in self._curves
            if c["exponent"] is not None
        ]
        least_y = 0.0
        for y, x, curve in sorted(ends, key=lambda end: end[0]):
            at_y = max(y, least_y)
            self._text((x + 7, at_y), f"{curve['exponent']:.2f}", styles[_who(curve)], anchor="lm")
            least_y = at_y + FONT_PX

    def _curve(self, curve: Curve, color: str) -> None:
        places = [(self._x(p["size"]), self._y(1e3 * p["timing"]["p50_s"])) for p in curve["points"]]
        self._line(places, color, width=2)
        for x, y in places:
            box = [FINER * v for v in self._at((x - 3, y - 3)) + self._at((x + 3, y + 3))]
            self._draw.ellipse(box, fill=color)

    def _x(self, size: float) -> float:
        low, high = math.log(self._sizes[0]), math.log(self._sizes[-1])
        share = (math.log(size) - low) / max(high - low, 1e-9)
        return LEFT + 16 + share * (PANEL[0] - LEFT - RIGHT - 52)

    def _y(self, time_ms: float) -> float:
        share = (math.log10(time_ms) - self._low) / (self._high - self._low)
        return PANEL[1] - BOTTOM - share * (PANEL[1] - TOP - BOTTOM)

    def _at(self, place: tuple[float, float]) -> list[float]:
        return [self._corner[0] + place[0], self._corner[1] + place[1]]

    def _line(self, places: Sequence[tuple[float, float]], color: str, width: int = 1) -> None:
        flat = [FINER * v for place in places for v in self._at(place)]
        self._draw.line(flat, fill=color, width=FINER * width, joint="curve")

    def _text(
        self, place: tuple[float, float], text: str, color: str, *, anchor: str = "la", px: int = FONT_PX
    ) -> None:
        x, y = self._at(place)
        self._draw.text((FINER * x, FINER * y), text, fill=color, font=load_font(FINER * px), anchor=anchor)


def _size_label(point: Sequence[int], along: str) -> str:
    side, channels, pulses = point
    labels = {"pixels": f"{side}x{side}", "channels": str(channels), "pulses": str(pulses)}
    return labels.get(along, f"{side},{channels},{pulses}")


def _legend(draw: ImageDraw.ImageDraw, corner: tuple[int, int], styles: Mapping[tuple[str, int], str]) -> None:
    x, y = FINER * (corner[0] + 30), FINER * (corner[1] + TOP)
    font = load_font(FINER * FONT_PX)
    for (name, n_threads), color in styles.items():
        draw.line((x, y + FINER * 7, x + FINER * 22, y + FINER * 7), fill=color, width=FINER * 3)
        threads = f"{n_threads} thread{'s' if n_threads > 1 else ''}"
        draw.text((x + FINER * 30, y), f"{name}, {threads}", fill=TEXT, font=font)
        y += FINER * 20
    note = "beside the curves: exponents of time over size\nall three: pixels across, channels, pulses"
    draw.text((x, y + FINER * 6), note, fill=GRAY, font=font)
