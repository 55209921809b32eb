"""A classifier's folds made to agree with the wrapped phase across its steps (fold_agreement.cu)."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device, source
from trueflow.kernels.features import columns_per_thread, row_launch
from trueflow.kernels.fold_classes import BACKGROUND, CLASS_FOLDS

__all__ = ["FoldAgreement", "agreed_folds", "fold_agreement_reference"]

REACH = 2  # as in fold_agreement.cu


class FoldAgreement:
    """Plan for one image size."""

    def __init__(self, device: Device, *, shape: tuple[int, int]) -> None:
        self._device, self._shape = device, shape
        self._params = source("fold_agreement").struct(
            "AgreementParams", n_x=shape[1], n_z=shape[0], run=columns_per_thread(device, shape[1])
        )
        self._kernel = device.kernel("fold_agreement", "fold_agreement")

    def __call__(
        self, phase_turns: Any, coherence: Any, fold_class: Any, probability: Any, fold_probability: Any
    ) -> Any:
        """Fold probabilities that neighbours agree on; `fold_class` and `probability` are changed in place.

        Parameters
        ----------
        phase_turns, coherence : float32 (n_z, n_x)
            Wrapped phase, |R1| / R0.
        fold_class, probability, fold_probability
            As `FoldClasses` returns them.

        Returns
        -------
        float32 (5, n_z, n_x)
        """
        agreed = self._device.empty(fold_probability.shape, np.float32)
        self._kernel(
            *row_launch(self._device, self._shape), self._params, phase_turns, coherence, fold_probability, fold_class,
            probability, agreed,
        )  # fmt: skip
        return agreed


def agreed_folds(
    phase_turns: NDArray[Any], coherence: NDArray[Any], fold_probability: NDArray[Any]
) -> NDArray[np.float64]:
    """The probabilities that `FoldAgreement` returns, in float64."""
    n_folds, n_z, n_x = fold_probability.shape
    shares, phase = fold_probability.astype(np.float64), phase_turns.astype(np.float64)
    sums = np.zeros_like(shares)
    for dz, dx in itertools.product(range(-REACH, REACH + 1), repeat=2):
        (here_z, there_z), (here_x, there_x) = _overlap(n_z, dz), _overlap(n_x, dx)
        here, there = (here_z, here_x), (there_z, there_x)
        apart, weight = phase[there] - phase[here], coherence[there].astype(np.float64)
        for step, which in ((0, np.abs(apart) <= 0.5), (1, apart > 0.5), (-1, apart < -0.5)):
            for fold in range(n_folds):
                heard = np.where(which, weight, 0) * shares[fold][there]
                sums[min(max(fold + step, 0), n_folds - 1)][here] += heard
    total = sums.sum(axis=0)
    return np.asarray(np.where(total > 0, sums / np.where(total > 0, total, 1), shares))


def _overlap(size: int, shift: int) -> tuple[slice, slice]:
    """Places that have a neighbour `shift` further on, and those neighbours."""
    return slice(max(0, -shift), max(0, size - max(0, shift))), slice(max(0, shift), max(0, size + min(0, shift)))


def fold_agreement_reference(
    phase_turns: NDArray[Any],
    coherence: NDArray[Any],
    fold_class: NDArray[np.int8],
    probability: NDArray[Any],
    fold_probability: NDArray[Any],
) -> tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.float64]]:
    """The specification of `FoldAgreement`, in float64: class, its probability, the folds' probabilities."""
    agreed = agreed_folds(phase_turns, coherence, fold_probability)
    is_background = fold_class == BACKGROUND
    is_flow = np.minimum(probability / np.maximum(fold_probability.max(axis=0), 1e-9), 1)
    found = np.array(CLASS_FOLDS, np.int8)[agreed.argmax(axis=0)]
    return (
        np.where(is_background, fold_class, found),
        np.where(is_background, probability, is_flow * agreed.max(axis=0)),
        agreed,
    )
