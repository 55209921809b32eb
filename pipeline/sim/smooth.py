"""The one way in which things fade in and out here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["smooth_step"]


def smooth_step(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 below 0, 1 above 1, with two continuous derivatives."""
    u = np.clip(u, 0, 1)
    return np.asarray(u * u * u * (10 + u * (6 * u - 15)))
