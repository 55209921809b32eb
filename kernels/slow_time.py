"""Slow-time high-pass filters as matrices: polynomial regression, FIR, IIR; numbers only, float64.

A filter is y = A x + B s, s' = C x + D s on an ensemble x and, where it keeps state across packets, a state s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import signal

__all__ = ["Initialization", "SlowTimeFilter", "fir_filter", "identity", "iir_filter", "polynomial_filter"]

Initialization = Literal["zero", "step", "projection"]

# What one degree of freedom leaves is one vector times a factor: its phase is the filter's, not the blood's.
TOO_LITTLE = "leaves less than two degrees of freedom"


@dataclass(frozen=True, slots=True, eq=False)
class SlowTimeFilter:
    """A linear filter of an ensemble.

    Parameters
    ----------
    output : (n_out, n_in + n_state) float64
        [A B]: with n_state > 0, state follows the input.
    next_state : (n_state, n_in + n_state) float64 or None
        [C D].
    rest_state : (n_state,) float64 or None
        Where there is no state yet, it is this times the first sample: what tissue at rest would have left.
    """

    output: NDArray[np.float64]
    next_state: NDArray[np.float64] | None = None
    rest_state: NDArray[np.float64] | None = None

    @property
    def n_state(self) -> int:
        """Length of the state; 0 for filters without."""
        return 0 if self.next_state is None else len(self.next_state)

    @property
    def n_in(self) -> int:
        """Input ensemble length."""
        return int(self.output.shape[1]) - self.n_state

    @property
    def n_out(self) -> int:
        """Output ensemble length: shorter than the input where a start-up is cut off."""
        return len(self.output)


def identity(n_ensemble: int) -> SlowTimeFilter:
    """No filter."""
    return SlowTimeFilter(np.eye(n_ensemble))


def polynomial_filter(n_ensemble: int, *, order: int, times: NDArray[np.float64] | None = None) -> SlowTimeFilter:
    """Regression filter: what is left after the best polynomial of an order (Bjaerum et al. 2002, eq. 16).

    Parameters
    ----------
    n_ensemble, order : int
    times : (n_ensemble,) float64, optional
        When the samples were taken, rising, in any unit. Default: evenly.

    Raises
    ------
    ValueError
        Where the order leaves nothing.
    """
    if not 0 <= order <= n_ensemble - 3:
        raise ValueError(f"clutter order {order} {TOO_LITTLE} of {n_ensemble} pulses: at most {n_ensemble - 3}")
    at = np.linspace(-1, 1, n_ensemble) if times is None else times
    basis = np.linalg.qr(np.vander(at, order + 1))[0]
    return SlowTimeFilter(np.eye(n_ensemble) - basis @ basis.T)


def fir_filter(n_ensemble: int, *, cutoff_fraction: float, order: int, keep_state: bool = False) -> SlowTimeFilter:
    """Linear-phase high-pass with `order` delays (even).

    Without state the first `order` outputs, which would lack input, are left out. With state they are made from the
    previous packet's last inputs, or from the first sample where there is none.

    Parameters
    ----------
    cutoff_fraction : float
        -6 dB cut-off over the Nyquist velocity, in (0, 1).
    """
    _check_cutoff(cutoff_fraction)
    if order < 2 or order % 2:
        raise ValueError(f"FIR order: {order}, expected even and at least 2")
    if not keep_state and order > n_ensemble - 2:
        raise ValueError(f"FIR order {order} {TOO_LITTLE} of {n_ensemble} pulses: at most {n_ensemble - 2}")
    taps = signal.firwin(order + 1, cutoff_fraction, pass_zero=False)
    taps -= taps.sum() / taps.size  # an exact zero at rest: tissue that does not move leaves nothing
    history = n_ensemble + order
    rows = np.zeros((n_ensemble, history))
    for i in range(n_ensemble):
        rows[i, i : i + order + 1] = taps[::-1]
    # Columns: `order` past samples, then the ensemble.
    if not keep_state:
        return SlowTimeFilter(rows[order:, order:])
    state = np.eye(history)[n_ensemble:]
    return SlowTimeFilter(_input_first(rows, order), _input_first(state, order), np.ones(order))


def iir_filter(
    n_ensemble: int,
    *,
    cutoff_fraction: float,
    order: int,
    initialization: Initialization = "projection",
    keep_state: bool = False,
) -> SlowTimeFilter:
    """Butterworth high-pass with its start-up transient dealt with.

    Parameters
    ----------
    cutoff_fraction : float
        -3 dB cut-off over the Nyquist velocity, in (0, 1).
    initialization : {"zero", "step", "projection"}
        Of the first state: zero; the steady state for the first sample held for ever; or chosen so that the output
        has no component in the transient's subspace (Bjaerum et al. 2002, sec. II-C).
    keep_state : bool
        Start from the previous packet's state instead, or from the steady state where there is none.
    """
    _check_cutoff(cutoff_fraction)
    if not 1 <= order <= n_ensemble - 2:
        raise ValueError(f"IIR order {order} {TOO_LITTLE} of {n_ensemble} pulses: 1 to {n_ensemble - 2}")
    a, b, c, d = signal.zpk2ss(*signal.butter(order, cutoff_fraction, "highpass", output="zpk"))
    steady = np.linalg.solve(np.eye(order) - a, b)  # state after a constant input of 1
    powers = [np.eye(order)]
    for _ in range(n_ensemble):
        powers.append(a @ powers[-1])
    free = np.vstack([c @ powers[i] for i in range(n_ensemble)])  # output of a state, no input
    forced = np.zeros((n_ensemble, n_ensemble))
    for i in range(n_ensemble):
        forced[i, i] = d[0, 0]
        for j in range(i):
            forced[i, j] = (c @ powers[i - 1 - j] @ b)[0, 0]
    if keep_state:
        drive = np.hstack([powers[n_ensemble - 1 - j] @ b for j in range(n_ensemble)])
        return SlowTimeFilter(np.hstack([forced, free]), np.hstack([drive, powers[n_ensemble]]), steady[:, 0])
    if initialization == "step":
        forced[:, 0] += (free @ steady)[:, 0]
    elif initialization == "projection":
        basis = np.linalg.qr(free)[0]
        forced = forced - basis @ (basis.T @ forced)
    return SlowTimeFilter(forced)


def _check_cutoff(cutoff_fraction: float) -> None:
    if not 0 < cutoff_fraction < 1:
        raise ValueError(f"clutter cutoff_fraction: {cutoff_fraction}, expected between 0 and 1 (of v_N)")


def _input_first(columns_state_first: NDArray[np.float64], n_state: int) -> NDArray[np.float64]:
    return np.hstack([columns_state_first[:, n_state:], columns_state_first[:, :n_state]])
