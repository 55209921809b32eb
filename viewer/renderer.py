"""Frames on the GPU, and panels drawn from them into any framebuffer. Knows no window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.picture.compose import ColorScale
from trueflow.viewer import gl
from trueflow.viewer.colors import VARIANCE_ROWS, color_table
from trueflow.viewer.controls import EVERYWHERE, MOST_SHIFT, DisplayControls, Fit
from trueflow.viewer.interop import DeviceUploader, is_on_device

__all__ = ["MODES", "Mode", "Place", "Renderer", "color_scale"]

Mode = Literal["gray", "raw", "folds", "dealiased"]
MODES: tuple[Mode, ...] = ("gray", "raw", "folds", "dealiased")  # numbered as in image.frag

LOOKUP_SIZE = 4096  # of an axis with uneven steps
UNEVEN = 1e-3  # of a step
MAPS: dict[str, tuple[str, int]] = {  # texture kind and components, in the order of their units
    "envelope": ("f4", 1),
    "velocity": ("f4", 1),
    "wrapped": ("f4", 1),
    "fold": ("i1", 1),
    "confidence": ("f4", 1),
    "mask": ("u1", 1),
    "r0": ("f4", 1),
    "r1": ("f4", 2),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A rectangle of the target (px from its top left corner) and what it shows (m)."""

    left: float
    top: float
    width: float
    height: float
    x_m: tuple[float, float]
    z_m: tuple[float, float]


def color_scale(mode: Mode, controls: DisplayControls, fit: Fit, nyquist_m_s: float) -> ColorScale:
    """What the ends of a panel's color bar stand for."""
    half = nyquist_m_s if mode == "raw" else controls.scale_m_s or fit.scale_m_s
    most = MOST_SHIFT * half
    return ColorScale(half, min(max(controls.baseline_m_s, -most), most))


def frame_maps(frame: ColorFrame) -> dict[str, Any]:
    """The arrays of a frame by texture, as they are in memory."""
    velocity, doppler = frame.velocity, frame.doppler
    return {
        "envelope": frame.bmode.envelope,
        "velocity": velocity.velocity_m_s,
        "wrapped": velocity.wrapped_velocity_m_s,
        "fold": velocity.fold,
        "confidence": velocity.confidence,
        "mask": velocity.mask.view(np.uint8),
        "r0": doppler.r0,
        "r1": doppler.r1.view(np.float32),
    }


