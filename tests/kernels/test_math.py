"""The shared polynomials of math.cuh, through kernels that expose them."""

from __future__ import annotations

import numpy as np
from tolerances import ATAN2_TURNS

from trueflow.kernels.velocity import PhaseCoherence


def test_atan2_turns_is_right_all_round_and_at_every_scale(device):
    angles = np.linspace(-np.pi, np.pi, 40001)
    for scale in (1e-15, 1.0, 1e15):
        r1 = (scale * np.exp(1j * angles)).astype(np.complex64)[None]
        r0 = np.abs(r1).astype(np.float32)
        plan = PhaseCoherence(device, shape=r1.shape, nyquist_velocity_m_s=1.0)
        phase, _, _ = plan(device.upload(r0), device.upload(r1))
        expected = np.angle(r1.astype(complex)) / (2 * np.pi)
        apart = np.abs(phase - expected)
        assert np.minimum(apart, 1 - apart).max() < ATAN2_TURNS
