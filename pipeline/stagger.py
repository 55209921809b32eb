"""Staggered PRF: the longer pulse interval's phase tells the shorter one's folds apart (Chinese remainder).

Blood that turns by u in the interval T1 turns by u n / m in T2 = T1 n / m. Of the folds k that a phase over T1 leaves
open, (n / m) (phase + k) agrees with the phase over T2 for one in m only. (Zrnic and Mahapatra 1985, for weather radar.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.autocorrelate import Autocorrelator, BoxAverage
from trueflow.kernels.device import Device
from trueflow.kernels.predictions import stagger_table
from trueflow.kernels.velocity import Normalize
from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.clutter import Clutter
from trueflow.pipeline.config import DopplerConfig
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import IqEnsemble, SecondPhase

__all__ = ["Stagger", "short_pairs"]


def short_pairs(acquisition: Acquisition, clutter: Clutter, config: DopplerConfig) -> NDArray[np.bool_] | None:
    """Which pairs of neighbouring pulses are the shorter interval apart; None where all are alike.

    Raises
    ------
    TrueflowError
        Staggered pulses with a lag other than 1, or after a filter that shortens the ensemble.
    """
    if acquisition.stagger is None:
        return None
    if config.lag != 1 or clutter.n_out != acquisition.n_ensemble:
        raise TrueflowError(
            "staggered pulses need neighbours",
            where="config [doppler] lag, [clutter]",
            found=f"lag {config.lag}, {clutter.n_out} of {acquisition.n_ensemble} pulses after the clutter filter",
            expected="lag 1 and all pulses",
        )
    return np.asarray(np.arange(acquisition.n_ensemble - 1) % 2 == 0)


class Stagger:
    """The second phase of staggered pulses: R1 over the longer interval, divided by R0."""

    def __init__(
        self,
        device: Device,
        acquisition: Acquisition,
        *,
        shape: tuple[int, int],
        clutter: Clutter,
        config: DopplerConfig,
    ) -> None:
        pairs = short_pairs(acquisition, clutter, config)
        assert pairs is not None
        self._autocorrelate = Autocorrelator(device, shape=shape, n_ensemble=acquisition.n_ensemble, pairs=~pairs)
        self._average = BoxAverage(device, shape=shape, size_z=config.average_z, size_x=config.average_x)
        self._normalize = Normalize(device, shape=shape)
        self._pairs, self._clutter = pairs, clutter
        self._times = acquisition.pulse_times_s * acquisition.slow_time_rate_hz
        self._table: NDArray[np.complex64] | None = None

    def __call__(self, echo: IqEnsemble, flow: IqEnsemble, mask: Any = None) -> SecondPhase:
        """Second phase of one ensemble after the clutter filter."""
        if self._table is None:  # the clutter filter is known with the first packet
            self._table = stagger_table(self._clutter.noise_filter, times=self._times, pairs=self._pairs)
        r0, r1 = self._average(*self._autocorrelate(flow.iq))
        return SecondPhase(self._normalize(r0, r1), self._table)
