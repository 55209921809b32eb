"""Probes, acquisitions, grids: derived quantities are right, impossible facts are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trueflow.pipeline import DivergingWave, ImageGrid, PlaneWave, Probe, TrueflowError
from trueflow.pipeline.config import GridConfig
from trueflow.pipeline.geometry import make_grid, make_waves


def test_nyquist_velocity_and_slow_time_rate(acquisition):
    assert acquisition.nyquist_velocity_m_s() == pytest.approx(1540 * 4e3 / (4 * 5e6))
    assert acquisition.nyquist_velocity_m_s(lag=2) == pytest.approx(acquisition.nyquist_velocity_m_s() / 2)
    compound = replace(acquisition, transmits=(PlaneWave(0.1), PlaneWave(0.0)), n_receive_firings=2)
    assert compound.slow_time_rate_hz == pytest.approx(1e3)
    assert acquisition.with_ensemble(4, slow_time_decimation=3).slow_time_rate_hz == pytest.approx(4e3 / 3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prf_hz", 0.0), ("prf_hz", np.nan), ("sampling_frequency_hz", 20.0), ("sound_speed_m_s", 1.54),
        ("n_ensemble", 0), ("n_samples", 0), ("rx_start_s", np.inf), ("transmits", ()),
    ],
)  # fmt: skip
def test_impossible_facts_are_refused_by_name(acquisition, field, value):
    with pytest.raises(TrueflowError, match=field):
        replace(acquisition, **{field: value})


def test_a_source_in_front_of_the_array_is_refused():
    with pytest.raises(TrueflowError, match="behind the array"):
        DivergingWave(0.0, 20e-3)


def test_probe_geometry_is_checked():
    good = Probe.linear(4, pitch_m=0.3e-3).element_positions_m
    with pytest.raises(TrueflowError, match="wrong shape"):
        Probe(good[:, :2], np.zeros(4))
    with pytest.raises(TrueflowError, match="not finite"):
        Probe(good * np.nan, np.zeros(4))
    with pytest.raises(TrueflowError, match="metres"):
        Probe(good * 1e6, np.zeros(4))
    with pytest.raises(TrueflowError, match="matrix arrays"):
        Probe(good + [[0, i * 1e-3, 0] for i in range(4)], np.zeros(4))


def test_convex_probe_from_positions_finds_its_normals():
    made = Probe.convex(64, pitch_m=0.4e-3, radius_m=50e-3)
    found = Probe.from_positions(made.element_positions_m)
    assert found.kind == "convex"
    # Interior normals to second order in the pitch; one-sided differences at the two ends are off by half a pitch.
    np.testing.assert_allclose(found.element_angles_rad[1:-1], made.element_angles_rad[1:-1], atol=1e-4)
    np.testing.assert_allclose(found.element_angles_rad, made.element_angles_rad, atol=0.6 * 0.4 / 50)
    from_the_other_end = Probe.from_positions(made.element_positions_m[::-1])
    np.testing.assert_allclose(from_the_other_end.element_angles_rad, found.element_angles_rad[::-1], atol=1e-12)


def test_default_grid_covers_the_array_and_the_recorded_depth(acquisition):
    grid = make_grid(acquisition, GridConfig())
    assert grid.kind == "cartesian"
    np.testing.assert_allclose(grid.axis_1[[0, -1]], acquisition.probe.element_positions_m[[0, -1], 0])
    assert 0.9 * acquisition.max_depth_m < grid.axis_0[-1] < acquisition.max_depth_m


def test_convex_probes_get_a_polar_grid_that_starts_at_their_face(acquisition):
    probe = Probe.convex(64, pitch_m=0.4e-3, radius_m=50e-3)
    grid = make_grid(replace(acquisition, probe=probe), GridConfig())
    assert grid.kind == "polar"
    assert grid.apex_z_m == pytest.approx(-50e-3, rel=1e-3)
    face = np.hypot(grid.x_m[0], grid.z_m[0] - grid.apex_z_m)
    np.testing.assert_allclose(face, face[0])
    # The elements stand on the arc that the grid's first row is parallel to.
    radius = np.hypot(probe.element_positions_m[:, 0], probe.element_positions_m[:, 2] - grid.apex_z_m)
    np.testing.assert_allclose(radius, 50e-3, rtol=1e-3)
    assert 0 < face[0] - 50e-3 < 2e-3


def test_phased_array_with_diverging_waves_gets_a_sector(acquisition):
    probe = Probe.linear(64, pitch_m=0.15e-3, kind="phased")
    sector = replace(acquisition, probe=probe, transmits=(DivergingWave(0.0, -8e-3),))
    assert make_grid(sector, GridConfig()).kind == "polar"
    assert make_grid(sector, GridConfig(kind="cartesian")).kind == "cartesian"


def test_waves_cross_the_origin_when_they_say(acquisition):
    waves = make_waves(
        replace(acquisition, transmits=(PlaneWave(0.2, origin_time_s=3e-6), DivergingWave(2e-3, -9e-3, 1e-6)))
    )
    at_origin = waves.distance_m(np.zeros(1), np.zeros(1))[:, 0]
    np.testing.assert_allclose(at_origin / acquisition.sound_speed_m_s, [3e-6, 1e-6], rtol=1e-12)


def test_a_grid_needs_increasing_axes():
    with pytest.raises(TrueflowError, match="strictly increasing"):
        ImageGrid.cartesian([0.0, 0.0], [1.0])
