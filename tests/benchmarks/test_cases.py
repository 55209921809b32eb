"""A case keeps its name only as long as it stays the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trueflow.benchmarks import cases
from trueflow.benchmarks.cases import CASES, Case, CaseUnavailableError
from trueflow.pipeline import ColorFlow
from trueflow.pipeline.geometry import make_grid


@pytest.fixture(scope="module")
def femoral() -> Case:
    return CASES["femoral"]()


@pytest.fixture(scope="module")
def edge192() -> Case:
    return CASES["edge192"]()


@pytest.fixture(scope="module")
def disk(recordings: Path) -> Case:
    if not cases.RECORDING.is_file():
        pytest.skip(f"{cases.RECORDING.name} is not among the recordings")
    return CASES["disk"]()


def facts(case: Case) -> tuple[object, ...]:
    a = case.acquisition
    grid = make_grid(a, case.config.grid)
    return case.samples.shape, a.sampling_frequency_hz, a.center_frequency_hz, a.prf_hz, grid.shape


def test_femoral_is_frozen(femoral):
    assert facts(femoral) == ((16, 1, 128, 1040), 20e6, 5e6, 4e3, (256, 192))
    assert femoral.acquisition.transmits[0].angle_rad == pytest.approx(np.deg2rad(10))
    assert femoral.acquisition.max_depth_m == pytest.approx(40e-3, rel=2e-3)
    assert femoral.ensemble_duration_s == pytest.approx(4e-3)


def test_edge192_is_frozen(edge192):
    assert facts(edge192) == ((16, 1, 192, 1300), 25e6, 6.25e6, 4e3, (256, 256))
    assert edge192.acquisition.max_depth_m == pytest.approx(40e-3, rel=2e-3)


def test_disk_is_frozen(disk):
    assert facts(disk) == ((32, 1, 128, 334), pytest.approx(20e6 / 3), 5e6, 1e4, (251, 251))
    grid = make_grid(disk.acquisition, disk.config.grid)
    np.testing.assert_allclose([grid.axis_1[0], grid.axis_1[-1]], [-12.5e-3, 12.5e-3])
    np.testing.assert_allclose([grid.axis_0[0], grid.axis_0[-1]], [10e-3, 35e-3])


@pytest.mark.parametrize("name", ["femoral", "edge192"])
def test_processing_is_frozen(name, request):
    config = request.getfixturevalue(name).config
    assert (config.beamform.f_number, config.beamform.window) == (1.4, "tukey")
    assert (config.clutter.name, config.clutter.order) == ("polynomial", 1)
    assert (config.doppler.average_z, config.doppler.average_x, config.dealias.name) == (3, 3, "none")


def test_samples_fill_the_converter_and_do_not_clip(femoral, edge192):
    for case, full_scale in ((femoral, 8191), (edge192, 2047)):
        assert case.samples.dtype == np.int16
        assert 0.9 * full_scale < np.abs(case.samples).max() <= full_scale
        assert (np.abs(case.samples) == full_scale).mean() < 1e-5


def test_a_case_is_the_same_each_time(femoral):
    np.testing.assert_array_equal(CASES["femoral"]().samples, femoral.samples)


def test_the_vessel_is_seen_and_aliased(femoral):
    frame = ColorFlow(femoral.acquisition, femoral.config)(femoral.packets(1)[0])
    velocity = frame.velocity
    assert 0.05 < velocity.mask.mean() < 0.6
    grid = make_grid(femoral.acquisition, femoral.config.grid)
    # Along the axis of the tube the flow is at 1.5 v_N, and shows as -0.5 v_N.
    axis = np.abs(grid.x_m * np.sin(np.pi / 6) + (grid.z_m - 20e-3) * np.cos(np.pi / 6)) < 0.5e-3
    near_wall = np.abs(grid.x_m * np.sin(np.pi / 6) + (grid.z_m - 20e-3) * np.cos(np.pi / 6) - 3.4e-3) < 0.3e-3
    where = velocity.mask & (np.abs(grid.x_m) < 10e-3)
    assert np.median(velocity.wrapped_velocity_m_s[axis & where]) < -0.2 * velocity.nyquist_velocity_m_s
    assert np.median(velocity.wrapped_velocity_m_s[near_wall & where]) > 0.2 * velocity.nyquist_velocity_m_s


def test_packets_share_no_memory(femoral):
    first, second = femoral.packets(2)
    assert not np.shares_memory(first.samples, second.samples)
    np.testing.assert_array_equal(first.samples, second.samples)


def test_a_missing_recording_is_said_to_be_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(cases, "RECORDING", tmp_path / "nothing.mat")
    with pytest.raises(CaseUnavailableError, match="PWI_disk"):
        CASES["disk"]()
