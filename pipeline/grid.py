"""Image grids: where the pixels are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trueflow.pipeline.errors import TrueflowError

__all__ = ["ImageGrid"]


@dataclass(frozen=True, slots=True, eq=False)
class ImageGrid:
    """A grid of (n_z, n_x) pixels, Cartesian or polar.

    Parameters
    ----------
    axis_0 : (n_z,) float64
        Cartesian: depth z (m). Polar: distance from the apex (m).
    axis_1 : (n_x,) float64
        Cartesian: lateral x (m). Polar: angle from +z (rad), positive towards +x.
    kind : {"cartesian", "polar"}
    apex_z_m : float
        Polar only: depth of the point the beams come from (negative for convex arrays).
    """

    axis_0: NDArray[np.float64]
    axis_1: NDArray[np.float64]
    kind: Literal["cartesian", "polar"] = "cartesian"
    apex_z_m: float = 0.0

    def __post_init__(self) -> None:
        for name in ("axis_0", "axis_1"):
            axis = np.array(getattr(self, name), dtype=np.float64)
            if axis.ndim != 1 or axis.size < 1 or not np.isfinite(axis).all() or (np.diff(axis) <= 0).any():
                raise TrueflowError(
                    "not an axis",
                    where=f"grid.{name}",
                    found=f"shape {axis.shape}",
                    expected="one dimension, finite, strictly increasing",
                )
            axis.setflags(write=False)
            object.__setattr__(self, name, axis)

    @classmethod
    def cartesian(cls, x_m: ArrayLike, z_m: ArrayLike) -> ImageGrid:
        """Pixels at every (x, z)."""
        return cls(np.asarray(z_m, dtype=np.float64), np.asarray(x_m, dtype=np.float64))

    @classmethod
    def polar(cls, angles_rad: ArrayLike, radii_m: ArrayLike, *, apex_z_m: float = 0.0) -> ImageGrid:
        """Pixels at every (angle, distance) from the apex (0, apex_z_m)."""
        return cls(np.asarray(radii_m, dtype=np.float64), np.asarray(angles_rad, dtype=np.float64), "polar", apex_z_m)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_z, n_x)."""
        return self.axis_0.size, self.axis_1.size

    @property
    def x_m(self) -> NDArray[np.float64]:
        """(n_z, n_x) lateral pixel positions (m)."""
        if self.kind == "cartesian":
            return np.broadcast_to(self.axis_1, self.shape)
        return self.axis_0[:, None] * np.sin(self.axis_1)

    @property
    def z_m(self) -> NDArray[np.float64]:
        """(n_z, n_x) pixel depths (m)."""
        if self.kind == "cartesian":
            return np.broadcast_to(self.axis_0[:, None], self.shape)
        return self.apex_z_m + self.axis_0[:, None] * np.cos(self.axis_1)
