"""Where things are in a picture of a given size: panels, bars, header, status, chart, seek bar."""

from __future__ import annotations

from dataclasses import dataclass

from trueflow.pipeline.grid import ImageGrid
from trueflow.viewer.renderer import Mode, Place

__all__ = ["LAYOUTS", "Layout", "Panel", "Rectangle", "arrange"]

Rectangle = tuple[float, float, float, float]  # left, top, right, bottom (px)

LAYOUTS: dict[str, tuple[Mode, ...]] = {
    "single": ("dealiased",),
    "before_after": ("raw", "dealiased"),
    "three_panels": ("raw", "folds", "dealiased"),
}
HEADINGS: dict[Mode, tuple[str, str]] = {
    "gray": ("B-mode", ""),
    "raw": ("Raw color", "before dealiasing"),
    "folds": ("Aliased pixels", "how often each has wrapped"),
    "dealiased": ("Dealiased", ""),
}
BAR_EM: dict[Mode, float] = {"gray": 4.0, "raw": 6.0, "folds": 4.6, "dealiased": 7.8}  # room for a bar with labels
LEAST_EM, MOST_EM = 9, 40
CHART_SHARE = 0.24  # of the height
LEAST_CHART_EM = 6.0, 2.0  # in a smaller window there is none


@dataclass(frozen=True, slots=True)
class Panel:
    """One image with its surroundings.

    Parameters
    ----------
    mode : Mode
    heading, line : str
    place : Place
        The image.
    bar : Rectangle
        The color bar.
    """

    mode: Mode
    heading: str
    line: str
    place: Place
    bar: Rectangle

    @property
    def image(self) -> Rectangle:
        """The image's edges."""
        p = self.place
        return p.left, p.top, p.left + p.width, p.top + p.height

    @property
    def pitch_m(self) -> float:
        """Side of a pixel."""
        return (self.place.x_m[1] - self.place.x_m[0]) / self.place.width

    def metres(self, x_px: float, y_px: float) -> tuple[float, float] | None:
        """The x and z (m) under a pixel; None outside the image."""
        left, top, right, bottom = self.image
        if not (left <= x_px < right and top <= y_px < bottom):
            return None
        return self.place.x_m[0] + (x_px - left) * self.pitch_m, self.place.z_m[0] + (y_px - top) * self.pitch_m

    def pixels(self, x_m: float, z_m: float) -> tuple[float, float]:
        """Where a point is drawn."""
        left, top, _, _ = self.image
        return left + (x_m - self.place.x_m[0]) / self.pitch_m, top + (z_m - self.place.z_m[0]) / self.pitch_m


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture's plan.

    Parameters
    ----------
    size : (int, int)
        Width and height.
    em : int
        Font size, which everything else follows.
    panels : tuple of Panel
    header_y, status_y : float
        Tops of the first header line and of the status line.
    seek : Rectangle
        Seek bar or scrub bar.
    chart : Rectangle, optional
        Where traces are plotted; None without traces, or without room.
    right : float
        Right edge of what is ours; beyond it are the controls.
    """

    size: tuple[int, int]
    em: int
    panels: tuple[Panel, ...]
    header_y: float
    status_y: float
    seek: Rectangle
    chart: Rectangle | None
    right: float

    def panel_at(self, x_px: float, y_px: float) -> tuple[Panel, tuple[float, float]] | None:
        """The panel whose image is under a pixel, and the x and z (m) there."""
        for panel in self.panels:
            if (metres := panel.metres(x_px, y_px)) is not None:
                return panel, metres
        return None


def arrange(
    name: str, grid: ImageGrid, size: tuple[int, int], *, chart: bool = False, reserved_px: float = 0.0
) -> Layout:
    """Plan a picture.

    Parameters
    ----------
    name : str
        One of `LAYOUTS`.
    grid : ImageGrid
    size : (int, int)
        Width and height (px).
    chart : bool
        Make room for traces.
    reserved_px : float
        Keep free at the right edge.
    """
    width, height = size
    right = max(width - reserved_px, 0.4 * width)
    em = round(min(max(14 * min(height / 720, right / 1000), LEAST_EM), MOST_EM))
    pad = 0.6 * em
    status_y = height - 1.55 * em
    seek = (pad, status_y - 1.15 * em, right - pad, status_y - 0.6 * em)
    top, bottom = 2.3 * em, seek[1] - 0.7 * em
    box: Rectangle | None = None
    if chart:
        box = (5.5 * em, bottom - CHART_SHARE * height + 1.4 * em, right - 7 * em, bottom - 1.6 * em)
        if box[2] - box[0] < LEAST_CHART_EM[0] * em or box[3] - box[1] < LEAST_CHART_EM[1] * em:
            box = None
        else:
            bottom -= CHART_SHARE * height
    panels = _row(LAYOUTS[name], grid, (0.0, top, right, bottom), em)
    return Layout(size, em, panels, pad, status_y, seek, box, right)


def _row(modes: tuple[Mode, ...], grid: ImageGrid, box: Rectangle, em: int) -> tuple[Panel, ...]:
    """Images of one size, as large as they get with true proportions, in a row with their bars."""
    before, above, below = 3.4 * em, 2.2 * em, 3.0 * em
    after = [BAR_EM[mode] * em for mode in modes]
    x_m = float(grid.x_m.min()), float(grid.x_m.max())
    z_m = float(grid.z_m.min()), float(grid.z_m.max())
    room = (box[2] - box[0] - len(modes) * before - sum(after)) / len(modes), box[3] - box[1] - above - below
    pitch_m = max((x_m[1] - x_m[0]) / max(room[0], 16.0), (z_m[1] - z_m[0]) / max(room[1], 16.0), 1e-9)
    width, height = max(2, round((x_m[1] - x_m[0]) / pitch_m)), max(2, round((z_m[1] - z_m[0]) / pitch_m))
    edges = (x_m[0], x_m[0] + width * pitch_m), (z_m[0], z_m[0] + height * pitch_m)
    air = max(room[0] - width, 0.0)
    left, top = box[0], round(box[1] + above + 0.5 * max(room[1] - height, 0.0))
    panels = []
    for mode, beside in zip(modes, after, strict=True):
        place = Place(round(left + before + 0.5 * air), top, width, height, *edges)
        bar_left = place.left + width + round(1.4 * em)
        bar = bar_left, top + round(1.2 * em), bar_left + round(1.1 * em), top + max(round(0.8 * height), 4 * em)
        panels.append(Panel(mode, *HEADINGS[mode], place, bar))
        left += before + room[0] + beside
    return tuple(panels)
