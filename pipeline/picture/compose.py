"""A color frame as an RGB image with square pixels: B-mode in gray, color velocity over it where there is flow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import get_device
from trueflow.kernels.picture import Look, Picture
from trueflow.pipeline.config import DisplayConfig
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.picture.color_maps import COLOR_MAP_SIZE, color_map
from trueflow.pipeline.picture.raster import Raster

__all__ = ["ColorScale", "Compositor", "choose_scale_m_s", "envelope_reference"]

NICE_STEPS = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0)
ROBUST_QUANTILE = 0.995  # of speed in the flow mask, for the color scale
WHITE_QUANTILE = 0.999  # of the envelope: what is shown white at 0 dB of gain


@dataclass(frozen=True, slots=True)
class ColorScale:
    """The velocities at the ends of the color bar.

    Parameters
    ----------
    scale_m_s : float
        Half the range of the bar.
    baseline_m_s : float
        The middle of the bar. Rest stays black, wherever it is on the bar.
    """

    scale_m_s: float
    baseline_m_s: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale_m_s) and self.scale_m_s > abs(self.baseline_m_s)):
            raise TrueflowError(
                "rest is off the scale",
                where="display.scale_m_s",
                found=f"scale {self.scale_m_s:g} m/s, baseline {self.baseline_m_s:g} m/s",
                expected="a scale larger than the baseline's shift",
            )

    @property
    def low_m_s(self) -> float:
        """The fastest flow away from the probe that has a color of its own (m/s, negative)."""
        return self.baseline_m_s - self.scale_m_s

    @property
    def high_m_s(self) -> float:
        """The fastest flow towards the probe that has a color of its own (m/s)."""
        return self.baseline_m_s + self.scale_m_s

    def entries(self, velocity_m_s: NDArray[np.float32]) -> NDArray[np.intp]:
        """Entries of a color map, same shape; beyond the scale the last color holds."""
        fraction = np.where(velocity_m_s < 0, velocity_m_s / -self.low_m_s, velocity_m_s / self.high_m_s)
        middle = COLOR_MAP_SIZE // 2
        return np.rint(middle * (1.0 + np.clip(fraction, -1.0, 1.0))).astype(np.intp)


def choose_scale_m_s(frames: list[ColorFrame], *, wrapped: bool = False) -> float:
    """v_N, or where flow is faster than that its 99.5th percentile over `frames`, rounded up to a handy number."""
    nyquist_m_s = max(frame.velocity.nyquist_velocity_m_s for frame in frames)
    if wrapped:
        return nyquist_m_s
    speeds = np.concatenate([np.abs(frame.velocity.velocity_m_s[frame.velocity.mask]) for frame in frames])
    fast_m_s = float(np.quantile(speeds, ROBUST_QUANTILE)) if speeds.size else 0.0
    if fast_m_s <= nyquist_m_s * (1 + 1e-6):  # one of them has been a float32
        return nyquist_m_s
    decade = 10.0 ** math.floor(math.log10(fast_m_s))
    return next(step * decade for step in NICE_STEPS if step * decade >= fast_m_s * (1 - 1e-6))


def envelope_reference(frame: ColorFrame) -> float:
    """The envelope that is shown white at 0 dB of gain."""
    envelope = frame.bmode.envelope
    return float(np.quantile(envelope, WHITE_QUANTILE)) or 1.0


class Compositor:
    """Draws color frames of one grid as RGB images: B-mode, and color over it where there is flow.

    Parameters
    ----------
    raster : Raster
    display : DisplayConfig
    scale : ColorScale
    reference : float
        Envelope that is white at 0 dB of gain.
    n_threads : int, optional
        Default: all cores.
    """

    def __init__(
        self,
        raster: Raster,
        display: DisplayConfig,
        *,
        scale: ColorScale,
        reference: float,
        n_threads: int | None = None,
    ) -> None:
        self.raster = raster
        self.scale = scale
        self._display = display
        self._reference = reference
        self._device = get_device("cpu", n_threads=n_threads)
        self._picture = Picture(
            self._device,
            shape=raster.grid_shape,
            corner=raster.corner,
            fraction=raster.fraction,
            colors=color_map(display.color_map),
        )

    def __call__(self, frame: ColorFrame, *, wrapped: bool = False, color: bool = True) -> NDArray[np.uint8]:
        """The image, (rows, columns, 3) uint8; black outside the grid.

        Parameters
        ----------
        frame : ColorFrame
            With arrays on the CPU.
        wrapped : bool
            Draw the velocity before dealiasing.
        color : bool
            False for B-mode alone.

        Raises
        ------
        TrueflowError
            Of another size than the grid.
        """
        velocity, display, scale = frame.velocity, self._display, self.scale
        if velocity.mask.shape != self.raster.grid_shape:
            raise TrueflowError(
                "frame of another size", where="Compositor", found=velocity.mask.shape, expected=self.raster.grid_shape
            )
        look = Look(
            white=self._reference,
            range_db=display.dynamic_range_db,
            gain_db=display.gain_db,
            low=scale.low_m_s,
            high=scale.high_m_s,
            apart=velocity.nyquist_velocity_m_s,  # of more, a blend would draw a seam of velocities that nothing has
        )
        values = velocity.wrapped_velocity_m_s if wrapped else velocity.velocity_m_s
        image = self._picture(
            np.ascontiguousarray(frame.bmode.envelope, np.float32),
            np.ascontiguousarray(values, np.float32),
            np.ascontiguousarray(velocity.mask, np.bool_),
            look,
            in_color=color,
        )
        return self._device.download(image)
