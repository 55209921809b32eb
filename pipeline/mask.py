"""The flow mask of the dealias stage: where color is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device
from trueflow.kernels.islands import LargeIslands
from trueflow.kernels.velocity import FlowMask, noise_coherence
from trueflow.pipeline.config import DopplerConfig, MaskConfig
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.grid import ImageGrid

__all__ = ["Mask", "least_coherence"]

# A pixel of the default grid is about a third of a resolution cell each way, so that n averaged pixels are some n / 4
# independent looks.
PIXELS_PER_LOOK = 4.0
COHERENCE_WITHOUT_FILTER = 0.3
MOST_COHERENCE = 0.9  # of what is asked of a pixel, so that blood is shown where noise is as coherent as it can be


class Mask:
    """Gates, vote and least island size, planned for one grid.

    Parameters
    ----------
    device : Device
    grid : ImageGrid
    wavelength_m : float
        At the center frequency: islands are measured in it.
    doppler : DopplerConfig
    config : MaskConfig
    noise_filter : (n_out, n_ensemble) float64, optional
        Of the clutter stage.
    reach : (n_z, n_x) bool, optional
        Where a transmitted wave passes. Default: everywhere.

    Raises
    ------
    TrueflowError
        Settings out of range.
    """

    def __init__(
        self,
        device: Device,
        grid: ImageGrid,
        *,
        wavelength_m: float,
        doppler: DopplerConfig,
        config: MaskConfig,
        noise_filter: NDArray[np.float64] | None = None,
        reach: NDArray[np.bool_] | None = None,
    ) -> None:
        try:
            self._gate = FlowMask(
                device,
                shape=grid.shape,
                power_db=config.power_db,
                coherence=least_coherence(config, doppler, noise_filter),
                velocity_fraction=config.velocity_fraction,
                radius=config.speck_radius,
                fraction=config.speck_fraction,
                reach=reach,
            )
        except ValueError as error:
            raise TrueflowError(str(error), where="config [mask]") from error
        least_area = round(config.least_area_wavelengths2 * wavelength_m**2 / pixel_area_m2(grid))
        self._islands = LargeIslands(device, shape=grid.shape, least_area=least_area) if least_area > 1 else None

    def __call__(self, r0: Any, phase_turns: Any, coherence: Any) -> Any:
        """The mask, bool (n_z, n_x)."""
        mask = self._gate(r0, phase_turns, coherence)
        return self._islands(mask) if self._islands else mask


def pixel_area_m2(grid: ImageGrid) -> float:
    """Mean area of a pixel; infinite for a grid with one row or column, where nothing is an island."""
    if min(grid.shape) < 2:
        return float("inf")
    steps = [float(np.ptp(axis)) / (len(axis) - 1) for axis in (grid.axis_0, grid.axis_1)]
    arc = float(np.abs(grid.axis_0).mean()) if grid.kind == "polar" else 1.0
    return steps[0] * steps[1] * arc


def least_coherence(mask: MaskConfig, doppler: DopplerConfig, noise_filter: NDArray[np.float64] | None) -> float:
    """The flow mask's gate on |R1| / R0: as given, or what noise would hardly reach."""
    if mask.coherence is not None:
        return mask.coherence
    if noise_filter is None:
        return COHERENCE_WITHOUT_FILTER
    n_looks = max(1.0, doppler.average_z * doppler.average_x / PIXELS_PER_LOOK)
    return min(MOST_COHERENCE, noise_coherence(noise_filter, lag=doppler.lag, n_looks=n_looks))
