"""Waveforms, profiles, and the flow that stream functions make of them."""

from __future__ import annotations

import numpy as np
import pytest

from trueflow.pipeline import TrueflowError
from trueflow.pipeline.sim import profiles
from trueflow.pipeline.sim.library import SCENES, make_scene
from trueflow.pipeline.sim.recording import view_of
from trueflow.pipeline.sim.scene import Scene, Tissue
from trueflow.pipeline.sim.vessels import Bifurcation, Disk, Flow, Stenosis, Tube
from trueflow.pipeline.sim.waveforms import waveform

NAMES = ("constant", "femoral", "carotid", "venous", "sinusoidal")
ACROSS = ((-0.03, 0.02), (0.03, 0.02))  # a tube along +x at 20 mm


@pytest.mark.parametrize("name", NAMES)
def test_waveforms_have_period_and_peak_one(name):
    wave = waveform(name, cycle_s=0.8, delay=0.3)
    t = np.linspace(0, 0.8, 2001)
    assert np.abs(wave(t)).max() == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(wave(t + 0.8), wave(t), atol=1e-12)
    slope = np.gradient(wave(t), t)[1:-1]
    np.testing.assert_allclose(wave.rate(t)[1:-1], slope, atol=2e-3 * max(1, np.abs(slope).max()))


def test_femoral_flow_reverses_and_carotid_flow_never_does():
    t = np.linspace(0, 1, 1000)
    femoral, carotid = (waveform(name, cycle_s=1.0)(t) for name in ("femoral", "carotid"))
    assert femoral.max() == pytest.approx(1, abs=1e-3)
    assert -0.45 < femoral.min() < -0.2
    late = femoral[(t > 0.47) & (t < 0.65)]
    assert late.max() > 0.05  # third phase
    assert carotid.min() > 0.1


def test_a_delay_moves_a_waveform_later():
    assert waveform("carotid", cycle_s=2.0, delay=0.25)(0.5 + 0.3) == pytest.approx(
        float(waveform("carotid", cycle_s=2.0)(0.3))
    )


@pytest.mark.parametrize(
    "profile", [profiles.parabolic(), profiles.power_law(9), profiles.womersley(6.0), profiles.jet(width=0.4)]
)
def test_profiles_stop_at_the_walls_and_their_shares_run_from_zero_to_one(profile):
    assert np.abs(profile.values[[0, -1]]).max() < 1e-12
    np.testing.assert_allclose(profile.share([0, 1]), [0, 1], atol=1e-12)


