"""Scatterers: where they are sown, how they drift, and that nothing but the seed decides it."""

from __future__ import annotations

import numpy as np
import pytest

from trueflow.pipeline.sim.cloud import PER_CELL, blood, density_per_m2, tissue
from trueflow.pipeline.sim.library import SCENES, make_scene
from trueflow.pipeline.sim.options import Options
from trueflow.pipeline.sim.recording import view_of
from trueflow.pipeline.sim.stream import View

DENSITY = 20e6  # per m^2: quick
TIMES_S = np.arange(16) / 4e3


def rng(seed=0):
    return np.random.default_rng(seed)


def test_at_least_eight_scatterers_share_a_resolution_cell():
    a = Options().acquisition()
    cell_m2 = 1540 / (2 * 3e6) * (1540 / 5e6 * 1.4)
    assert density_per_m2(a, 1.4) * cell_m2 == pytest.approx(PER_CELL)
    assert PER_CELL >= 8


def test_tissue_and_blood_are_sown_at_the_density_asked_for(grid, field_of):
    field = field_of(make_scene("straight", view_of(grid)))
    around = tissue(field, DENSITY, rng())
    (inside,) = blood(field, DENSITY, 2e-3, TIMES_S[:1], rng())
    patch = View(-10e-3, 10e-3, 5e-3, 35e-3)
    count = sum(int(patch.contains(cloud.x_m, cloud.z_m).sum()) for cloud in (around, inside))
    expected = DENSITY * patch.area_m2
    assert count == pytest.approx(expected, abs=4 * np.sqrt(expected))
    assert (field.inside_m(around.x_m, around.z_m) <= 0).all()
    assert (field.inside_m(inside.x_m, inside.z_m) > 0).all()


@pytest.mark.parametrize("name", list(SCENES))
def test_blood_stays_in_its_vessel_at_an_even_density(name, grid, field_of):
    field = field_of(make_scene(name, view_of(grid)), 0.8)
    margin_m = 1.5e-3 + 1.05 * field.top_speed_m_s * TIMES_S[-1]
    clouds = list(blood(field, DENSITY, min(margin_m, 4e-3), TIMES_S, rng(1)))
    shift = field.shift_m(float(TIMES_S[-1]))
    last = clouds[-1].moved((-shift[0], -shift[1]))
    seen = field.view.contains(last.x_m, last.z_m)
    depth = field.inside_m(last.x_m[seen], last.z_m[seen])
    assert depth.min() > -0.1e-3  # a third of a pixel: half a step of the grid on which flow is known
    assert (depth < 0).mean() < 0.01
    x, z = field.view.points(0.1e-3)
    expected = DENSITY * (field.inside_m(x, z) > 0).sum() * 0.1e-3**2
    assert seen.sum() == pytest.approx(expected, abs=5 * np.sqrt(expected) + 0.01 * expected)


def test_blood_drifts_with_the_flow(grid, field_of):
    field = field_of(make_scene("straight", view_of(grid)), 0.5)
    first, second = list(blood(field, DENSITY, 3e-3, TIMES_S[:2], rng(2)))
    v_x, v_z, _ = field.velocity_m_s(first.x_m, first.z_m, 0.0)
    moved_x, moved_z = (second.x_m - first.x_m) / TIMES_S[1], (second.z_m - first.z_m) / TIMES_S[1]
    middle = field.inside_m(first.x_m, first.z_m) > 0.3e-3
    np.testing.assert_allclose(moved_x[middle], v_x[middle], atol=0.01)
    np.testing.assert_allclose(moved_z[middle], v_z[middle], atol=0.01)


def test_a_disk_carries_its_scatterers_round_without_drifting_out(grid, field_of):
    field = field_of(make_scene("disk", view_of(grid)), 2.0)
    (disk,) = field.scene.vessels
    times_s = np.arange(64) / 4e3
    clouds = list(blood(field, DENSITY, 2e-3, times_s, rng(3)))
    radius = [np.hypot(c.x_m - disk.center_m[0], c.z_m - disk.center_m[1]) for c in (clouds[0], clouds[-1])]
    np.testing.assert_allclose(radius[1], radius[0], atol=5e-6)


@pytest.mark.parametrize("level_db", [20.0, 50.0])
def test_tissue_is_as_much_brighter_than_blood_as_asked(level_db, grid, field_of):
    scene = Options(tissue=level_db).apply(make_scene("straight", view_of(grid)))
    field = field_of(scene)
    around = tissue(field, DENSITY, rng())
    (inside,) = blood(field, DENSITY, 2e-3, TIMES_S[:1], rng())
    depth = field.inside_m(around.x_m, around.z_m)
    thickness_m = scene.tissue.wall_thickness_m
    power = [np.mean(a**2) for a in (around.amplitude[depth < -thickness_m], inside.amplitude)]
    wall = np.mean(around.amplitude[(depth < 0) & (depth > -thickness_m)] ** 2)
    assert 10 * np.log10(power[0] / power[1]) == pytest.approx(level_db, abs=0.3)
    assert 10 * np.log10(wall / power[0]) == pytest.approx(scene.tissue.wall_db, abs=1)


def test_the_same_seed_sows_the_same_and_another_does_not(grid, field_of):
    field = field_of(make_scene("straight", view_of(grid)))
    one, same, other = (tissue(field, DENSITY, rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.amplitude, same.amplitude)
    assert not np.array_equal(one.x_m[:50], other.x_m[:50])
