"""What the estimator should see: signs, directions, folds."""

from __future__ import annotations

import numpy as np
import pytest

from trueflow.pipeline import Acquisition, DivergingWave, PlaneWave, Probe
from trueflow.pipeline.config import BeamformConfig
from trueflow.pipeline.sim.beams import Beams
from trueflow.pipeline.sources import Truth


def acquisition(*waves, kind="linear"):
    probe = Probe.linear(128, pitch_m=0.3e-3, kind=kind, element_width_m=0.27e-3)
    return Acquisition(probe, waves, sampling_frequency_hz=20e6, center_frequency_hz=5e6, prf_hz=4e3,
                       n_samples=1040, n_ensemble=16)


def at(beams, x, z):
    along_x, along_z = beams.direction(np.array([x]), np.array([z]))
    return float(along_x[0]), float(along_z[0])


def test_rising_is_positive_and_in_the_middle_nothing_else_counts():
    x, z = at(Beams(acquisition(PlaneWave(0.0))), 0.0, 0.02)
    assert x == pytest.approx(0, abs=1e-9)
    assert -1 < z < -0.98  # the aperture's edges look 20 degrees askew, and see a cosine of it


def test_a_small_aperture_sees_the_plain_two_way_projection():
    beams = Beams(acquisition(PlaneWave(0.2)), BeamformConfig(f_number=8))
    x, z = at(beams, 0.15e-3, 0.03)
    assert x == pytest.approx(-np.sin(0.2) / 2, abs=2e-3)
    assert z == pytest.approx(-(np.cos(0.2) + 1) / 2, abs=2e-3)


def test_transmits_are_averaged():
    x, z = at(Beams(acquisition(PlaneWave(-0.2), PlaneWave(0.2))), 0.0, 0.02)
    assert x == pytest.approx(0, abs=1e-9)
    assert z == pytest.approx(at(Beams(acquisition(PlaneWave(0.2))), 0.0, 0.02)[1])


def test_beside_the_array_the_remaining_elements_look_from_one_side():
    x, _ = at(Beams(acquisition(PlaneWave(0.0))), 19e-3, 0.02)
    assert x < -0.05  # elements only at smaller x


def test_a_diverging_wave_comes_from_its_source():
    beams = Beams(acquisition(DivergingWave(0.0, -0.01)), BeamformConfig(f_number=8))
    x, z = at(beams, 0.01, 0.02)
    along = np.array([0.01, 0.03]) / np.hypot(0.01, 0.03)
    assert (x, z) == pytest.approx((-along[0] / 2, -(along[1] + 1) / 2), abs=5e-3)


def test_nothing_is_seen_where_the_wave_does_not_pass():
    beams = Beams(acquisition(PlaneWave(0.2)))
    assert np.isnan(at(beams, -18e-3, 0.03)).all()
    assert np.isfinite(at(beams, 18e-3, 0.03)).all()


@pytest.mark.parametrize(("velocity", "fold"), [(0.0, 0), (0.29, 0), (-0.29, 0), (0.31, 1), (-0.89, -1), (0.91, 2)])
def test_the_fold_is_what_brings_the_velocity_within_nyquist(velocity, fold):
    truth = Truth(np.array([[velocity, 5.0]], np.float32), np.array([[True, False]]))
    assert truth.fold(0.3).tolist() == [[fold, 0]]
    assert abs(velocity - 2 * fold * 0.3) <= 0.3


def test_truth_of_a_simulated_scan(simulated, grid):
    recording = simulated("sim://straight?peak=2.5vN&frames=3")
    truth = recording.truth(16, 32, grid)
    v_n = recording.acquisition.nyquist_velocity_m_s()
    assert truth.velocity_m_s.dtype == np.float32
    assert truth.velocity_m_s[truth.mask].max() == pytest.approx(2.5 * v_n, rel=0.01)
    assert truth.velocity_m_s[truth.mask].min() > 0  # it rises along +x
    assert set(np.unique(truth.fold(v_n))) == {0, 1}
    inside = recording.field.inside_m(grid.x_m, grid.z_m)
    assert not truth.mask[inside < 0].any()
    shadow = np.isnan(Beams(recording.acquisition).direction(grid.x_m, grid.z_m)[0])
    assert not truth.mask[shadow].any()
    assert truth.mask[(inside > 0.3e-3) & ~shadow].all()
    assert np.isfinite(truth.velocity_m_s).all()


def test_a_peak_in_metres_per_second_is_one_of_speed(simulated):
    field = simulated("sim://straight?peak=0.5").field
    assert field.top_speed_m_s == pytest.approx(0.5, rel=0.01)


def test_truth_follows_the_pulse(simulated, grid):
    recording = simulated("sim://opposed?frames=20&fps=20&motion=none")
    peaks = [recording.truth(16 * i, 16 * i + 16, grid).velocity_m_s.min() for i in range(18)]
    artery = recording.scene.vessels[0].flow.waveform
    assert artery == "femoral"
    assert int(np.argmin(peaks)) == 3  # 0.15 s into a cycle of 0.9 s
    assert peaks[12] > peaks[3] / 4