def test_womersley_solves_the_equation_of_pulsatile_flow_in_a_pipe():
    """i alpha^2 u = 1/r d/dr (r du/dr) + pressure: the residual is the same constant at every radius."""
    alpha, profile = 7.0, profiles.womersley(7.0)
    eta = np.linspace(-1, 1, profile.values.size)
    keep = (eta > 0.05) & (eta < 0.95)
    step = eta[1] - eta[0]
    d1 = np.gradient(profile.values, step)
    pressure = 1j * alpha**2 * profile.values - np.gradient(d1, step) - d1 / np.where(eta == 0, 1, eta)
    np.testing.assert_allclose(pressure[keep], pressure[keep].mean(), rtol=1e-3)
    assert profile.values[eta.size // 2] == pytest.approx(1)


def test_womersley_is_parabolic_at_low_and_flat_at_high_frequency():
    eta = np.linspace(-1, 1, profiles.N_TABLE)
    np.testing.assert_allclose(profiles.womersley(0.2).values, 1 - eta**2, atol=2e-3)
    core = np.abs(profiles.womersley(20.0).values[np.abs(eta) < 0.5])
    assert np.ptp(core) < 0.06


@pytest.mark.parametrize("name", list(SCENES))
def test_flow_keeps_to_the_lumen_and_comes_from_nowhere(name, grid, field_of):
    field = field_of(make_scene(name, view_of(grid)))
    for patch in field.patches:
        v_x, v_z = (v.astype(np.float64) for v in patch.velocity_m_s(0.14))
        top = np.hypot(v_x, v_z)[patch.inside_m > 0].max()
        if (patch.inside_m > 0).all():
            continue  # larger than the view: no wall to see
        deep = patch.inside_m > 3 * patch.step_m
        divergence = np.gradient(v_x, patch.step_m, axis=1) + np.gradient(v_z, patch.step_m, axis=0)
        assert np.sqrt((divergence[deep] ** 2).mean()) < 1e-2 * top / 1e-3  # 1 % of the peak per mm
        if name == "disk":
            continue
        wall = np.abs(patch.inside_m) < patch.step_m / 2
        out_z, out_x = np.gradient(patch.inside_m, patch.step_m)
        through = (v_x * out_x + v_z * out_z)[wall]
        # Half a grid step from the wall the profile itself allows a few percent along it, but little through it.
        assert np.quantile(np.abs(through), 0.99) < 0.03 * top
        assert np.quantile(np.hypot(v_x, v_z)[wall], 0.9) < 0.25 * top


@pytest.mark.parametrize(("profile", "half_way"), [("parabolic", 0.75), ("plug", 1 - 0.5**8)])
def test_profile_and_peak_across_a_tube(profile, half_way, field_of):
    field = field_of(Scene("tube", (Tube(ACROSS, 4e-3, Flow(profile=profile)),), peak=0.5), 0.5)
    z = 0.02 + np.array([-6e-3, -4.1e-3, -2e-3, 0, 2e-3, 4.1e-3])
    v_x, v_z, inside = field.velocity_m_s(np.zeros(6), z, 0.0)
    np.testing.assert_allclose(v_x, 0.5 * np.array([0, 0, half_way, 1, half_way, 0]), atol=5e-3)
    np.testing.assert_allclose(v_z, 0, atol=2e-3)
    np.testing.assert_allclose(inside[1:], [-0.1e-3, 2e-3, 4e-3, 2e-3, -0.1e-3], atol=5e-5)


def test_a_negative_share_flows_against_the_points(field_of):
    field = field_of(Scene("tube", (Tube(ACROSS, 3e-3, Flow(share=-0.5)),), peak=1.0))
    assert field.velocity_m_s(np.zeros(1), np.full(1, 0.02), 0.0)[0] == pytest.approx(-0.5, abs=5e-3)


def test_a_stenosis_speeds_flow_up_and_lets_it_turn_back_behind(field_of):
    tube = Tube(ACROSS, 4e-3, stenosis=Stenosis(0.4, 0.5, 6e-3, 12e-3, 0.0, 0.3))
    field = field_of(Scene("s", (tube,), peak=1.0))
    throat_x = -0.03 + 0.4 * 0.06
    x = np.array([throat_x - 0.012, throat_x])
    before, throat = field.velocity_m_s(x, np.full(2, 0.02), 0.0)[0]
    assert throat / before == pytest.approx(2.0, rel=0.1)  # half the width, in a plane
    behind_x, behind_z = np.meshgrid(throat_x + np.linspace(4e-3, 10e-3, 30), 0.02 + np.linspace(-4e-3, 4e-3, 41))
    behind = field.velocity_m_s(behind_x, behind_z, 0.0)[0]
    assert behind.min() < -0.02
    assert behind.max() > 0.8


def test_a_bifurcation_shares_its_flow_as_told(field_of):
    fork = Bifurcation(
        ((-0.03, 0.02), (-0.005, 0.02)), ((0.006, 0.016), (0.03, 0.009)), ((0.006, 0.024), (0.03, 0.031)),
        4e-3, 2.5e-3, 2.5e-3, near_share=0.35,
    )
    field = field_of(Scene("b", (fork,), peak=1.0))
    z = np.linspace(0.002, 0.038, 2001)
    parent = field.velocity_m_s(np.full(z.size, -0.014), z, 0.0)[0].sum()
    ahead = field.velocity_m_s(np.full(z.size, 0.015), z, 0.0)[0]
    assert ahead.sum() == pytest.approx(parent, rel=0.02)
    assert ahead[z < 0.02].sum() == pytest.approx(0.35 * parent, rel=0.03)


def test_a_disk_turns_like_a_solid_up_on_its_right(field_of):
    field = field_of(Scene("d", (Disk((0.0, 0.02), 8e-3),), peak=0.4, tissue=Tissue("none")), 0.4)
    v_x, v_z, _ = field.velocity_m_s(np.array([6e-3, -6e-3, 0.0]), np.array([0.02, 0.02, 0.024]), 0.0)
    np.testing.assert_allclose(v_x, [0, 0, 0.2], atol=6e-3)
    np.testing.assert_allclose(v_z, [-0.3, 0.3, 0], atol=6e-3)


def test_a_pulse_moves_tissue_and_vessel_alike(field_of):
    scene = Scene("m", (Tube(ACROSS, 3e-3),), tissue=Tissue(motion="sinusoidal", motion_m=(0.0, 1e-3)), cycle_s=1.0)
    field = field_of(scene)
    assert field.shift_m(0.25) == pytest.approx((0.0, 1e-3))
    assert field.shift_velocity_m_s(0.0) == pytest.approx((0.0, 2 * np.pi * 1e-3))
    assert field.velocity_m_s(np.zeros(1), np.full(1, 0.0235), 0.25)[2] > 0  # 3.5 mm below: inside when shifted
    assert field.velocity_m_s(np.zeros(1), np.full(1, 0.0235), 0.0)[2] < 0


def test_brightness_of_blood_tissue_wall_and_dropout(field_of, grid):
    tissue = Tissue(level_db=40.0, wall_db=6.0, wall_thickness_m=0.5e-3)
    field = field_of(Scene("t", (Tube(ACROSS, 3e-3),), tissue=tissue))
    level = field.brightness(np.zeros(3), np.array([0.02, 0.0233, 0.03]))
    np.testing.assert_allclose(20 * np.log10(level), [0, 46, 40], atol=1e-6)
    shadowed = field_of(make_scene("stenosis", view_of(grid)))
    (dropout,) = shadowed.scene.dropouts
    left = shadowed.transmission(*(np.array([c]) for c in dropout.center_m))
    assert 20 * np.log10(left) == pytest.approx(-dropout.loss_db)


def test_vessels_may_not_overlap_nor_all_lie_outside(field_of):
    with pytest.raises(TrueflowError, match="overlap"):
        field_of(Scene("o", (Tube(ACROSS, 3e-3), Tube(((-0.03, 0.023), (0.03, 0.023)), 3e-3))))
    with pytest.raises(TrueflowError, match="no vessel in the field of view"):
        field_of(Scene("o", (Tube(((-0.03, 0.2), (0.03, 0.2)), 3e-3),)))


def test_daughters_that_never_part_are_refused(field_of):
    fork = Bifurcation(((-0.03, 0.02), (0.0, 0.02)), ((0.03, 0.02),), ((0.03, 0.0205),))
    with pytest.raises(TrueflowError, match="do not part"):
        field_of(Scene("b", (fork,)))
