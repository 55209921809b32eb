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

from trueflow.kernels.features import MULTIPLE, N_FEATURES, SCORED_FOLDS, features_reference

__all__ = ["CLASSES", "COHERENCE", "FOLDS", "N_CHANNELS", "STRIDE", "features", "opposite_classes", "opposite_flow"]

FOLDS = SCORED_FOLDS
CLASSES = ("background", *(f"fold {fold:+d}" if fold else "fold 0" for fold in FOLDS))
N_CHANNELS, STRIDE = N_FEATURES, MULTIPLE  # height and width of what the network is given are multiples of it
SINE, COHERENCE, SCORES = 1, 2, slice(5, 10)


def features(
    r0: NDArray[np.float32],
    phase_turns: NDArray[np.float32],
    coherence: NDArray[np.float32],
    envelope: NDArray[np.float32],
    second: tuple[NDArray[np.complex64], NDArray[np.complex64]] | None = None,
) -> NDArray[np.float32]:
    """The network's input, in NumPy.

    Parameters
    ----------
    r0, phase_turns, coherence : (n_z, n_x) float32
        Power, wrapped phase in turns, abs(R1) / R0.
    envelope : (n_z, n_x) float32
        Linear.
    second : ((n_z, n_x) complex64, (n_coherences, n_phases, n_folds) complex64), optional
        Second phase and what it should be by bins of coherence and phase, for as many folds above as below 0.

    Returns
    -------
    (10, n_z, n_x) float32
    """
    return features_reference(r0, phase_turns, coherence, envelope, second).astype(np.float32)


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
