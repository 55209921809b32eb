"""region_*.cu: folds of fields whose folds are known, one test per way to fail."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from trueflow.kernels import get_device
from trueflow.kernels.regions import RegionUnwrapper

SHAPE = (97, 83)
Z, X = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)


def wrapped(turns, noise=0.0, seed=0):
    """Phase of a velocity (in Nyquist intervals, 2 v_N = 1) and its true folds, with phase noise."""
    turns = turns + noise * np.random.default_rng(seed).standard_normal(SHAPE)
    phase = turns - np.rint(turns)
    return phase.astype(np.float32), np.rint(turns - phase).astype(np.int8)


def tube(center, radius, peak_nyquist, slope=0.1):
    """Turns and mask of a straight vessel with a parabolic profile, peak in multiples of v_N."""
    r = (Z - center - slope * (X - SHAPE[1] / 2)) / radius
    return peak_nyquist / 2 * np.clip(1 - r**2, 0, None), np.abs(r) < 1


def folds(phase, mask, device=None, coherence=0.9, **options):
    device = device or get_device("cpu", n_threads=2)
    plan = RegionUnwrapper(device, shape=phase.shape)
    fold, confidence = plan(
        device.upload(phase), device.upload(np.full(phase.shape, coherence, np.float32)), device.upload(mask), **options
    )
    assert not fold[~mask].any()
    assert not confidence[~mask].any()
    return fold, confidence


@pytest.mark.parametrize("peak", [0.8, 1.7, -1.7, 2.8, -4.5])
def test_double_fold_in_a_vessel(peak):
    turns, mask = tube(48, 30, peak)
    phase, truth = wrapped(turns, noise=0.02)
    fold, _ = folds(phase, mask)
    assert np.mean((fold != truth)[mask]) < 0.002


def test_thin_vessel():
    turns, mask = tube(48, 6, 1.8)
    phase, truth = wrapped(turns)
    assert np.mean((folds(phase, mask)[0] != truth)[mask]) < 0.01


def test_opposed_vessels_that_touch():
    up, upper = tube(30, 17, 2.4)
    down, lower = tube(65, 17, -2.4)
    phase, truth = wrapped(up + down, noise=0.01)
    assert np.mean((folds(phase, upper | lower)[0] != truth)[upper | lower]) < 0.01


def test_jet_inside_slow_flow():
    jet = 1.3 * np.exp(-(((Z - 48) / 9) ** 2))
    mask = np.abs(Z - 48) < 32
    phase, truth = wrapped(jet)
    assert np.mean((folds(phase, mask)[0] != truth)[mask]) < 0.002


def test_islands_are_anchored_each_by_itself():
    one, a = tube(25, 13, 1.8, slope=0)
    two, b = tube(75, 13, -1.8, slope=0)
    phase, truth = wrapped(one + two)
    assert np.mean((folds(phase, a | b)[0] != truth)[a | b]) < 0.005


def test_a_dropout_across_the_vessel_is_bridged():
    turns, mask = tube(48, 30, 2.5)
    mask &= np.abs(X - 40) > 1.5
    phase, truth = wrapped(turns, noise=0.01)
    assert np.mean((folds(phase, mask)[0] != truth)[mask]) < 0.005


def test_unaliased_flow_is_left_alone():
    turns, mask = tube(48, 30, 0.9)
    phase, _ = wrapped(turns, noise=0.01)
    assert not folds(phase, mask)[0].any()


def test_no_unaliased_border_takes_the_previous_frame():
    """A vessel wider than the image has no wall: alone it is a guess, with the frame before it is not."""
    turns = 0.9 + 0.3 * np.exp(-(((Z - 48) / 40) ** 2))
    mask = np.ones(SHAPE, bool)
    phase, truth = wrapped(turns)
    _, alone = folds(phase, mask)
    assert alone.max() < 0.6
    fold, confidence = folds(phase, mask, before_turns=(turns - 0.1).astype(np.float32))
    assert np.array_equal(fold, truth)
    assert confidence.min() > 0.5


def test_nan_in_the_previous_frame_is_no_evidence():
    turns, mask = tube(48, 30, 2.5)
    phase, truth = wrapped(turns)
    nothing = np.full(SHAPE, np.nan, np.float32)
    np.testing.assert_array_equal(folds(phase, mask, before_turns=nothing)[0], folds(phase, mask)[0])
    assert np.mean((folds(phase, mask)[0] != truth)[mask]) < 0.002


def test_everything_masked():
    fold, confidence = folds(wrapped(np.ones(SHAPE))[0], np.zeros(SHAPE, bool))
    assert not fold.any()
    assert not confidence.any()


def test_a_single_pixel():
    mask = np.zeros(SHAPE, bool)
    mask[40, 40] = True
    fold, _ = folds(np.full(SHAPE, 0.4, np.float32), mask)
    assert not fold.any()


def test_noise_alone_ends_and_is_the_same_to_the_bit_whatever_the_thread_count():
    rng = np.random.default_rng(3)
    phase = rng.uniform(-0.5, 0.5, SHAPE).astype(np.float32)
    mask = ndimage.gaussian_filter(rng.standard_normal(SHAPE), 3) > 0
    results = [folds(phase, mask, device=get_device("cpu", n_threads=n)) for n in (1, 2, 3, 5, 2, 2)]
    for fold, confidence in results[1:]:
        np.testing.assert_array_equal(fold, results[0][0])
        np.testing.assert_array_equal(confidence, results[0][1])


def test_more_regions_than_the_bound_leave_the_frame_as_it_was():
    """A checkerboard of phases: every pixel is a region, eight times the bound."""
    phase = np.where((Z + X) % 2, 0.3, -0.2).astype(np.float32)
    fold, confidence = folds(phase, np.ones(SHAPE, bool))
    assert not fold.any()
    assert not confidence.any()


def test_frames_do_not_leak_into_each_other():
    device = get_device("cpu", n_threads=2)
    plan = RegionUnwrapper(device, shape=SHAPE)
    coherence = np.full(SHAPE, 0.9, np.float32)
    turns, mask = tube(48, 30, 2.5)
    phase, _ = wrapped(turns, noise=0.05)
    first, _ = plan(phase, coherence, mask)
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, SHAPE).astype(np.float32)
    plan(noise, coherence, np.ones(SHAPE, bool))
    again, _ = plan(phase, coherence, mask)
    np.testing.assert_array_equal(again, first)
