"""Flow fields whose folds are known. Speeds are in turns per pulse: 1 is 2 v_N, and each whole turn is one fold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def wrapped(turns: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """What an estimator shows of a field, and how many folds that lacks."""
    phase = turns - np.rint(turns)
    return phase.astype(np.float32), np.rint(turns - phase).astype(np.int8)


def tube(
    shape: tuple[int, int], *, center: float, radius: float, peak_v_n: float, slope: float = 0.1
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Turns and mask of a straight vessel, parabolic across, whose axis crosses the middle column at `center`."""
    z, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    r = (z - center - slope * (x - shape[1] / 2)) / radius
    return peak_v_n / 2 * np.clip(1 - r**2, 0, None), np.abs(r) < 1


def smooth(shape: tuple[int, int], *, seed: int, peak_turns: float, scale: float) -> NDArray[np.float64]:
    """A random field of turns whose values reach +-`peak_turns` and change over some `scale` pixels."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), scale)
    return np.asarray(peak_turns * field / np.abs(field).max())


def blobs(shape: tuple[int, int], *, seed: int, share: float, scale: float = 3.0) -> NDArray[np.bool_]:
    """A random mask that covers a share of the image."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), scale)
    return np.asarray(field > np.quantile(field, 1 - share))


def second_phase(turns: NDArray[np.float64], *, ratio: float, weight: float = 0.5) -> NDArray[np.complex64]:
    """A second phase that turns `ratio` times as fast, and so aliases 1 / ratio times later."""
    return (weight * np.exp(2j * np.pi * ratio * turns)).astype(np.complex64)
