"""autocorrelate.cu and the averages of maps.cu against their references and against known motion."""

from __future__ import annotations

import numpy as np
import pytest
from arrays import ENSEMBLES, complex_noise
from tolerances import EPS, sum_of_products

from trueflow.kernels.autocorrelate import (
    Autocorrelator,
    Blend,
    BoxAverage,
    Envelope,
    autocorrelate_reference,
    box_average_reference,
    envelope_reference,
)

SHAPE = (23, 17)


@pytest.mark.parametrize("n_ensemble", ENSEMBLES)
@pytest.mark.parametrize("lag", [1, 2])
def test_matches_the_reference(device, rng, n_ensemble, lag):
    iq = device.upload(complex_noise(rng, *SHAPE, n_ensemble))
    r0, r1 = Autocorrelator(device, shape=SHAPE, n_ensemble=n_ensemble, lag=lag)(iq)
    expected_r0, expected_r1 = autocorrelate_reference(iq, lag=lag)
    bound = sum_of_products(2 * n_ensemble, 2 * float(np.abs(iq).max()) ** 2)
    np.testing.assert_allclose(r0, expected_r0, rtol=0, atol=bound)
    np.testing.assert_allclose(r1, expected_r1, rtol=0, atol=bound)


@pytest.mark.parametrize("n_ensemble", ENSEMBLES)
@pytest.mark.parametrize(("first", "step"), [(0, 2), (1, 2), (2, 1), (1, 5)])
@pytest.mark.parametrize("lag", [1, 2])
def test_some_pairs_match_the_reference(device, rng, n_ensemble, first, step, lag):
    if first >= n_ensemble - lag:
        pytest.skip("no such pair")
    iq = device.upload(complex_noise(rng, *SHAPE, n_ensemble))
    plan = Autocorrelator(device, shape=SHAPE, n_ensemble=n_ensemble, lag=lag, first=first, step=step)
    r0, r1 = plan(iq)
    expected_r0, expected_r1 = autocorrelate_reference(iq, lag=lag, first=first, step=step)
    # Weights that sum to 1 over the pairs; two more roundings: of the weight, and of its product.
    bound = sum_of_products(2 * n_ensemble + 2, 2 * float(np.abs(iq).max()) ** 2)
    np.testing.assert_allclose(r0, expected_r0, rtol=0, atol=bound)
    np.testing.assert_allclose(r1, expected_r1, rtol=0, atol=bound)


def test_the_two_intervals_of_staggered_pulses_are_told_apart(device):
    """Blood that turns by 0.2 per short and 0.3 per long interval."""
    turns = np.cumsum([0, 0.2, 0.3, 0.2, 0.3, 0.2, 0.3, 0.2])
    iq = device.upload(np.broadcast_to(np.exp(2j * np.pi * turns), (*SHAPE, 8)).astype(np.complex64))
    for first, expected in ((0, 0.2), (1, 0.3)):
        _, r1 = Autocorrelator(device, shape=SHAPE, n_ensemble=8, first=first, step=2)(iq)
        np.testing.assert_allclose(np.angle(r1) / (2 * np.pi), expected, rtol=1e-5)
        np.testing.assert_allclose(np.abs(r1), 1, rtol=1e-5)


@pytest.mark.parametrize("n_ensemble", ENSEMBLES)
def test_envelope_matches_the_reference(device, rng, n_ensemble):
    iq = device.upload(complex_noise(rng, *SHAPE, n_ensemble))
    ours = Envelope(device, shape=SHAPE, n_ensemble=n_ensemble)(iq)
    np.testing.assert_allclose(ours, envelope_reference(iq), rtol=(n_ensemble + 4) * EPS)


def test_echoes_that_come_nearer_have_positive_phase(device):
    """Shorter delays each pulse: with IQ = RF exp(-j w t) the phase grows, and positive is towards the probe."""
    delay_s = 20e-6 - np.arange(9) * 10e-9
    iq = np.broadcast_to(np.exp(-2j * np.pi * 5e6 * delay_s), (*SHAPE, 9)).astype(np.complex64)
    _, r1 = Autocorrelator(device, shape=SHAPE, n_ensemble=9)(device.upload(iq))
    np.testing.assert_allclose(np.angle(r1), 2 * np.pi * 5e6 * 10e-9, rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (5, 1), (1, 7), (31, 3)])
def test_box_average_matches_the_reference(device, rng, size):
    r0 = device.upload(rng.random(SHAPE, dtype=np.float32))
    r1 = device.upload(complex_noise(rng, *SHAPE))
    mean_r0, mean_r1 = BoxAverage(device, shape=SHAPE, size_z=size[0], size_x=size[1])(r0, r1)
    n_terms, peak = size[0] * size[1], float(np.abs(r1).max())
    bound = sum_of_products(n_terms, 2 * peak)
    np.testing.assert_allclose(mean_r0, box_average_reference(r0, size_z=size[0], size_x=size[1]), atol=bound)
    np.testing.assert_allclose(mean_r1, box_average_reference(r1, size_z=size[0], size_x=size[1]), atol=bound)


def test_averaging_r1_before_the_argument_survives_the_wrap(device):
    """Phases either side of pi average to pi, not to zero."""
    phase = np.where(np.arange(SHAPE[1]) % 2, 3.0, -3.0)
    r1 = device.upload(np.broadcast_to(np.exp(1j * phase), SHAPE).astype(np.complex64))
    r0 = device.upload(np.ones(SHAPE, np.float32))
    _, mean = BoxAverage(device, shape=SHAPE, size_z=3, size_x=3)(r0, r1)
    assert (np.abs(np.angle(mean)) > 3).all()


def test_blend_is_the_recursive_average(device, rng):
    r0, before0 = (device.upload(rng.random(SHAPE, dtype=np.float32)) for _ in range(2))
    r1, before1 = (device.upload(complex_noise(rng, *SHAPE)) for _ in range(2))
    out0, out1 = Blend(device, shape=SHAPE, factor=0.75)(r0, r1, before0, before1)
    np.testing.assert_allclose(out0, 0.75 * before0.astype(float) + 0.25 * r0, atol=4 * EPS)
    np.testing.assert_allclose(out1, 0.75 * before1.astype(complex) + 0.25 * r1, atol=16 * EPS)


@pytest.mark.parametrize("lag", [0, 4, 9])
def test_a_lag_outside_the_ensemble_is_refused(device, lag):
    with pytest.raises(ValueError, match="lag"):
        Autocorrelator(device, shape=SHAPE, n_ensemble=4, lag=lag)


@pytest.mark.parametrize(("first", "step"), [(3, 2), (-1, 2), (0, 0)])
def test_pairs_that_are_none_are_refused(device, first, step):
    with pytest.raises(ValueError, match="no pair"):
        Autocorrelator(device, shape=SHAPE, n_ensemble=4, first=first, step=step)


def test_a_recursive_average_forgets_what_is_no_number(device):
    plan = Blend(device, shape=(2, 2), factor=0.5)
    r0, r1 = np.ones((2, 2), np.float32), np.ones((2, 2), np.complex64)
    out = plan(np.full((2, 2), np.nan, np.float32), np.full((2, 2), np.inf, np.complex64), r0, r1)
    for _ in range(40):
        out = plan(r0, r1, *out)
    np.testing.assert_allclose(out[0], 1, rtol=1e-6)
    np.testing.assert_allclose(out[1], 1, rtol=1e-6)
