"""The mouse on the picture: point probe, traces, color box, seek bar."""

from __future__ import annotations

import math

from trueflow.viewer.desk import Desk
from trueflow.viewer.layout import Layout, Panel
from trueflow.viewer.scene import Scene

__all__ = ["Pointer"]

CLICK_PX = 4.0  # a press and a release farther apart are a drag
REACH_PX = 6.0  # around the seek bar


class Pointer:
    """Turns positions into what they mean.

    Parameters
    ----------
    desk : Desk
    scene : Scene
        For the layout.
    """

    def __init__(self, desk: Desk, scene: Scene) -> None:
        self._desk, self._scene = desk, scene
        self._pressed: tuple[float, float] | None = None
        self._seeking = False
        self._box: tuple[Panel, tuple[float, float]] | None = None

    def _layout(self, size: tuple[int, int]) -> Layout | None:
        showing = self._desk.showing(0.0)
        return None if showing is None else self._scene.layout(showing, size)

    def move(self, x: float, y: float, size: tuple[int, int]) -> None:
        """The cursor is here, in px of the framebuffer."""
        self._desk.cursor_px = x, y
        layout = self._layout(size)
        if layout is None:
            return
        if self._seeking:
            self._seek(layout, x)
        elif self._box is not None:
            self._stretch(x, y)

    def press(self, x: float, y: float, size: tuple[int, int], *, shift: bool) -> None:
        """The left button went down."""
        layout = self._layout(size)
        if layout is None:
            return
        left, top, right, bottom = layout.seek
        if left <= x <= right and top - REACH_PX <= y <= bottom + REACH_PX:
            self._seeking = True
            self._seek(layout, x)
        elif (under := layout.panel_at(x, y)) is not None:
            if shift:
                self._box = under
            else:
                self._pressed = x, y

    def release(self, x: float, y: float, size: tuple[int, int]) -> None:
        """The left button went up."""
        layout, pressed = self._layout(size), self._pressed
        self._pressed, self._seeking, self._box = None, False, None
        if layout is None or pressed is None or math.dist(pressed, (x, y)) > CLICK_PX:
            return
        if (under := layout.panel_at(*pressed)) is not None:
            self._desk.add_trace(*under[1])

    def _seek(self, layout: Layout, x: float) -> None:
        left, _, right, _ = layout.seek
        showing = self._desk.showing(0.0)
        assert showing is not None
        label = self._scene.seek_label_px(showing, layout)
        self._desk.seek_fraction((x - left) / max(right - label - left, 1.0))

    def _stretch(self, x: float, y: float) -> None:
        assert self._box is not None
        panel, first = self._box
        left, top, right, bottom = panel.image
        inside = min(max(x, left), right - 1), min(max(y, top), bottom - 1)
        second = panel.metres(*inside)
        if second is not None:
            x0, x1 = sorted((first[0], second[0]))
            z0, z1 = sorted((first[1], second[1]))
            if x1 > x0 and z1 > z0:
                self._desk.controls = self._desk.controls.with_(box_m=(x0, z0, x1, z1))
