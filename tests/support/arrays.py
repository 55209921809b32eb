"""Test data for the kernels; sizes are chosen so that every edge of every tile and packet is met."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Ensembles below, at and above each packet width (4, 8, 16, 32), and none a multiple of the widest.
ENSEMBLES = (3, 4, 7, 8, 12, 16, 19, 32, 37)


def complex_noise(rng: np.random.Generator, *shape: int) -> NDArray[np.complex64]:
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
