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
from trueflow.pipeline.echo_gate import EchoGate
from trueflow.pipeline.frames import IqEnsemble, SecondPhase
from trueflow.pipeline.grid import ImageGrid

__all__ = ["SubBands"]

LEAST_RATIO = 0.04  # df / f0: with less, neighbouring folds are 14 degrees apart and only noise would vote


class SubBands:
    """Second phases of a stream; planned with the first packet that holds echoes: its axial spectrum places the bands.

    The spectrum is that of probe and pulse, which a stream does not change: one such packet is enough. Nothing is said
    (None) before it comes, where echoes are too narrow-banded, depths unevenly spaced, or the lag is not 1.
    """

    def __init__(
        self, device: Device, acquisition: Acquisition, grid: ImageGrid, clutter: Clutter, config: DopplerConfig
    ) -> None:
        self._device, self._acquisition, self._grid = device, acquisition, grid
        self._clutter, self._config = clutter, config
        steps = np.diff(grid.axis_0)
        even = steps.size > 0 and np.ptp(steps) <= 1e-3 * steps.mean()
        self._gate: EchoGate | None = None
        if config.lag == 1 and clutter.n_out >= 3 and even:
            self._gate = EchoGate(device, shape=grid.shape, n_ensemble=acquisition.n_ensemble)
        self.replan()

    def replan(self) -> None:
        """Place the bands anew with the next packet that holds echoes."""
        self._planned = self._gate is None
        self._phase: SubBandPhase | None = None

    @property
    def awaits_echoes(self) -> bool:
        """Whether what it will say is not known yet."""
        return not self._planned

    @property
    def only_launches(self) -> bool:
        """Whether calls start work on the device and never wait for it: not before the bands have their places."""
        return self._planned

    def __call__(self, echo: IqEnsemble, flow: IqEnsemble, mask: Any = None) -> SecondPhase | None:
        """Second phase of one ensemble, before and after the clutter filter; where there is a mask, in it only."""
        if not self._planned and self._gate is not None:
            if not self._clutter.settled or not self._gate(echo.iq):  # the probe in air, say
                return None
            self._plan(self._device.download(echo.iq)[..., 0])
            self._planned = True
        if self._phase is None:
            return None
        return SecondPhase(self._phase(flow.iq, mask), self._table)

    def _plan(self, echo: NDArray[np.complex64]) -> None:
        pair = design_sub_bands(np.where(np.isfinite(echo), echo, 0))
        if pair is None:
            return
        a, step_m = self._acquisition, float(np.diff(self._grid.axis_0).mean())
        ratio = pair.separation_cycles * a.sound_speed_m_s / (2 * step_m) / a.center_frequency_hz
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
