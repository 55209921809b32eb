"""RF of points that move: the smallest truth there is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline import Acquisition, PlaneWave


def moving_points(
    acquisition: Acquisition, velocity_m_s: float, *, seed: int = 0, n_points: int = 60
) -> NDArray[np.int16]:
    """RF (n_ensemble, n_transmits, n_elements, n_samples) of points that rise towards the probe at a velocity."""
    a, rng = acquisition, np.random.default_rng(seed)
    x = rng.uniform(-4e-3, 4e-3, n_points)
    z0 = rng.uniform(5e-3, 13e-3, n_points)
    amplitude = rng.uniform(0.3, 1, n_points)
    t = a.rx_start_s + np.arange(a.n_samples) / a.sampling_frequency_hz
    elements = a.probe.element_positions_m
    rf = np.zeros((a.n_ensemble, a.n_transmits, a.probe.n_elements, a.n_samples))
    for k in range(a.n_ensemble):
        for i, wave in enumerate(a.transmits):
            z = z0 - velocity_m_s * (a.slow_time_s(k) + i / a.prf_hz)
            assert isinstance(wave, PlaneWave)
            out = x * np.sin(wave.angle_rad) + z * np.cos(wave.angle_rad)
            for e in range(a.probe.n_elements):
                tau = (out + np.hypot(x - elements[e, 0], z)) / a.sound_speed_m_s + wave.origin_time_s
                s = t[:, None] - tau
                rf[k, i, e] = (amplitude * np.exp(-((s / 0.2e-6) ** 2)) * np.cos(2 * np.pi * 5e6 * s)).sum(axis=1)
    return (rf * 400).astype(np.int16)
