"""The plain chain does the same job as ours: else comparing their speed would mean nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trueflow.benchmarks.compare_chain import Shown, accuracy, agreement, chain_case, true_velocity_m_s
from trueflow.benchmarks.echoes import Vessel
from trueflow.benchmarks.plain_chain import PlainChain, count_weights, das_matrix
from trueflow.pipeline import ColorFlow
from trueflow.pipeline.acquisition import PlaneWave
from trueflow.pipeline.geometry import make_grid

CASE = chain_case().override("grid.n_x=48", "grid.n_z=128")


@pytest.fixture(scope="module")
def ours():
    flow = ColorFlow(CASE.acquisition, CASE.config)
    return flow, flow(CASE.packets(1)[0])


@pytest.fixture(scope="module")
def plain(ours):
    return PlainChain(CASE.acquisition, CASE.config, ours[0].grid)


def test_it_shows_what_our_chain_shows(ours, plain):
    theirs, frame = plain(CASE.samples), ours[1]
    both = theirs.mask & frame.velocity.mask
    assert both.sum() > 0.97 * (theirs.mask | frame.velocity.mask).sum() > 300
    v_n = frame.velocity.nyquist_velocity_m_s
    for name in ("wrapped_velocity_m_s", "velocity_m_s"):
        difference = np.abs(getattr(theirs, name) - getattr(frame.velocity, name))[both] / v_n
        assert np.median(difference) < 2e-3
    # Decimation folds the edges of the FIR's band in; the FFT cuts them off.
    assert np.median(np.abs(theirs.envelope / frame.bmode.envelope - 1)) < 2e-2


def test_velocities_are_wrapped_ones_and_whole_folds(plain):
    theirs = plain(CASE.samples)
    v_n = CASE.acquisition.nyquist_velocity_m_s()
    folds = (theirs.velocity_m_s - theirs.wrapped_velocity_m_s) / (2 * v_n)
    np.testing.assert_allclose(folds, np.rint(folds), atol=1e-5)
    assert np.abs(theirs.wrapped_velocity_m_s).max() <= v_n * (1 + 1e-6)
    assert (np.rint(folds)[theirs.mask] != 0).any()
    assert not np.rint(folds)[~theirs.mask].any()


def test_threads_change_nothing(ours, plain):
    two = PlainChain(CASE.acquisition, CASE.config, ours[0].grid, n_threads=2)
    np.testing.assert_array_equal(two(CASE.samples).velocity_m_s, plain(CASE.samples).velocity_m_s)
    assert list(two.laps_s) == ["demodulate", "das", "bmode", "clutter", "doppler", "flow", "dealias"]


def test_an_empty_mask_is_no_error(ours):
    case = CASE.override("mask.power_db=50")
    assert not PlainChain(case.acquisition, case.config, ours[0].grid)(CASE.samples).mask.any()


def test_the_number_of_weights_is_known_before_the_matrix_is_made(ours):
    grid = ours[0].grid
    matrix = das_matrix(
        CASE.acquisition, CASE.config, grid, n_samples=260, rate_hz=5e6, demodulation_hz=5e6
    )  # fmt: skip
    assert count_weights(CASE.acquisition, CASE.config, grid) == matrix.nnz
    assert matrix.dtype == np.complex64
    assert matrix.indices.dtype == np.int32


def test_the_true_velocity_is_the_mean_of_what_both_ways_see():
    acquisition = replace(CASE.acquisition, transmits=(PlaneWave(0.0),))
    grid = make_grid(acquisition, CASE.config.grid)
    vessel = Vessel(depth_m=20e-3, radius_m=4e-3, angle_rad=np.pi / 6, peak_velocity_m_s=0.5)
    truth = true_velocity_m_s(vessel, acquisition, grid)
    assert np.nanmax(truth) == pytest.approx(0.25, rel=0.01), "sin 30 degrees, towards the probe"
    assert 0.05 < np.isfinite(truth).mean() < 0.5


def test_accuracy_and_agreement_count_folds_by_hand():
    truth = np.array([[0.5, 0.5, 1.8, np.nan]])
    ours = Shown(np.array([[True, True, True, True]]), np.array([[0.5, 0.6, -0.2, 2.0]], np.float32))
    theirs = Shown(np.array([[True, True, True, False]]), np.array([[0.5, 0.6, 1.8, 0.0]], np.float32))
    found = accuracy(ours, truth, 1.0)
    assert (found["n_shown"], found["n_judged"]) == (4, 3)
    assert found["wrong_folds"] == pytest.approx(1 / 3)
    assert found["error_p50_v_n"] == pytest.approx(0.1)
    assert agreement(ours, theirs, truth, 1.0) == pytest.approx(
        {"mask_iou": 0.75, "difference_p50_v_n": 0.0, "other_folds": 1 / 3, "other_folds_in_vessel": 1 / 3}
    )
