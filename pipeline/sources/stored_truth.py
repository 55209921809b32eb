"""Truth that a file holds beside its samples, on a grid of its own; see `trueflow.pipeline.sim.export`."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.sources.base import Truth
from trueflow.pipeline.sources.hdf5 import child, fields_of, number_attribute, read_block, text_attribute

__all__ = ["StoredTruth"]

FARTHEST_APEX_M = 10.0


class StoredTruth:
    """The `truth` group of a file, one entry per frame.

    Parameters
    ----------
    group : h5py.Group
    path : Path
    n_frames : int

    Raises
    ------
    TrueflowError
        Where fields are missing or do not fit together.
    """

    def __init__(self, group: h5py.Group, path: Path, n_frames: int) -> None:
        fields = fields_of(group, path)
        axes = [fields.array(name, (None,), expected="positions") for name in ("axis_0", "axis_1")]
        if axes[0] is None or axes[1] is None:
            raise fields.missing("axis_0 and axis_1", "the grid of the truth")
        kind = text_attribute(group, "kind")
        apex_z_m = number_attribute(group, "apex_z_m", 0.0)
        if not abs(apex_z_m) <= FARTHEST_APEX_M:
            raise TrueflowError("out of range", where=fields.name("apex_z_m"), found=apex_z_m, expected="m")
        self.grid = ImageGrid(axes[0], axes[1], "polar" if kind == "polar" else "cartesian", apex_z_m)
        self._where = f"{path} truth"
        self._velocity, self._mask = (self._map(group, name, n_frames) for name in ("velocity_m_s", "mask"))

    def _map(self, group: h5py.Group, name: str, n_frames: int) -> h5py.Dataset:
        dataset, shape = child(group, name), (n_frames, *self.grid.shape)
        fits = isinstance(dataset, h5py.Dataset) and dataset.shape == shape and dataset.dtype.kind in "biuf"
        if not fits:
            found = f"{dataset.dtype} {dataset.shape}" if isinstance(dataset, h5py.Dataset) else "nothing"
            raise TrueflowError("does not fit the samples", where=f"{self._where}/{name}", found=found, expected=shape)
        return dataset

    def at(self, frame: int, grid: ImageGrid) -> Truth:
        """Truth of a frame on another grid: the nearest pixel's; where there is none, 0 and no flow."""
        velocity = read_block(self._velocity, frame, f"{self._where}/velocity_m_s").astype(np.float32)
        mask = read_block(self._mask, frame, f"{self._where}/mask").astype(np.bool_)
        rows, columns, known = self._nearest(grid)
        picked = np.where(known, velocity[rows, columns], np.float32(0))
        return Truth(picked, mask[rows, columns] & known)

    def _nearest(self, grid: ImageGrid) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
        own, x, z = self.grid, grid.x_m, grid.z_m
        polar = own.kind == "polar"
        places = (np.hypot(x, z - own.apex_z_m), np.arctan2(x, z - own.apex_z_m)) if polar else (z, x)
        found = [_nearest_on(axis, place) for axis, place in zip((own.axis_0, own.axis_1), places, strict=True)]
        return found[0][0], found[1][0], found[0][1] & found[1][1]


def _nearest_on(axis: NDArray[np.float64], places: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Index of the nearest entry, and whether a place is within half a step of one."""
    if axis.size == 1:
        return np.zeros(places.shape, np.intp), np.ones(places.shape, np.bool_)
    middles = (axis[1:] + axis[:-1]) / 2
    nearest = np.searchsorted(middles, places)
    step = np.gradient(axis)[nearest]
    return np.asarray(nearest), np.abs(places - axis[nearest]) <= 0.51 * step
