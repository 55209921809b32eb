"""The stage that takes a second phase from two axial sub-bands of the beamformed IQ."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device
from trueflow.kernels.predictions import sub_band_table
from trueflow.kernels.sub_bands import SubBandPhase, design_sub_bands
from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.clutter import Clutter
from trueflow.pipeline.config import DopplerConfig
from trueflow.pipeline.frames import IqEnsemble, SecondPhase
from trueflow.pipeline.grid import ImageGrid

__all__ = ["SubBands"]

LEAST_RATIO = 0.04  # df / f0: with less, neighbouring folds are 14 degrees apart and only noise would vote


class SubBands:
    """Second phases of a stream; planned with the first packet that is not silent: its axial spectrum places the bands.

    Nothing is said (None) where echoes are too narrow-banded, depths unevenly spaced, or the lag is not 1.
    """

    def __init__(
        self, device: Device, acquisition: Acquisition, grid: ImageGrid, clutter: Clutter, config: DopplerConfig
    ) -> None:
        self._device, self._acquisition, self._grid = device, acquisition, grid
        self._clutter, self._config = clutter, config
        self._planned = False
        self._phase: SubBandPhase | None = None

    def __call__(self, echo: IqEnsemble, flow: IqEnsemble, mask: Any = None) -> SecondPhase | None:
        """Second phase of one ensemble, before and after the clutter filter; where there is a mask, in it only."""
        if not self._planned:
            first = self._device.download(echo.iq)[..., 0]
            if not first.any():  # the probe in air, say: the next packet may tell more
                return None
            self._plan(first)
            self._planned = True
        if self._phase is None:
            return None
        return SecondPhase(self._phase(flow.iq, mask), self._table)

    def _plan(self, echo: NDArray[np.complex64]) -> None:
        steps = np.diff(self._grid.axis_0)
        if self._config.lag != 1 or self._clutter.n_out < 3:
            return
        if steps.size == 0 or np.ptp(steps) > 1e-3 * steps.mean():
            return
        pair = design_sub_bands(echo)
        if pair is None:
            return
        a = self._acquisition
        ratio = pair.separation_cycles * a.sound_speed_m_s / (2 * float(steps.mean())) / a.center_frequency_hz
        if ratio < LEAST_RATIO:
            return
        self._table = sub_band_table(self._clutter.noise_filter, ratio=ratio)
        self._phase = SubBandPhase(
            self._device,
            shape=self._grid.shape,
            n_ensemble=self._clutter.n_out,
            filter_pair=pair,
            size_z=self._config.average_z,
            size_x=self._config.average_x,
        )
