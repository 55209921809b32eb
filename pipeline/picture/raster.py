"""Resampling from a grid to the square pixels of a picture; polar grids are scan-converted on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.grid import ImageGrid

__all__ = ["Raster"]


class Raster:
    """Resamples maps from a grid to square pixels; polar grids are scan-converted.

    Parameters
    ----------
    grid : ImageGrid
    height_px, width_px : int
        The box that the image is fitted into.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the image.
    grid_shape : (n_z, n_x)
    pitch_m : float
        Side of a pixel.
    x_m, z_m : (float, float)
        Left and right edge, top and bottom edge of the image.
    inside : (rows, columns) bool
        Where the grid has data.
    corner : (rows, columns) int32
        Flat index of the grid's pixel above and left of each image pixel; -1 outside.
    fraction : (2, rows, columns) float32
        How far down and right of it the image pixel lies, in grid pixels.
    """

    def __init__(self, grid: ImageGrid, *, height_px: int, width_px: int) -> None:
        if min(grid.shape) < 2:
            raise TrueflowError(
                "too few pixels for a picture", where="grid", found=grid.shape, expected="at least 2 x 2"
            )
        left, right = float(grid.x_m.min()), float(grid.x_m.max())
        top, bottom = float(grid.z_m.min()), float(grid.z_m.max())
        self.pitch_m = max((bottom - top) / height_px, (right - left) / width_px)
        rows = max(2, round((bottom - top) / self.pitch_m))
        columns = max(2, round((right - left) / self.pitch_m))
        self.shape, self.grid_shape = (rows, columns), grid.shape
        self.x_m = left, left + columns * self.pitch_m
        self.z_m = top, top + rows * self.pitch_m
        x = left + (np.arange(columns, dtype=np.float64) + 0.5) * self.pitch_m
        z = top + (np.arange(rows, dtype=np.float64) + 0.5) * self.pitch_m
        self._plan(grid, x[None, :], z[:, None])

    def _plan(self, grid: ImageGrid, x: NDArray[Any], z: NDArray[Any]) -> None:
        """Each pixel's four neighbors on the grid and their bilinear weights, heaviest neighbor first."""
        if grid.kind == "polar":
            along = np.hypot(x, z - grid.apex_z_m), np.arctan2(x, z - grid.apex_z_m)
        else:
            along = np.broadcast_to(z, self.shape), np.broadcast_to(x, self.shape)
        self.inside = np.ones(self.shape, dtype=np.bool_)
        lower, fraction = [], []
        for axis, position in zip((grid.axis_0, grid.axis_1), along, strict=True):
            edge = 0.5 * (axis[-1] - axis[0]) / (axis.size - 1)
            self.inside &= (position >= axis[0] - edge) & (position <= axis[-1] + edge)
            place = np.interp(position[...], axis, np.arange(axis.size))
            lower.append(np.minimum(place.astype(np.intp), axis.size - 2))
            fraction.append(place - lower[-1])
        n_x = grid.axis_1.size
        self.corner = np.where(self.inside, lower[0] * n_x + lower[1], -1).astype(np.int32)
        self.fraction = np.stack(fraction).astype(np.float32)
        corners = [(0, 0), (0, 1), (1, 0), (1, 1)]
        index = np.stack([(lower[0] + i) * n_x + lower[1] + j for i, j in corners])
        weight = np.stack(
            [(fraction[0] if i else 1 - fraction[0]) * (fraction[1] if j else 1 - fraction[1]) for i, j in corners]
        )
        order = np.argsort(-weight, axis=0, kind="stable")
        self._index = np.take_along_axis(index, order, axis=0)[:, self.inside]
        self._weight = np.take_along_axis(weight, order, axis=0)[:, self.inside].astype(np.float32)

    def smooth(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bilinear interpolation of a map (n_z, n_x) at the pixels inside the grid: (n_inside,)."""
        flat = np.ascontiguousarray(values).reshape(-1)
        total: NDArray[np.float32] = self._weight[0] * flat[self._index[0]]
        for index, weight in zip(self._index[1:], self._weight[1:], strict=True):
            total += weight * flat[index]
        return total

    def velocity(
        self, velocity_m_s: NDArray[np.float32], mask: NDArray[np.bool_], *, nyquist_velocity_m_s: float
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Which of the pixels inside the grid show flow (n_flow,), and its velocity there (n_flow,).

        Neighbors outside the mask have no say. Nor have those that differ from the nearest one by more than v_N:
        blending across a fold would draw a seam of velocities that nothing has.
        """
        values, flow = np.ascontiguousarray(velocity_m_s).reshape(-1), np.ascontiguousarray(mask).reshape(-1)
        shown = np.flatnonzero(self.smooth(flow.astype(np.float32)) >= 0.5)
        indices, weights = self._index.take(shown, axis=1), self._weight.take(shown, axis=1)
        neighbors, heard = np.where(flow, values, np.float32(0))[indices], flow[indices]
        nearest_m_s = neighbors[-1]
        for neighbor, has_say in zip(neighbors[-2::-1], heard[-2::-1], strict=True):  # the heaviest one comes first
            nearest_m_s = np.where(has_say, neighbor, nearest_m_s)
        weights *= heard
        weights *= np.abs(neighbors - nearest_m_s) <= nyquist_velocity_m_s
        return shown, (weights * neighbors).sum(axis=0) / weights.sum(axis=0)
