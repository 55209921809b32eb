"""What a second phase should be for each fold, given the phase and coherence measured at f0: tables for the votes.

A clutter filter pulls Doppler phases away from the velocities that it takes away (0, and multiples of 2 v_N), the more
so the wider the blood's spectrum. The pull is computed for a Gaussian spectrum from the filter's own matrix: for blood
of u turns per pulse and spectral width s (turns), with the covariance R_ab = exp(-2 pi^2 s^2 (a - b)^2) exp(2 pi j u
(a - b)), the filtered ensemble has R1 = mean_k (F R F^H)[k + 1, k] and R0 = mean_k (F R F^H)[k, k].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FOLDS", "N_COHERENCES", "N_PHASES", "SlowTimeResponse", "ratio_table", "sub_band_table"]

FOLDS = np.arange(-3, 4)
N_COHERENCES, N_PHASES = 8, 64  # bins of |R1| / R0 in [0, 1] and of the phase in [-1/2, 1/2] turns
N_TURNS = 512
WIDTHS = np.concatenate([[0.01], np.linspace(0.03, 0.45, 22)])
NOISE = 1e-3  # of the blood's power, so that what a filter takes away entirely still has a phase
# A pixel's |R1| / R0 comes of one or two speckle grains, and a mask picks the lucky ones: it is drawn half-way to what
# fast blood has. (Taken as it is, the pull on phases comes out half too small for 8 pulses.)
OWN_COHERENCE, COMMON_COHERENCE = 0.5, 0.12
PHASE_WEIGHT = 5.0  # of a miss in phase (turns) against one in coherence


@dataclass(frozen=True, slots=True, eq=False)
class SlowTimeResponse:
    """R1 and |R1| / R0 behind a filter, by spectral width and turns per pulse.

    Parameters
    ----------
    r1 : (n_widths, N_TURNS) complex128
        At turns of 0, 1 / N_TURNS, ...
    coherence : (n_widths, N_TURNS) float64
    """

    r1: NDArray[np.complex128]
    coherence: NDArray[np.float64]

    @classmethod
    def of(cls, slow_time_filter: NDArray[np.float64]) -> SlowTimeResponse:
        """The response of a filter, (n_out, n_in) float64."""
        f = slow_time_filter
        n_out, n_in = f.shape
        lagged, power = f[1:].T @ f[:-1] / (n_out - 1), f.T @ f / n_out
        # Sums over all pairs of pulses with the same distance, then a Fourier sum over distances.
        distance = np.arange(-(n_in - 1), n_in)
        by_distance = np.array([[np.trace(m, offset=-d) for d in distance] for m in (lagged, power)])
        turns = np.arange(N_TURNS) / N_TURNS
        waves = np.exp(2j * np.pi * np.outer(distance, turns))
        decay = np.exp(-2 * np.pi**2 * np.outer(WIDTHS**2, distance**2))
        r1, r0 = ((decay * sums) @ waves for sums in by_distance)
        r1, r0 = r1 + NOISE * np.trace(lagged), r0.real + NOISE * np.trace(power)
        return cls(r1, np.abs(r1) / np.maximum(r0, 1e-12))

    def turns_of(self, phase: float, coherence: float) -> tuple[float, int]:
        """Turns per pulse (nearest to the phase) and index of the width that explain a measurement best."""
        missed = np.abs((np.angle(self.r1) / (2 * np.pi) - phase + 0.5) % 1 - 0.5)
        best = missed.argmin(axis=1)
        each = np.arange(len(WIDTHS))
        cost = np.abs(self.coherence[each, best] - coherence) + PHASE_WEIGHT * missed[each, best]
        width = int(cost.argmin())
        turns = best[width] / N_TURNS
        return float(turns + np.rint(phase - turns)), width

    def r1_at(self, width: int, turns: NDArray[np.float64]) -> NDArray[np.complex128]:
        """R1 at turns per pulse, linear between the table's."""
        row = np.append(self.r1[width], self.r1[width, 0])
        at = (turns % 1) * N_TURNS
        low = np.minimum(at.astype(int), N_TURNS - 1)
        return np.asarray(row[low] + (at - low) * (row[low + 1] - row[low]))


def sub_band_table(slow_time_filter: NDArray[np.float64], *, ratio: float) -> NDArray[np.complex64]:
    """Second phases of two sub-bands behind a clutter filter, unit length.

    Parameters
    ----------
    slow_time_filter : (n_out, n_in) float64
    ratio : float
        df / f0 of the two sub-bands.

    Returns
    -------
    (N_COHERENCES, N_PHASES, 7) complex64
        For folds of -3 to 3.
    """
    response = SlowTimeResponse.of(slow_time_filter)
    table = np.empty((N_COHERENCES, N_PHASES, len(FOLDS)), np.complex64)
    for c in range(N_COHERENCES):
        for t in range(N_PHASES):
            coherence = OWN_COHERENCE * (c + 0.5) / N_COHERENCES + COMMON_COHERENCE
            turns, width = response.turns_of((t + 0.5) / N_PHASES - 0.5, coherence)
            unwrapped = np.asarray(turns + FOLDS, np.float64)
            upper, lower = (response.r1_at(width, unwrapped * (1 + sign * ratio / 2)) for sign in (1.0, -1.0))
            product = upper * lower.conj()
            table[c, t] = product / np.maximum(np.abs(product), 1e-12)
    return table


def ratio_table(ratio: float) -> NDArray[np.complex64]:
    """Second phases that are `ratio` times the true phase: those of a second pulse interval (staggered PRF).

    Returns
    -------
    (N_COHERENCES, N_PHASES, 7) complex64
    """
    phase = (np.arange(N_PHASES) + 0.5) / N_PHASES - 0.5
    row = np.exp(2j * np.pi * ratio * (phase[:, None] + FOLDS))
    return np.broadcast_to(row, (N_COHERENCES, *row.shape)).astype(np.complex64)
