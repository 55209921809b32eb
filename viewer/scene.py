"""A whole picture: images by the renderer, and over them what is written and drawn with the canvas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.grid import ImageGrid
from trueflow.viewer import gl
from trueflow.viewer.canvas import Canvas, CanvasProgram
from trueflow.viewer.furniture import draw_furniture
from trueflow.viewer.layout import Layout, arrange
from trueflow.viewer.overlays import draw_overlays, seek_label_px
from trueflow.viewer.renderer import Renderer
from trueflow.viewer.showing import Showing

__all__ = ["Scene"]


class Scene:
    """Draws pictures of frames of one grid; the context must be current.

    Parameters
    ----------
    grid : ImageGrid

    Attributes
    ----------
    trouble : str or None
        Why frames that are in a GPU's memory come from the host nevertheless.
    """

    def __init__(self, grid: ImageGrid) -> None:
        self.grid = grid
        self.renderer = Renderer(grid)
        self._letters = CanvasProgram()
        self.trouble: str | None = None
        self._uploaded: ColorFrame | None = None
        self._plan: tuple[object, Layout] | None = None
        self._furniture: tuple[object, NDArray[np.float32]] | None = None
        self._shots: gl.Framebuffer | None = None

    def layout(self, showing: Showing, size: tuple[int, int]) -> Layout:
        """Where things are in a picture of this size."""
        key = showing.layout, size, bool(showing.traces), showing.reserved_px
        if self._plan is None or self._plan[0] != key:
            plan = arrange(showing.layout, self.grid, size, chart=bool(showing.traces), reserved_px=showing.reserved_px)
            self._plan = key, plan
        return self._plan[1]

    def seek_label_px(self, showing: Showing, layout: Layout) -> float:
        """Room that the label of the seek bar takes at its right end."""
        return seek_label_px(Canvas(layout.em), showing)

    def draw(self, showing: Showing, *, size: tuple[int, int], target: int = 0) -> None:
        """Draw into a framebuffer of this size; 0 is the window."""
        GL, layout = gl.GL, self.layout(showing, size)
        if showing.frame is not self._uploaded:
            self._upload(showing)
            self._uploaded = showing.frame
        self.renderer.prepare(showing.controls, showing.fit)
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, target)
        GL.glClearColor(0.0, 0.0, 0.0, 1.0)
        GL.glClear(GL.GL_COLOR_BUFFER_BIT)
        for panel in layout.panels:
            self.renderer.draw(panel.place, panel.mode, showing.controls, showing.fit, target=target, size=size)
        canvas = Canvas(layout.em)
        draw_overlays(canvas, layout, showing, self.grid)
        parts = [self._furniture_vertices(layout, showing), canvas.vertices]
        self._letters.draw(canvas.atlas, parts, target=target, size=size)

    def _upload(self, showing: Showing) -> None:
        if showing.on_device is not None and self.trouble is None:
            try:
                self.renderer.upload(showing.on_device)
            except TrueflowError as error:
                self.trouble = str(error)
            else:
                return
        self.renderer.upload(showing.frame)

    def picture(self, showing: Showing, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The same as an array, (height, width, 3) uint8."""
        width, height = size
        if self._shots is None or self._shots.textures[0].shape != (height, width):
            if self._shots is not None:
                self._shots.delete()
            self._shots = gl.Framebuffer(gl.Texture((height, width), "u1n", 4))
        self.draw(showing, size=size, target=self._shots.id)
        gl.GL.glBindFramebuffer(gl.GL.GL_FRAMEBUFFER, self._shots.id)
        picture = gl.read_pixels(width, height)
        gl.check()
        return picture

    def _furniture_vertices(self, layout: Layout, showing: Showing) -> NDArray[np.float32]:
        """Worked out again only when something in it changes."""
        nyquist_m_s = float(showing.frame.velocity.nyquist_velocity_m_s)
        key = layout, showing.controls, showing.fit, nyquist_m_s, showing.facts, showing.dealiaser
        if self._furniture is None or self._furniture[0] != key:
            canvas = Canvas(layout.em)
            draw_furniture(
                canvas,
                layout,
                showing.controls,
                showing.fit,
                nyquist_m_s=nyquist_m_s,
                facts=showing.facts,
                dealiaser=showing.dealiaser,
            )
            self._furniture = key, canvas.vertices
        return self._furniture[1]
