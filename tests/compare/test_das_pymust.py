"""Delay-and-sum against PyMUST, an independent implementation, on the rotating disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trueflow.benchmarks import cases
from trueflow.benchmarks.contenders import lag_one_phase
from trueflow.benchmarks.das import DasProblem, das_problem
from trueflow.benchmarks.das_peers import import_peer, pymust_matrix
from trueflow.pipeline import ColorFlow

pytestmark = pytest.mark.recordings

DISK_X_M, DISK_Z_M, DISK_RADIUS_M = -0.75e-3, 22.5e-3, 9.5e-3
# The same sum of the same IQ, in float32 here: up to 235 turns of the carrier, each rounded a few times at 2^-24, are
# 3e-4 rad at the largest pixel. That error is the same at every pulse, so that lag-one phases agree far better.
SAME_PIXEL = 1e-3
SAME_IQ_RAD = 2e-5
# With PyMUST's own demodulator the receive filters differ (Butterworth there and back, Kaiser FIR here).
OWN_IQ_RAD = 0.02


@pytest.fixture(scope="module")
def pymust() -> Any:
    pytest.importorskip("pymust", reason="PyMUST is not installed: pip install 'trueflow[bench]'")
    return import_peer("pymust")


@pytest.fixture(scope="module")
def problem(recordings: Path, pymust: Any) -> DasProblem:
    if not cases.RECORDING.is_file():
        pytest.skip(f"{cases.RECORDING.name} is not among the recordings")
    return das_problem(cases.CASES["disk"]())


@pytest.fixture(scope="module")
def ours_rad(problem: DasProblem) -> np.ndarray:
    case = problem.case.override("doppler.average_z=1", "doppler.average_x=1")
    frame = ColorFlow(case.acquisition, case.config)(case.packets(1)[0])
    return np.pi * frame.velocity.wrapped_velocity_m_s / frame.velocity.nyquist_velocity_m_s


@pytest.fixture(scope="module")
def matrix(problem: DasProblem) -> Any:
    return pymust_matrix(problem, "linear")


def own_iq(pymust: Any, problem: DasProblem) -> np.ndarray:
    """IQ (n_elements, n_samples, n_ensemble) by PyMUST's demodulator, with the band ours keeps."""
    a = problem.acquisition
    param = pymust.utils.Param()
    param.fs, param.fc, param.t0 = a.sampling_frequency_hz, a.center_frequency_hz, a.rx_start_s
    param.bandwidth = 60.0  # per cent
    rf = np.moveaxis(problem.case.samples[:, 0], (2, 1, 0), (0, 1, 2)).astype(np.float64)
    return np.swapaxes(pymust.rf2iq(rf, param), 0, 1)


def difference_rad(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(np.angle(np.exp(1j * (a - b))))


def inside(problem: DasProblem) -> np.ndarray:
    return np.hypot(problem.grid.x_m - DISK_X_M, problem.grid.z_m - DISK_Z_M) < DISK_RADIUS_M


def beamformed(matrix: Any, iq: np.ndarray, problem: DasProblem) -> np.ndarray:
    return (matrix @ iq.reshape(-1, iq.shape[-1])).reshape(*problem.grid.shape, -1)


def test_same_iq_gives_the_same_lag_one_phase(problem, ours_rad, matrix):
    theirs_rad = lag_one_phase(beamformed(matrix, problem.channel_iq, problem))
    difference = difference_rad(ours_rad, theirs_rad)
    assert np.median(difference) < SAME_IQ_RAD
    assert np.quantile(difference[inside(problem)], 0.99) < 10 * SAME_IQ_RAD
    assert np.abs(theirs_rad[inside(problem)]).max() > 2  # the rim turns 2.6 rad: this compares motion, not noise


def test_own_demodulation_and_beamforming_give_the_same_lag_one_phase(pymust, problem, ours_rad, matrix):
    iq = own_iq(pymust, problem)
    assert iq.shape == problem.channel_iq.shape  # sampled alike, or the matrix does not fit
    difference = difference_rad(ours_rad, lag_one_phase(beamformed(matrix, iq, problem)))
    assert np.median(difference[inside(problem)]) < OWN_IQ_RAD


def test_velocities_have_the_same_sign_and_scale(pymust, problem, ours_rad, matrix):
    a = problem.acquisition
    param = pymust.utils.Param()
    param.fc, param.c, param.PRF = a.center_frequency_hz, a.sound_speed_m_s, a.prf_hz
    theirs_m_s = pymust.iq2doppler(beamformed(matrix, problem.channel_iq, problem), param)[0]
    ours_m_s = a.nyquist_velocity_m_s() * ours_rad / np.pi
    where = inside(problem)
    assert np.median(np.abs(ours_m_s - theirs_m_s)[where]) < SAME_IQ_RAD * a.nyquist_velocity_m_s() / np.pi


def test_pixels_agree_once_both_have_weights_of_unit_energy(problem, matrix):
    theirs = beamformed(matrix, problem.channel_iq, problem)
    lateral = np.abs(problem.grid.x_m[..., None] - problem.acquisition.probe.element_positions_m[:, 0])
    n_elements = (lateral * 2 * problem.f_number <= problem.grid.z_m[..., None]).sum(axis=-1)
    flow = ColorFlow(problem.case.acquisition, problem.case.config)
    ours = flow._beamform(problem.case.packets(1)[0]).iq
    expected = theirs / np.sqrt(n_elements)[..., None]
    error = np.abs(ours - expected).max(axis=-1)
    # A pixel whose aperture's edge falls on an element may count it on one side only: 99 % have none.
    assert np.quantile(error, 0.99) < SAME_PIXEL * np.abs(expected).max()
