"""The second phase of staggered pulses: R1 over the longer of two alternating intervals, and what it should be.

With intervals T1 : T2 = m : n blood that turns by u per T1 turns by u n / m per T2. Both wrap; together they repeat
when u has grown by m, the least number of turns that is whole for both (the Chinese remainder theorem: m and n have no
common factor). So the two phases tell folds apart within m of them: velocities up to m v_N either way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device
from trueflow.kernels.launch import pixel_launch
from trueflow.kernels.predictions import FOLDS, N_COHERENCES, N_PHASES, NOISE, PHASE_WEIGHT, WIDTHS

__all__ = ["LagPhasor", "lag_phasor_reference", "stagger_table"]

PER_TURN = 128  # steps of the turns per T1 that are tried; the middles of the phase bins are among them
PULL = 0.3  # turns: a clutter filter moves phases by less, or takes the blood away
# Of two velocities with the same phases the slower is taken. No shorter: flow a little too fast for the range is then
# still right by its neighbours (a plug of 2.3 v_N at 2:3: 0.04 % wrong; with 0.95 nine tenths).
BEYOND_RANGE = 0.97


class LagPhasor:
    """R1 / R0, of length 1 at most."""

    def __init__(self, device: Device, *, shape: tuple[int, int]) -> None:
        self._device, self._shape = device, shape
        self._kernel = device.kernel("maps", "lag_phasor")

    def __call__(self, r0: Any, r1: Any) -> Any:
        """Returns complex64 (n_z, n_x)."""
        phasor = self._device.empty(self._shape, np.complex64)
        self._kernel(*pixel_launch(self._device, phasor.size), phasor.size, r0, r1, phasor)
        return phasor


def lag_phasor_reference(r0: NDArray[Any], r1: NDArray[Any]) -> NDArray[np.complex128]:
    """The specification of `LagPhasor`, in float64."""
    r = r1.astype(np.complex128)
    return np.asarray(r / np.maximum(np.maximum(r0.astype(np.float64), np.abs(r)), 1e-37))


def stagger_table(slow_time_filter: NDArray[np.float64], *, stagger: tuple[int, int]) -> NDArray[np.complex64]:
    """Phases over T2 behind a clutter filter, by coherence and phase over T1.

    As in `predictions`, for blood with a Gaussian spectrum; the covariance of pulses a and b is
    exp(-2 pi^2 s^2 (t_a - t_b)^2) exp(2 pi j u (t_a - t_b)), with times in T1. For each fold, u and s are those that
    explain phase and coherence over T1 best near that fold.

    Parameters
    ----------
    slow_time_filter : (n, n) float64
        Of n pulses, the first two T1 apart.
    stagger : (int, int)
        m and n.

    Returns
    -------
    (N_COHERENCES, N_PHASES, n_folds) complex64
        For `predictions.FOLDS`; of unit length within the unambiguous range, a little shorter beyond it.
    """
    phase = (np.arange(N_PHASES) + 0.5) / N_PHASES - 0.5
    straight = phase[:, None] + FOLDS
    length = np.where(np.abs(straight) <= stagger[0] / 2, 1.0, BEYOND_RANGE)
    furthest = int(np.abs(FOLDS).max()) + 1
    turns = np.arange(-furthest * PER_TURN, furthest * PER_TURN + 1) / PER_TURN
    first, second, r0 = _responses(slow_time_filter, stagger, turns)
    coherence = np.abs(first) / np.maximum(r0, 1e-12)
    wrapped = np.angle(first) / (2 * np.pi)
    reach = round(PULL * PER_TURN)
    wanted = (np.arange(N_COHERENCES) + 0.5)[:, None] / N_COHERENCES
    widths = np.arange(len(WIDTHS))
    table = np.empty((N_COHERENCES, N_PHASES, len(FOLDS)), np.complex64)
    for t in range(N_PHASES):
        for f in range(len(FOLDS)):
            middle = round((straight[t, f] - turns[0]) * PER_TURN)
            near = slice(middle - reach, middle + reach + 1)
            missed = np.abs((wrapped[:, near] - phase[t] + 0.5) % 1 - 0.5)
            best = missed.argmin(axis=1)
            at = widths, middle - reach + best
            cost = np.abs(coherence[at] - wanted) + PHASE_WEIGHT * missed[widths, best]
            r1 = second[at][cost.argmin(axis=1)]
            table[:, t, f] = length[t, f] * r1 / np.maximum(np.abs(r1), 1e-12)
    return table


def _responses(
    f: NDArray[np.float64], stagger: tuple[int, int], turns: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], NDArray[np.complex128], NDArray[np.float64]]:
    """R1 over T1, R1 over T2 and R0 behind a filter, each (n_widths, n_turns)."""
    m, n = stagger
    n_out, n_in = f.shape
    pairs, odd = np.divmod(np.arange(n_in), 2)
    position = pairs * (m + n) + odd * m  # in T1 / m: whole numbers
    products = [f[1::2].T @ f[:-1:2] / (n_out // 2), f[2::2].T @ f[1:-1:2] / (n_out // 2 - 1), f.T @ f / n_out]
    distance = position[:, None] - position
    all_distances = np.arange(-position[-1], position[-1] + 1)
    waves = np.exp(2j * np.pi / m * np.outer(all_distances, turns))
    decay = np.exp(-2 * np.pi**2 * np.outer(WIDTHS**2, (all_distances / m) ** 2))
    results = []
    for product in products:
        sums = np.bincount((distance + position[-1]).ravel(), product.ravel(), len(all_distances))
        results.append((decay * sums) @ waves + NOISE * np.trace(product))
    return results[0], results[1], results[2].real
