"""Phase, flow mask and the exact sum of velocity: kernels against references."""

from __future__ import annotations

import numpy as np
import pytest
from arrays import complex_noise
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import ATAN2_TURNS, EPS

from trueflow.kernels import get_device
from trueflow.kernels.velocity import (
    MAX_FOLD,
    FlowMask,
    PhaseCoherence,
    Unfold,
    UnwrappedTurns,
    flow_mask_reference,
    fold_steps,
    phase_coherence_reference,
    unfold_reference,
)

SHAPE = (41, 37)


def test_phase_and_coherence_match_the_reference(device, rng):
    r1 = complex_noise(rng, *SHAPE)
    r1[0, :6] = [0, 1, -1, 1j, -1j, -1 - 0j]
    r0 = (np.abs(r1) * rng.uniform(0.9, 3, SHAPE)).astype(np.float32)
    phase, wrapped, coherence = PhaseCoherence(device, shape=SHAPE, nyquist_velocity_m_s=0.31)(
        device.upload(r0), device.upload(r1)
    )
    expected_phase, expected_coherence = phase_coherence_reference(r0, r1)
    apart = np.abs(phase - expected_phase)
    assert np.minimum(apart, 1 - apart).max() < ATAN2_TURNS  # -1/2 and 1/2 are one angle
    assert np.abs(phase).max() <= 0.5
    np.testing.assert_allclose(coherence, expected_coherence, rtol=8 * EPS)
    np.testing.assert_allclose(wrapped, 0.62 * phase.astype(float), rtol=4 * EPS)


