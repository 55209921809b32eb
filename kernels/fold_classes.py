"""From the segmentation network's logits to classes and probabilities (fold_classes.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device, source
from trueflow.kernels.features import columns_per_thread, row_launch

__all__ = ["BACKGROUND", "CLASS_FOLDS", "N_CLASSES", "FoldClasses", "fold_classes_reference"]

CLASS_FOLDS = (-2, -1, 0, 1, 2)  # of the classes after the background, which is the first
N_CLASSES = 1 + len(CLASS_FOLDS)
BACKGROUND = -128  # fold class of a pixel that the network takes for no flow


class FoldClasses:
    """Classes and probabilities from logits.

    Parameters
    ----------
    device : Device
    shape : (n_z, n_x)
        Of the image.
    padded : (padded_z, padded_x)
        Of the logits, whose first rows and columns are the image.
    """

    def __init__(self, device: Device, *, shape: tuple[int, int], padded: tuple[int, int]) -> None:
        if padded[0] < shape[0] or padded[1] < shape[1]:
            raise ValueError(f"padded: {padded}, expected at least the image's {shape}")
        self._device, self._shape = device, shape
        self._params = source("fold_classes").struct(
            "ClassParams",
            n_x=shape[1],
            n_z=shape[0],
            padded_x=padded[1],
            padded_z=padded[0],
            run=columns_per_thread(device, shape[1]),
        )
        self._kernel = device.kernel("fold_classes", "fold_classes")

    def __call__(self, logits: Any) -> tuple[Any, Any, Any]:
        """Classes and probabilities of one image.

        Parameters
        ----------
        logits : float32 (1, 6, padded_z, padded_x)
            Background, then folds of -2 to 2.

        Returns
        -------
        fold_class : int8 (n_z, n_x)
            Likeliest fold, or `BACKGROUND`.
        probability : float32 (n_z, n_x)
            Of that class.
        fold_probability : float32 (5, n_z, n_x)
            Of each fold, given that there is flow.
        """
        device, shape = self._device, self._shape
        fold_class = device.empty(shape, np.int8)
        probability = device.empty(shape, np.float32)
        folds = device.empty((len(CLASS_FOLDS), *shape), np.float32)
        self._kernel(*row_launch(device, shape), self._params, logits, fold_class, probability, folds)
        return fold_class, probability, folds


def fold_classes_reference(
    logits: NDArray[Any], *, shape: tuple[int, int]
) -> tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.float64]]:
    """The specification of `FoldClasses`, in float64."""
    x = logits[0, :, : shape[0], : shape[1]].astype(np.float64)
    shares = np.exp(x - x.max(axis=0))
    best = x.argmax(axis=0)
    fold_class = np.array([BACKGROUND, *CLASS_FOLDS], np.int8)[best]
    probability = np.take_along_axis(shares / shares.sum(axis=0), best[None], axis=0)[0]
    folds = np.exp(x[1:] - x[1:].max(axis=0))
    return fold_class, probability, folds / folds.sum(axis=0)
