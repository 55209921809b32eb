"""Tolerances of float32 kernels against their float64 references, each with where it comes from.

EPS is the unit roundoff of float32. A sum of n products has a relative error below n * EPS of the sum of the products'
magnitudes (Higham 2002, eq. 3.5); random rounding makes it sqrt(n) in practice: these bounds are never tight by luck.
"""

from __future__ import annotations

import numpy as np

EPS = float(np.finfo(np.float32).eps) / 2

# sincos_turns: polynomial 1e-7, plus the rounding of its argument, which das.cu and demodulate.cu account for apart.
SINCOS = 2e-7
# atan2_turns: polynomial 3e-8 and a division.
ATAN2_TURNS = 1e-7


def sum_of_products(n_terms: int, magnitude: float) -> float:
    """Bound on a sum of n products whose magnitudes sum to `magnitude`."""
    return (n_terms + 4) * EPS * magnitude


def das_phase_turns(*, path_m: float, sound_speed_m_s: float, frequency_hz: float) -> float:
    """Phase error (turns) of a delay made in float32: four roundings of the path and one of the product."""
    return 6 * EPS * path_m / sound_speed_m_s * frequency_hz


def das_position_samples(*, path_m: float, sound_speed_m_s: float, frequency_hz: float) -> float:
    """Fast-time position error (samples) of the same delay."""
    return 6 * EPS * path_m / sound_speed_m_s * frequency_hz
