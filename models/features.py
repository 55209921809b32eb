"""What the segmentation network sees of a frame: maps that do not jump where the velocity wraps.

| channel | what |
|---|---|
| 0, 1 | cosine and sine of the Doppler phase, times the coherence |
| 2 | coherence, abs(R1) / R0 |
| 3 | power R0 behind the clutter filter: dB below its 99 % quantile, 0 to -40, over 40 |
| 4 | echo envelope before it: the same, 0 to -60 dB, over 60 |
| 5 to 9 | how well the second phase agrees with what folds of -2 to 2 predict; 0 where there is none |

Flow the other way mirrors the phase: channel 1 changes its sign and channels 5 to 9 their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLASSES", "FOLDS", "N_CHANNELS", "POWER_RANGE_DB", "STRIDE", "features", "opposite_classes", "opposite_flow"]

FOLDS = (-2, -1, 0, 1, 2)
CLASSES = ("background", *(f"fold {fold:+d}" if fold else "fold 0" for fold in FOLDS))
N_CHANNELS = 10
STRIDE = 16  # height and width of what the network is given are multiples of it
POWER_RANGE_DB, ENVELOPE_RANGE_DB = 40.0, 60.0
QUANTILE = 0.99
SINE, SCORES = 1, slice(5, 10)


def features(
    r0: NDArray[np.float32],
    phase_turns: NDArray[np.float32],
    coherence: NDArray[np.float32],
    envelope: NDArray[np.float32],
    second: tuple[NDArray[np.complex64], NDArray[np.complex64]] | None = None,
) -> NDArray[np.float32]:
    """The network's input, in NumPy: the specification.

    Parameters
    ----------
    r0, phase_turns, coherence : (n_z, n_x) float32
        Power, wrapped phase in turns, abs(R1) / R0.
    envelope : (n_z, n_x) float32
        Linear.
    second : ((n_z, n_x) complex64, (n_coherences, n_phases, 7) complex64), optional
        Second phase and what it should be for folds of -3 to 3, by bins of coherence and phase.

    Returns
    -------
    (10, n_z, n_x) float32
    """
    result = np.zeros((N_CHANNELS, *r0.shape), np.float32)
    angle = 2 * np.pi * phase_turns
    result[0], result[1] = np.cos(angle) * coherence, np.sin(angle) * coherence
    result[2] = coherence
    result[3] = _below_db(r0, 10.0, POWER_RANGE_DB)
    result[4] = _below_db(envelope, 20.0, ENVELOPE_RANGE_DB)
    if second is not None:
        phasor, table = second
        row = _bin(coherence, table.shape[0])
        column = _bin(phase_turns + 0.5, table.shape[1])
        predicted = table[row, column, 1:-1]  # (n_z, n_x, 5)
        result[SCORES] = np.moveaxis((phasor[..., None] * predicted.conj()).real, -1, 0)
    return result


def _below_db(values: NDArray[np.float32], factor: float, range_db: float) -> NDArray[Any]:
    """dB below the 99 % quantile, over the range: 0 to -1."""
    top = max(float(np.quantile(values, QUANTILE)), 1e-30)
    ratio = np.maximum(values / top, 1e-12)
    return np.clip(factor * np.log10(ratio), -range_db, 0.0) / range_db


def _bin(values: NDArray[np.float32], n: int) -> NDArray[np.int64]:
    return np.clip((values * n).astype(np.int64), 0, n - 1)


def opposite_flow(inputs: NDArray[Any], *, axis: int = 0) -> NDArray[Any]:
    """The same frame with all velocities negated; `axis` is that of the channels."""
    turned = np.moveaxis(inputs.copy(), axis, 0)
    turned[SINE] *= -1
    turned[SCORES] = turned[SCORES][::-1].copy()
    return np.moveaxis(turned, 0, axis)


def opposite_classes(scores: NDArray[Any], *, axis: int = 0) -> NDArray[Any]:
    """Scores of classes as they are for negated velocities: folds in reverse order, background as it is."""
    order = [0, *range(len(CLASSES) - 1, 0, -1)]
    return np.take(scores, order, axis=axis)