class Renderer:
    """Draws color frames of one grid with an OpenGL 3.3 core context, which must be current.

    Parameters
    ----------
    grid : ImageGrid
    """

    def __init__(self, grid: ImageGrid) -> None:
        self.grid = grid
        self._maps = {name: gl.Texture(grid.shape, *kind) for name, kind in MAPS.items()}
        shown = gl.Texture(grid.shape, "f4", 4, smooth=True), gl.Texture(grid.shape, "f4", 4, smooth=True)
        self._merged = gl.Framebuffer(*shown)
        self._merge = gl.Program("maps.vert", "maps.frag", outputs=("shown", "extra"))
        self._rectangle, self._anything = gl.Mesh(2, 2), gl.Mesh(2)
        self._images: dict[tuple[int, int], gl.Program] = {}
        self._colors: dict[tuple[str, bool], gl.Texture] = {}
        self._axes = _Axes.of(grid)
        self._places: gl.Texture | None = None
        if self._axes.lookup is not None:
            self._places = gl.Texture(self._axes.lookup.shape, "f4", smooth=True)
            self._places.fill(self._axes.lookup)
        self._nyquist_m_s = 1.0
        self._device: DeviceUploader | None = None

    def upload(self, frame: ColorFrame) -> None:
        """Put a frame's maps into textures: from the host, or from CUDA's memory where they are there."""
        maps = frame_maps(frame)
        if is_on_device(maps["velocity"]):
            if self._device is None:
                self._device = DeviceUploader(self._maps)
            self._device.fill(maps)
        else:
            for name, values in maps.items():
                self._maps[name].fill(values)
        self._nyquist_m_s = float(frame.velocity.nyquist_velocity_m_s)

    def prepare(self, controls: DisplayControls, fit: Fit) -> None:
        """Work out, once for all panels, what the uploaded frame shows under these controls."""
        GL = gl.GL
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, self._merged.id)
        GL.glViewport(0, 0, self.grid.shape[1], self.grid.shape[0])
        GL.glDisable(GL.GL_BLEND)
        program = self._merge
        program.use()
        for unit, (name, texture) in enumerate(self._maps.items()):
            texture.bind(unit)
            program.set(**{name: unit})
        scale = color_scale("raw", controls, fit, self._nyquist_m_s)
        no_power = controls.power_db <= -80.0
        program.set(
            reference=fit.envelope,
            floor_db=-(controls.dynamic_range_db + abs(controls.gain_db)),
            nyquist_m_s=self._nyquist_m_s,
            baseline_m_s=scale.baseline_m_s,
            least_power=0.0 if no_power else fit.power * 10.0 ** (controls.power_db / 10.0),
            least_coherence=controls.coherence,
        )
        self._anything.draw(np.zeros((3, 2), np.float32))

    def draw(
        self, place: Place, mode: Mode, controls: DisplayControls, fit: Fit, *, target: int, size: tuple[int, int]
    ) -> None:
        """Draw one panel's image into a framebuffer.

        Parameters
        ----------
        place : Place
        mode : {"gray", "raw", "folds", "dealiased"}
        controls : DisplayControls
        fit : Fit
        target : int
            Framebuffer; 0 is the window.
        size : (int, int)
            Its width and height.
        """
        GL = gl.GL
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, target)
        GL.glViewport(0, 0, *size)
        GL.glDisable(GL.GL_BLEND)
        colors = self._color_texture(controls)
        program = self._image_program("gray" if not controls.color else mode, colors.shape[0])
        program.use()
        for unit, (name, texture) in enumerate(
            (("shown", self._merged.textures[0]), ("extra", self._merged.textures[1]), ("colors", colors))
        ):
            texture.bind(unit)
            program.set(**{name: unit})
        if self._places is not None:
            self._places.bind(3)
            program.set(places=3)
        scale = color_scale(mode, controls, fit, self._nyquist_m_s)
        axes = self._axes
        program.set(
            target_px=(float(size[0]), float(size[1])),
            grid_size=(float(self.grid.shape[1]), float(self.grid.shape[0])),
            axis_start=axes.start,
            axis_rate=axes.rate,
            apex_z_m=float(self.grid.apex_z_m),
            gain_db=controls.gain_db,
            range_db=controls.dynamic_range_db,
            low_m_s=scale.low_m_s,
            high_m_s=scale.high_m_s,
            nyquist_m_s=self._nyquist_m_s,
            priority=controls.priority,
            confidence=int(controls.confidence),
            box_m=controls.box_m or EVERYWHERE,
        )
        self._rectangle.draw(_corners(place))

    def _image_program(self, mode: Mode, n_color_rows: int) -> gl.Program:
        variance = n_color_rows if n_color_rows == VARIANCE_ROWS else 0
        key = MODES.index(mode), variance
        if key not in self._images:
            defines = {"POLAR": int(self.grid.kind == "polar"), "MODE": key[0], "VARIANCE": variance}
            defines["LOOKUP"] = 0 if self._places is None else LOOKUP_SIZE
            self._images[key] = gl.Program("image.vert", "image.frag", defines)
        return self._images[key]

    def _color_texture(self, controls: DisplayControls) -> gl.Texture:
        key = controls.color_map, controls.invert
        if key not in self._colors:
            table = color_table(controls.color_map, invert=controls.invert)
            self._colors[key] = texture = gl.Texture((table.shape[0], table.shape[1]), "u1n", 3)
            texture.fill(table)
        return self._colors[key]


def _corners(place: Place) -> NDArray[np.float32]:
    """Two triangles: x and y in px, x and z in m."""
    left, top, right, bottom = place.left, place.top, place.left + place.width, place.top + place.height
    (x0, x1), (z0, z1) = place.x_m, place.z_m
    a, b, c, d = (left, top, x0, z0), (right, top, x1, z0), (left, bottom, x0, z1), (right, bottom, x1, z1)
    return np.array([a, c, b, b, c, d], np.float32)


@dataclass(frozen=True, slots=True)
class _Axes:
    """From a position along axis 1 and axis 0 to a place on them; by a table where steps are uneven."""

    start: tuple[float, float]
    rate: tuple[float, float]
    lookup: NDArray[np.float32] | None

    @classmethod
    def of(cls, grid: ImageGrid) -> _Axes:
        axes = grid.axis_1, grid.axis_0
        start = float(axes[0][0]), float(axes[1][0])
        rate = tuple((axis.size - 1) / float(axis[-1] - axis[0]) if axis.size > 1 else 1.0 for axis in axes)
        even = all(
            np.abs(axis - np.linspace(axis[0], axis[-1], axis.size)).max() < UNEVEN / r
            for axis, r in zip(axes, rate, strict=True)
        )
        lookup = None
        if not even:
            rows = [
                np.interp(np.linspace(axis[0], axis[-1], LOOKUP_SIZE), axis, np.arange(axis.size))
                for axis in (grid.axis_0, grid.axis_1)
            ]
            lookup = np.array(rows, np.float32)
        return cls(start, (rate[0], rate[1]), lookup)
