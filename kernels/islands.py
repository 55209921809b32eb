"""Takes small islands out of a mask (islands.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trueflow.kernels.device import Device, source
from trueflow.kernels.launch import blocks, pixel_launch

__all__ = ["LargeIslands", "large_islands_reference"]


class LargeIslands:
    """Plan that keeps the 4-connected islands of a mask (n_z, n_x) of at least `least_area` pixels."""

    def __init__(self, device: Device, *, shape: tuple[int, int], least_area: int) -> None:
        if least_area < 1:
            raise ValueError(f"least_area: {least_area}, expected at least 1")
        self._device, self._shape = device, shape
        size = {"n_x": shape[1], "n_z": shape[0]}
        self._params = source("islands").struct("IslandParams", least_area=least_area, **size)
        self._label = source("region_label").struct("LabelParams", max_regions=0, **size)
        self._prepare, self._count, self._keep = (
            device.kernel("islands", name) for name in ("island_prepare", "island_count", "island_keep")
        )
        self._unite = device.kernel("region_label", "region_unite")
        self._in_mask = device.empty(shape, np.uint8)
        self._parent, self._area = device.empty(shape, np.int32), device.empty(shape, np.int32)

    def __call__(self, mask: Any) -> Any:
        """Returns the mask without its small islands, bool (n_z, n_x)."""
        device, n_z = self._device, self._shape[0]
        pixels, rows = pixel_launch(device, mask.size), ((blocks(n_z, 16), 1, 1), (16, 1, 1))
        kept = device.empty(self._shape, np.bool_)
        self._prepare(*pixels, self._params, mask, self._in_mask, self._parent, self._area)
        self._unite(*pixels, self._label, self._in_mask, self._parent)
        self._count(*rows, self._params, mask, self._parent, self._area)
        self._keep(*pixels, self._params, mask, self._parent, self._area, kept)
        return kept


def large_islands_reference(mask: NDArray[np.bool_], *, least_area: int) -> NDArray[np.bool_]:
    """The specification of `LargeIslands`."""
    islands, _ = ndimage.label(mask)
    return np.asarray(mask & (np.bincount(islands.ravel())[islands] >= least_area))
