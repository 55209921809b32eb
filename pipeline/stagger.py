"""The stage that takes a second phase from the longer interval of staggered pulses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device
from trueflow.kernels.stagger import LagPhasor, stagger_table
from trueflow.kernels.velocity import noise_coherence
from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.clutter import Clutter
from trueflow.pipeline.config import Config, DopplerConfig, MaskConfig, PersistenceConfig
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import IqEnsemble, SecondPhase
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.mask import MOST_COHERENCE, PIXELS_PER_LOOK
from trueflow.pipeline.stages import Doppler, Persistence

__all__ = ["Stagger", "check_staggered", "staggered_mask"]


class Stagger:
    """Second phases of a stream: R1 over the pairs of pulses that are T2 apart, averaged as R1 over T1 is.

    Parameters
    ----------
    device : Device
    acquisition : Acquisition
        Staggered.
    grid : ImageGrid
    clutter : Clutter
    doppler : DopplerConfig
    persistence : PersistenceConfig
    """

    def __init__(
        self,
        device: Device,
        acquisition: Acquisition,
        grid: ImageGrid,
        clutter: Clutter,
        *,
        doppler: DopplerConfig,
        persistence: PersistenceConfig,
    ) -> None:
        assert acquisition.stagger is not None
        m, n = self._stagger = acquisition.stagger
        self._clutter = clutter
        self._doppler = Doppler(
            device,
            shape=grid.shape,
            n_ensemble=clutter.n_out,
            nyquist_velocity_m_s=acquisition.nyquist_velocity_m_s() * m / n,
            config=doppler,
            first=1,
            step=2,
        )
        self._persistence = Persistence(device, shape=grid.shape, config=persistence)
        self._phasor = LagPhasor(device, shape=grid.shape)
        self.replan()

    def replan(self) -> None:
        """Take the clutter filter anew with the next packet."""
        self._table: NDArray[np.complex64] | None = None

    @property
    def awaits_echoes(self) -> bool:
        """Whether what it will say is not known yet: not before the clutter stage knows its filter."""
        return not self._clutter.settled

    @property
    def only_launches(self) -> bool:
        """Whether the next call launches what all later ones do."""
        return self._persistence.only_launches

    def __call__(self, echo: IqEnsemble, flow: IqEnsemble, mask: Any = None) -> SecondPhase | None:
        """Second phase of one ensemble, given before and after the clutter filter; None while echoes are waited for."""
        if self.awaits_echoes:
            return None
        if self._table is None:
            self._table = stagger_table(self._clutter.noise_filter, stagger=self._stagger)
        over = self._persistence(self._doppler(flow))
        return SecondPhase(self._phasor(over.r0, over.r1), self._table)

    def reset(self) -> None:
        """Forget the past."""
        self._persistence.reset()


def check_staggered(config: Config) -> None:
    """Refuse what staggered pulses cannot do; the clutter filters say so themselves.

    Raises
    ------
    TrueflowError
    """
    if config.doppler.lag != 1:
        raise TrueflowError(
            "does not fit staggered pulses",
            where="config [doppler] lag",
            found=config.doppler.lag,
            expected="1: the two intervals are those of neighbouring pulses",
        )


def staggered_mask(mask: MaskConfig, doppler: DopplerConfig, noise_filter: NDArray[np.float64]) -> MaskConfig:
    """The mask's settings with the coherence, where it is left open, that noise hardly reaches over T1 alone."""
    if mask.coherence is not None:
        return mask
    n_looks = max(1.0, doppler.average_z * doppler.average_x / PIXELS_PER_LOOK)
    coherence = noise_coherence(noise_filter, lag=1, n_looks=n_looks, step=2)
    return replace(mask, coherence=min(MOST_COHERENCE, coherence))
