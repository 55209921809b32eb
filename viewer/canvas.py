"""Rectangles, lines and text in pixels: gathered as triangles, drawn in one call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trueflow.viewer import gl
from trueflow.viewer.font import SOLID, Atlas, make_atlas

__all__ = [
    "ACCENT",
    "BLACK",
    "DIM",
    "FAINT",
    "SMALL",
    "TEXT",
    "TITLE",
    "WARN",
    "WHITE",
    "Canvas",
    "CanvasProgram",
    "Ink",
]

Ink = tuple[int, int, int]
TEXT, DIM, FAINT, ACCENT = (225, 225, 225), (150, 150, 150), (70, 70, 78), (255, 215, 80)
WARN, WHITE, BLACK = (255, 120, 100), (255, 255, 255), (0, 0, 0)
SMALL, PLAIN, TITLE = 0, 1, 2  # font sizes

_CORNERS = np.array([(0, 0), (0, 1), (1, 0), (1, 0), (0, 1), (1, 1)], np.float32)  # of two triangles
FLOATS = 8  # a vertex: position, texel, color


class Canvas:
    """Gathers what is to be drawn; positions in px from the top left corner of the target.

    Parameters
    ----------
    em : int
        Height of the plain font; two others follow from it.
    """

    def __init__(self, em: int) -> None:
        self.em = em
        self.atlas: Atlas = make_atlas((round(0.86 * em), em, round(1.25 * em)))
        self._parts: list[NDArray[np.float32]] = []

    @property
    def vertices(self) -> NDArray[np.float32]:
        """(n_vertices, 8) float32."""
        return np.concatenate(self._parts) if self._parts else np.zeros((0, FLOATS), np.float32)

    def rectangles(self, boxes: ArrayLike, inks: ArrayLike, alpha: float = 1.0) -> None:
        """Filled rectangles: (n, 4) left, top, right, bottom; (n, 3) or one color, 0 to 255."""
        box = np.asarray(boxes, np.float32).reshape(-1, 4)
        part = np.empty((len(box), 6, FLOATS), np.float32)
        part[..., 0:2] = box[:, None, 0:2] + _CORNERS * (box[:, None, 2:4] - box[:, None, 0:2])
        part[..., 2:4] = SOLID
        part[..., 4:7] = np.broadcast_to(np.asarray(inks, np.float32) / 255, (len(box), 3))[:, None]
        part[..., 7] = alpha
        self._parts.append(part.reshape(-1, FLOATS))

    def rectangle(self, left: float, top: float, right: float, bottom: float, ink: Ink, alpha: float = 1.0) -> None:
        """One filled rectangle."""
        self.rectangles([(left, top, right, bottom)], ink, alpha)

    def outline(self, left: float, top: float, right: float, bottom: float, ink: Ink, width: float = 1.0) -> None:
        """A frame around a rectangle, outside of it."""
        w = width
        edges = [
            (left - w, top - w, right + w, top),
            (left - w, bottom, right + w, bottom + w),
            (left - w, top, left, bottom),
            (right, top, right + w, bottom),
        ]
        self.rectangles(edges, ink)

    def line(self, points: ArrayLike, ink: Ink, width: float = 1.5) -> None:
        """A line through points (n, 2), broken where one is nan."""
        at = np.asarray(points, np.float32).reshape(-1, 2)
        start, end = at[:-1], at[1:]
        whole = np.isfinite(start).all(axis=1) & np.isfinite(end).all(axis=1)
        start, end = start[whole], end[whole]
        along = end - start
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)
        for half, alpha in ((width / 2 + 0.6, 0.35), (width / 2, 1.0)):  # the wider one softens the edge
            side, tip = half * across, 0.5 * half * along
            a, b, c, d = start - tip + side, start - tip - side, end + tip + side, end + tip - side
            corners = np.stack([a, b, c, c, b, d], axis=1).reshape(-1, 2)
            self._triangles(corners.astype(np.float32), ink, alpha)

    def dot(self, x: float, y: float, radius: float, ink: Ink) -> None:
        """A filled circle."""
        turn = np.linspace(0, 2 * np.pi, 17)
        rim = np.array([x, y], np.float32) + np.float32(radius) * np.array([np.cos(turn), np.sin(turn)], np.float32).T
        middle = np.broadcast_to(np.array([x, y], np.float32), (16, 2))
        self._triangles(np.stack([middle, rim[:-1], rim[1:]], axis=1).reshape(-1, 2), ink, 1.0)

    def _triangles(self, positions: NDArray[np.float32], ink: Ink, alpha: float) -> None:
        part = np.empty((len(positions), FLOATS), np.float32)
        part[:, 0:2], part[:, 2:4], part[:, 4:7], part[:, 7] = positions, SOLID, np.array(ink, np.float32) / 255, alpha
        self._parts.append(part)

    def text(self, x: float, y: float, text: str, ink: Ink = TEXT, *, size: int = PLAIN, anchor: str = "la") -> float:
        """A line of text; returns its width in px.

        Parameters
        ----------
        x, y : float
        text : str
        ink : (int, int, int)
        size : {SMALL, PLAIN, TITLE}
        anchor : str
            As Pillow has it: l, m or r; then a (top of capitals), m (their middle) or s (baseline).
        """
        numbers = self.atlas.numbers(text)
        pen = np.concatenate([[0.0], np.cumsum(self.atlas.advances[size][numbers])])
        width, capital = float(pen[-1]), self.atlas.heights[size][0]
        left = x - {"l": 0.0, "m": width / 2, "r": width}[anchor[0]]
        base = y + {"a": capital, "m": capital / 2, "s": 0.0}[anchor[1]]
        box, offset = self.atlas.boxes[size][numbers], self.atlas.offsets[size][numbers]
        corner = offset + np.stack([np.floor(left + pen[:-1] + 0.5), np.full(len(numbers), round(base))], axis=1)
        part = np.empty((len(numbers), 6, FLOATS), np.float32)
        part[..., 0:2] = corner[:, None] + _CORNERS * box[:, None, 2:4]
        part[..., 2:4] = box[:, None, 0:2] + _CORNERS * box[:, None, 2:4]
        part[..., 4:7], part[..., 7] = np.array(ink, np.float32) / 255, 1.0
        self._parts.append(part.reshape(-1, FLOATS))
        return width

    def width(self, text: str, size: int = PLAIN) -> float:
        """Of a text, in px."""
        return self.atlas.width(text, size)


class CanvasProgram:
    """Draws vertices of canvases; the context must be current."""

    def __init__(self) -> None:
        self._program = gl.Program("canvas.vert", "canvas.frag")
        self._mesh = gl.Mesh(2, 2, 4)
        self._kept: tuple[Atlas, gl.Texture] | None = None

    def draw(self, atlas: Atlas, parts: Sequence[NDArray[np.float32]], *, target: int, size: tuple[int, int]) -> None:
        """Blend triangles over what is in a framebuffer of a size."""
        GL = gl.GL
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, target)
        GL.glViewport(0, 0, *size)
        GL.glEnable(GL.GL_BLEND)
        GL.glBlendFunc(GL.GL_SRC_ALPHA, GL.GL_ONE_MINUS_SRC_ALPHA)
        self._texture(atlas).bind(0)
        self._program.use()
        self._program.set(atlas=0, target_px=(float(size[0]), float(size[1])))
        self._mesh.draw(np.concatenate(parts) if parts else np.zeros((0, FLOATS), np.float32))

    def _texture(self, atlas: Atlas) -> gl.Texture:
        """The atlas on the GPU; only the last one, since a window that is drawn larger goes through many sizes."""
        if self._kept is None or self._kept[0] is not atlas:
            if self._kept is not None:
                self._kept[1].delete()
            texture = gl.Texture((atlas.coverage.shape[0], atlas.coverage.shape[1]), "u1n")
            texture.fill(atlas.coverage)
            self._kept = atlas, texture
        return self._kept[1]
