"""Probes, acquisitions, grids: derived quantities are right, impossible facts are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trueflow.pipeline import DivergingWave, ImageGrid, PlaneWave, Probe, TrueflowError
from trueflow.pipeline.config import GridConfig
from trueflow.pipeline.geometry import insonified, make_grid, make_waves


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


LINEAR = Probe.linear(32, pitch_m=0.3e-3, center_frequency_hz=5e6)
CONVEX = Probe.convex(64, pitch_m=0.4e-3, radius_m=30e-3, center_frequency_hz=5e6)
PHASED = Probe.linear(32, pitch_m=0.15e-3, kind="phased", center_frequency_hz=5e6)
WAVES = [
    (LINEAR, PlaneWave(0.0)),
    (LINEAR, PlaneWave(0.3)),
    (LINEAR, PlaneWave(-0.6)),
    (CONVEX, PlaneWave(0.2)),
    (LINEAR, DivergingWave(3e-3, -6e-3)),
    (PHASED, DivergingWave(-2e-3, -3e-3)),
    (CONVEX, DivergingWave(4e-3, -25e-3)),
]
WIDE = ImageGrid.cartesian(np.linspace(-24e-3, 24e-3, 61), np.linspace(0.3e-3, 40e-3, 53))


def rays(wave, x_m, z_m):
    """Where the wave goes at some points: sine and cosine of the angle from +z."""
    if isinstance(wave, PlaneWave):
        return np.sin(wave.angle_rad) + 0 * x_m, np.cos(wave.angle_rad) + 0 * x_m
    dx, dz = x_m - wave.source_x_m, z_m - wave.source_z_m
    return dx / np.hypot(dx, dz), dz / np.hypot(dx, dz)


def in_the_light(probe, wave, x_m, z_m):
    """Whether the ray through a point, followed back, passes between two elements."""
    sine, cosine = rays(wave, x_m, z_m)
    sides = [np.sign((x_m - x) * cosine - (z_m - z) * sine) for x, _, z in probe.element_positions_m]
    return (np.min(sides, axis=0) <= 0) & (np.max(sides, axis=0) >= 0)


def detour_m(probe, wave, x_m, z_m):
    """How much longer than the wave's own path the one by way of the nearer end of the array is."""

    def path_m(x, z):
        if isinstance(wave, PlaneWave):
            return x * np.sin(wave.angle_rad) + z * np.cos(wave.angle_rad)
        return np.hypot(x - wave.source_x_m, z - wave.source_z_m)

    ends = probe.element_positions_m[[0, -1]]
    around = [path_m(x, z) + np.hypot(x_m - x, z_m - z) for x, _, z in ends]
    return np.min(around, axis=0) - path_m(x_m, z_m)


@pytest.mark.parametrize(("probe", "wave"), WAVES)
def test_a_wave_reaches_what_its_rays_cross_and_a_fringe_around_it(acquisition, probe, wave):
    reached = insonified(replace(acquisition, probe=probe, transmits=(wave,)), WIDE)
    light = in_the_light(probe, wave, WIDE.x_m, WIDE.z_m)
    late_wavelengths = detour_m(probe, wave, WIDE.x_m, WIDE.z_m) / acquisition.wavelength_m
    np.testing.assert_array_equal(reached, light | (late_wavelengths <= 0.25))
    assert (reached & ~light).any()
    assert 0.1 < reached.mean() < 0.95


def test_a_wave_straight_ahead_reaches_every_pixel_below_the_array(acquisition):
    assert insonified(acquisition, make_grid(acquisition, GridConfig())).all()


def test_angles_that_are_compounded_reach_what_any_of_them_does(acquisition):
    waves = PlaneWave(-0.4), PlaneWave(0.1), DivergingWave(1e-3, -14e-3)
    one_by_one = [insonified(replace(acquisition, transmits=(wave,)), WIDE) for wave in waves]
    together = insonified(replace(acquisition, transmits=waves), WIDE)
    np.testing.assert_array_equal(together, np.any(one_by_one, axis=0))
    assert all((together != one).any() for one in one_by_one)


def test_the_fringe_widens_with_the_root_of_the_depth(acquisition):
    """Of a wave straight ahead sqrt(wavelength depth / 2), and a little, as the edge's wave runs along a circle."""
    x, depths_m = np.linspace(0, 10e-3, 10_001), np.array([10e-3, 20e-3, 40e-3])
    reached = insonified(acquisition, ImageGrid.cartesian(x, depths_m))
    found_m = x[reached.sum(axis=1) - 1] - acquisition.probe.element_positions_m[-1, 0]
    np.testing.assert_allclose(found_m, np.sqrt(acquisition.wavelength_m / 2 * depths_m), rtol=0.003)


@pytest.mark.parametrize("element", [0, 9, 31])
def test_an_element_that_fires_alone_reaches_everything(acquisition, element):
    x = acquisition.probe.element_positions_m[element, 0]
    alone = replace(acquisition, transmits=(DivergingWave(float(x), -1e-5),))
    assert insonified(alone, WIDE).all()


def test_a_polar_grid_is_told_by_where_its_pixels_are(acquisition):
    steered = replace(acquisition, transmits=(PlaneWave(0.3),))
    polar = ImageGrid.polar(np.linspace(-0.7, 0.7, 41), np.linspace(10e-3, 40e-3, 37), apex_z_m=-5e-3)
    reached = insonified(steered, polar)
    for row, column in [(3, 4), (20, 12), (36, 40), (30, 20), (5, 20), (36, 3)]:
        one = ImageGrid.cartesian([polar.x_m[row, column]], [polar.z_m[row, column]])
        assert insonified(steered, one)[0, 0] == reached[row, column]
    assert 0.1 < reached.mean() < 0.9


def test_a_grid_needs_increasing_axes():
    with pytest.raises(TrueflowError, match="strictly increasing"):
        ImageGrid.cartesian([0.0, 0.0], [1.0])
