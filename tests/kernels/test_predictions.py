"""What the second phase should be: closed forms where there is no filter, drawn blood where there is one."""

from __future__ import annotations

import numpy as np
import pytest

from trueflow.kernels import slow_time
from trueflow.kernels.predictions import (
    COMMON_COHERENCE,
    FOLDS,
    N_COHERENCES,
    N_PHASES,
    N_TURNS,
    NOISE,
    OWN_COHERENCE,
    WIDTHS,
    SlowTimeResponse,
    ratio_table,
    sub_band_table,
)

PHASES = (np.arange(N_PHASES) + 0.5) / N_PHASES - 0.5
REGRESSION = {n: slow_time.polynomial_filter(n, order=1).output for n in (6, 8, 16)}
N_DRAWN = 4_000


def phasor(turns):
    return np.exp(2j * np.pi * np.asarray(turns))


def angle_between(a, b):
    """In turns."""
    return np.abs(np.angle(a * b.conj())) / (2 * np.pi)


@pytest.mark.parametrize("ratio", [0.05, 0.12, 0.3])
def test_without_a_filter_the_second_phase_is_the_ratio_times_the_true_one(ratio):
    table = sub_band_table(np.eye(8), ratio=ratio)
    assert table.shape == (N_COHERENCES, N_PHASES, len(FOLDS))
    np.testing.assert_allclose(np.abs(table), 1, rtol=1e-6)
    expected = np.broadcast_to(phasor(ratio * (PHASES[:, None] + FOLDS)), table.shape)
    # Turns per pulse are known to half a step of the response's table.
    assert angle_between(table, expected).max() < ratio * 0.5 / N_TURNS + 1e-6


@pytest.mark.parametrize("ratio", [0.05, 0.12, 1.5, -0.25])
def test_ratio_table_is_the_ratio_times_the_true_phase(ratio):
    table = ratio_table(ratio)
    expected = np.broadcast_to(phasor(ratio * (PHASES[:, None] + FOLDS)), (N_COHERENCES, N_PHASES, len(FOLDS)))
    assert table.dtype == np.complex64
    np.testing.assert_array_equal(table, expected.astype(np.complex64))


@pytest.mark.parametrize("n_ensemble", [6, 8, 16])
def test_flow_the_other_way_has_the_conjugate_prediction(n_ensemble):
    """Phase and fold negated together."""
    for table in (sub_band_table(REGRESSION[n_ensemble], ratio=0.12), ratio_table(0.12)):
        np.testing.assert_array_equal(table[:, ::-1, ::-1], table.conj())


def drawn(rng, slow_time_filter, width, turns):
    """R1 and R0 of filtered ensembles of blood with a Gaussian spectrum, and a little noise: (N_DRAWN,) each."""
    n = slow_time_filter.shape[1]
    apart = np.arange(n)[:, None] - np.arange(n)
    covariance = np.exp(-2 * np.pi**2 * width**2 * apart**2) * phasor(turns * apart) + NOISE * np.eye(n)
    root = np.linalg.cholesky(covariance)
    white = (rng.standard_normal((N_DRAWN, n)) + 1j * rng.standard_normal((N_DRAWN, n))) / np.sqrt(2)
    x = white @ root.T @ slow_time_filter.T
    return (x[:, 1:] * x[:, :-1].conj()).mean(axis=1), (np.abs(x) ** 2).mean(axis=1)


def standard_error(samples):
    return float(np.sqrt((np.abs(samples - samples.mean()) ** 2).mean() / len(samples)))


@pytest.mark.parametrize("n_ensemble", [6, 16])
@pytest.mark.parametrize("width", [2, 12])
@pytest.mark.parametrize("turns", [0.07, 0.3, -0.42])
def test_the_response_is_that_of_drawn_blood_behind_the_filter(rng, n_ensemble, width, turns):
    response = SlowTimeResponse.of(REGRESSION[n_ensemble])
    at = round(turns * N_TURNS) % N_TURNS
    r1, r0 = drawn(rng, REGRESSION[n_ensemble], WIDTHS[width], at / N_TURNS)
    assert abs(response.r1[width, at] - r1.mean()) < 5 * standard_error(r1)
    coherence = abs(r1.mean()) / r0.mean()
    relative = standard_error(r1) / abs(r1.mean()) + standard_error(r0) / r0.mean()
    assert response.coherence[width, at] == pytest.approx(coherence, rel=5 * relative)


@pytest.mark.parametrize(("n_ensemble", "c", "t"), [(8, 6, 52), (8, 1, 44), (16, 3, 8)])
def test_the_table_is_what_drawn_blood_shows_in_two_bands(rng, n_ensemble, c, t):
    """Of each band R1 behind the filter; blood that would show this phase and coherence at f0."""
    ratio, matrix = 0.12, REGRESSION[n_ensemble]
    table, response = sub_band_table(matrix, ratio=ratio)[c, t], SlowTimeResponse.of(matrix)
    turns, width = response.turns_of(PHASES[t], OWN_COHERENCE * (c + 0.5) / N_COHERENCES + COMMON_COHERENCE)
    at_f0, _ = drawn(rng, matrix, WIDTHS[width], turns)
    spread = standard_error(at_f0) / abs(at_f0.mean()) / (2 * np.pi)
    # Half a step of the response's table in turns is at most four of them in phase beside the filter's notch.
    assert angle_between(at_f0.mean(), phasor(PHASES[t])) < 5 * spread + 2 / N_TURNS
    for k, fold in enumerate(FOLDS):
        bands = [drawn(rng, matrix, WIDTHS[width], (turns + fold) * (1 + s * ratio / 2))[0] for s in (1, -1)]
        upper, lower = (band.mean() for band in bands)
        spread = sum(standard_error(band) / abs(band.mean()) for band in bands) / (2 * np.pi)
        assert angle_between(table[k], upper * lower.conj()) < 5 * spread + 1e-4


def test_a_filter_pulls_the_second_phase_of_wide_spectra():
    """Else the table would not be needed; and no pull without a filter."""
    plain, filtered = ratio_table(0.12), sub_band_table(REGRESSION[8], ratio=0.12)
    assert angle_between(plain, filtered).max() > 0.02
    assert angle_between(plain, sub_band_table(np.eye(8), ratio=0.12)).max() < 0.001