@pytest.mark.parametrize("scale", [1e-24, 1.0, 1e24])
def test_coherence_does_not_depend_on_the_units_of_the_samples(device, rng, scale):
    r0 = rng.uniform(1, 2, (9, 7)).astype(np.float32)
    r1 = (0.5 * np.exp(2j * np.pi * rng.uniform(-0.5, 0.5, (9, 7)))).astype(np.complex64)
    plan = PhaseCoherence(device, shape=(9, 7), nyquist_velocity_m_s=0.5)
    expected = plan(r0, r1)
    for found, same in zip(plan(np.float32(scale) * r0, np.complex64(scale) * r1), expected, strict=True):
        np.testing.assert_allclose(found, same, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_have_no_phase_and_no_coherence(device, value):
    r0, r1 = np.ones((3, 4), np.float32), np.full((3, 4), 0.5j, np.complex64)
    r0[0, 0] = r1[1, 1] = r1[2, 2] = value
    r0[2, 2] = value
    phase, wrapped, coherence = PhaseCoherence(device, shape=(3, 4), nyquist_velocity_m_s=0.5)(r0, r1)
    spoilt = np.zeros((3, 4), bool)
    spoilt[[0, 1, 2], [0, 1, 2]] = True
    assert np.isfinite(phase).all()
    assert np.isfinite(wrapped).all()
    np.testing.assert_array_equal(coherence[spoilt], 0)
    np.testing.assert_allclose(coherence[~spoilt], 0.5, rtol=1e-6)


@pytest.mark.parametrize("radius", [0, 1, 3])
def test_flow_mask_matches_the_reference(device, rng, radius):
    r0 = rng.lognormal(0, 2, SHAPE).astype(np.float32)
    r0[:3] = 0
    phase = rng.uniform(-0.5, 0.5, SHAPE).astype(np.float32)
    coherence = rng.random(SHAPE, dtype=np.float32)
    settings = {"power_db": -25.0, "velocity_fraction": 0.1, "radius": radius, "fraction": 0.3}
    ours = FlowMask(device, shape=SHAPE, coherence=0.25, **settings)(*map(device.upload, (r0, phase, coherence)))
    np.testing.assert_array_equal(ours, flow_mask_reference(r0, phase, coherence, coherence_min=0.25, **settings))
    assert 0.05 < ours.mean() < 0.95


@pytest.mark.parametrize("radius", [0, 1, 3])
def test_within_a_reach_the_flow_mask_matches_the_reference_and_beyond_it_is_empty(device, rng, radius):
    r0 = rng.lognormal(0, 2, SHAPE).astype(np.float32)
    phase = rng.uniform(-0.5, 0.5, SHAPE).astype(np.float32)
    coherence = rng.random(SHAPE, dtype=np.float32)
    rows, columns = np.indices(SHAPE)
    reach = columns > 4 + 0.3 * rows
    reach[20, 20] = False  # the vote alone would let it in
    settings = {"power_db": -25.0, "radius": radius, "fraction": 0.5, "reach": reach}
    ours = FlowMask(device, shape=SHAPE, coherence=0.25, **settings)(*map(device.upload, (r0, phase, coherence)))
    np.testing.assert_array_equal(ours, flow_mask_reference(r0, phase, coherence, coherence_min=0.25, **settings))
    assert not ours[~reach].any()
    assert 0.05 < ours[reach].mean() < 0.95


@pytest.mark.parametrize("radius", [0, 2])
def test_a_reach_of_every_pixel_changes_nothing(device, rng, radius):
    r0, coherence = rng.lognormal(0, 2, SHAPE).astype(np.float32), rng.random(SHAPE, dtype=np.float32)
    phase = rng.uniform(-0.5, 0.5, SHAPE).astype(np.float32)
    masks = [
        FlowMask(device, shape=SHAPE, power_db=-25, coherence=0.25, radius=radius, reach=reach)(
            *map(device.upload, (r0, phase, coherence))
        )
        for reach in (None, np.ones(SHAPE, bool))
    ]
    np.testing.assert_array_equal(*masks)
    assert masks[0].any()


def test_a_reach_of_another_shape_is_refused(device):
    with pytest.raises(ValueError, match="reach"):
        FlowMask(device, shape=SHAPE, power_db=-20, coherence=0.5, reach=np.ones((3, 4), bool))


def test_the_vote_takes_specks_out_and_closes_pinholes(device):
    r0 = np.full(SHAPE, 1e-9, np.float32)
    r0[10:30, 10:30] = 1.0
    r0[20, 20] = 1e-9  # pinhole
    r0[3, 3] = 1.0  # speck
    ones = np.ones(SHAPE, np.float32)
    mask = FlowMask(device, shape=SHAPE, power_db=-30, coherence=0.5)(*map(device.upload, (r0, 0.2 * ones, ones)))
    assert mask[20, 20]
    assert not mask[3, 3]
    assert mask[12:28, 12:28].all()


def test_one_bright_pixel_does_not_move_the_power_gate(device):
    r0 = np.ones((50, 50), np.float32)
    r0[25, 25] = 1e6
    ones = np.ones((50, 50), np.float32)
    mask = FlowMask(device, shape=(50, 50), power_db=-10, coherence=0.5)(*map(device.upload, (r0, 0.1 * ones, ones)))
    assert mask.all()


def test_no_power_at_all_gives_an_empty_mask(device):
    zeros = np.zeros(SHAPE, np.float32)
    mask = FlowMask(device, shape=SHAPE, power_db=-30, coherence=0.0)(*map(device.upload, (zeros, zeros, zeros)))
    assert not mask.any()


@settings(max_examples=50, deadline=None)
@given(
    nyquist=st.floats(0.01, 5.0),
    fold=st.integers(-MAX_FOLD, MAX_FOLD),
    turns=st.floats(-0.5, 0.5, width=32),
    inside=st.booleans(),
)
def test_velocity_is_wrapped_plus_folds_exactly(nyquist, fold, turns, inside):
    device = get_device("cpu", n_threads=1)
    wrapped = np.full((1, 8), 2 * nyquist * turns, np.float32)
    folds, mask = np.full((1, 8), fold, np.int8), np.full((1, 8), inside)
    velocity = Unfold(device, shape=(1, 8), nyquist_velocity_m_s=nyquist)(wrapped, mask, folds)
    assert (folds == (fold if inside else 0)).all()
    step = np.float32(2.0 * (fold if inside else 0) * nyquist)
    np.testing.assert_array_equal(velocity, wrapped + step)
    np.testing.assert_array_equal(velocity, unfold_reference(wrapped, mask, folds, nyquist_velocity_m_s=nyquist))
    assert fold_steps(nyquist)[MAX_FOLD] == 0


def test_folds_beyond_the_table_are_clipped(device):
    fold = np.array([[-128, -17, 17, 127]], np.int8)
    zeros, mask = np.zeros((1, 4), np.float32), np.ones((1, 4), bool)
    Unfold(device, shape=(1, 4), nyquist_velocity_m_s=1.0)(zeros, mask, fold)
    np.testing.assert_array_equal(fold, [[-16, -16, 16, 16]])


def test_the_unwrapped_phase_is_phase_and_fold_and_not_a_number_outside_the_mask(device, rng):
    phase = rng.uniform(-0.5, 0.5, SHAPE).astype(np.float32)
    fold, mask = rng.integers(-16, 17, SHAPE).astype(np.int8), rng.random(SHAPE) < 0.5
    turns = UnwrappedTurns(device, shape=SHAPE)(phase, mask, fold)
    assert turns.dtype == np.float32
    np.testing.assert_array_equal(turns, np.where(mask, phase + fold.astype(np.float32), np.float32(np.nan)))
