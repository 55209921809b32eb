"""Whether a packet holds echoes: what is planned with a packet for the rest of a stream must not be fitted to noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from trueflow.kernels.autocorrelate import Autocorrelator
from trueflow.kernels.device import Device

__all__ = ["EchoGate"]

# Of the way from what noise alone reaches to full coherence, with 16 pulses: the least coherent of the scenes at 15 dB
# SNR, blood at 3 v_N without tissue, is at 0.18. Where noise has widened the axial spectrum so much that sub-bands
# placed by it tell wrong folds (blood alone at -5 dB; at 0 dB and 3 v_N) shares are 0.05 to 0.15, of noise alone -0.01.
LEAST_SHARE = 0.15


class EchoGate:
    """Tells echoes from noise by what they share from pulse to pulse, before any clutter filter.

    Parameters
    ----------
    device : Device
    shape : (n_z, n_x)
    n_ensemble : int
        At least 2.
    step : int
        1, or 2 for staggered pulses: then only the shorter intervals count.
    """

    def __init__(self, device: Device, *, shape: tuple[int, int], n_ensemble: int, step: int = 1) -> None:
        self._device = device
        self._autocorrelate = Autocorrelator(device, shape=shape, n_ensemble=n_ensemble, step=step)
        # White noise: products of neighbouring pulses are uncorrelated, their mean over n pairs is nearly normal, with
        # a mean length of sqrt(pi / 4n) of the power; with few pairs less (0.56 instead of 0.63 with 2).
        self._of_noise = math.sqrt(math.pi / 4 / len(range(0, n_ensemble - 1, step)))

    def share(self, iq: Any) -> float:
        """Coherence |R1| / R0, weighted by power, from about 0 for noise to 1; waits for the device.

        `iq` is complex64 (n_z, n_x, n_ensemble). Pixels that are not finite do not count; NaN where none is.
        """
        r0, r1 = (self._device.download(values) for values in self._autocorrelate(iq))
        finite = np.isfinite(r0)
        if not finite.any():
            return math.nan
        power = float(r0[finite].sum(dtype=np.float64))
        if power == 0:
            return 0.0
        coherence = float(np.abs(r1[finite]).sum(dtype=np.float64)) / power
        return (coherence - self._of_noise) / (1 - self._of_noise)

    def __call__(self, iq: Any) -> bool:
        """Whether there is enough of an echo to plan with."""
        return self.share(iq) > LEAST_SHARE
