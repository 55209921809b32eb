"""region_*.cu: folds of fields whose folds are known, one test per way to fail."""

from __future__ import annotations

import numpy as np
import pytest
from flows import blobs, second_phase, tube, wrapped

from trueflow.kernels import get_device, regions
from trueflow.kernels.predictions import ratio_table
from trueflow.kernels.regions import RegionUnwrapper

SHAPE = (97, 83)
Z, X = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
# What a group whose fold is a guess must stay below: folds are called sure from here on.
SURE = 0.9


def vessel(center=48.0, radius=30.0, peak_v_n=2.5, slope=0.1):
    return tube(SHAPE, center=center, radius=radius, peak_v_n=peak_v_n, slope=slope)


def noisy(turns, noise, seed=0):
    return turns + noise * np.random.default_rng(seed).standard_normal(turns.shape)


def run(plan, phase, mask, coherence=0.9, **evidence):
    fold, confidence = plan(phase, np.full(phase.shape, coherence, np.float32), mask, **evidence)
    assert not fold[~mask].any()
    assert not confidence[~mask].any()
    assert confidence.min() >= 0
    assert confidence.max() <= 1
    return fold, confidence


def folds(phase, mask, n_threads=2, **evidence):
    return run(RegionUnwrapper(get_device("cpu", n_threads=n_threads), shape=phase.shape), phase, mask, **evidence)


def wrong(turns, mask, **evidence):
    """Share of flow pixels whose fold is not the true one."""
    phase, truth = wrapped(turns)
    return np.mean((folds(phase, mask, **evidence)[0] != truth)[mask])


@pytest.mark.parametrize("peak_v_n", [0.8, 1.7, -1.7, 2.8, -4.5])
def test_double_fold_in_a_vessel(peak_v_n):
    turns, mask = vessel(peak_v_n=peak_v_n)
    assert wrong(noisy(turns, 0.02), mask) < 0.002


def test_thin_vessel():
    turns, mask = vessel(radius=6, peak_v_n=1.8)
    assert wrong(turns, mask) < 0.01


def test_opposed_vessels_that_touch():
    up, upper = vessel(30, 17, 2.4)
    down, lower = vessel(65, 17, -2.4)
    assert wrong(noisy(up + down, 0.01), upper | lower) < 0.01


def test_jet_inside_slow_flow():
    jet = 1.3 * np.exp(-(((Z - 48) / 9) ** 2))
    assert wrong(jet, np.abs(Z - 48) < 32) < 0.002


def test_islands_are_anchored_each_by_itself():
    one, a = vessel(25, 13, 1.8, slope=0)
    two, b = vessel(75, 13, -1.8, slope=0)
    assert wrong(one + two, a | b) < 0.005


def test_a_dropout_across_the_vessel_is_bridged():
    turns, mask = vessel()
    assert wrong(noisy(turns, 0.01), mask & (np.abs(X - 40) > 1.5)) < 0.005


def test_unaliased_flow_is_left_alone():
    turns, mask = vessel(peak_v_n=0.9)
    phase, _ = wrapped(noisy(turns, 0.01))
    assert not folds(phase, mask)[0].any()


# A vessel wider than the image: no wall, and nowhere is flow slower than v_N.
PLUG = 0.9 + 0.3 * np.exp(-(((Z - 48) / 40) ** 2))
EVERYWHERE = np.ones(SHAPE, bool)


def test_no_unaliased_border_alone_is_a_guess():
    assert folds(wrapped(PLUG)[0], EVERYWHERE)[1].max() < SURE


def test_no_unaliased_border_takes_the_previous_frame():
    assert wrong(PLUG, EVERYWHERE, before_turns=(PLUG - 0.1).astype(np.float32)) == 0


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("turns", [0.4, 0.9, 1.7, 2.4])
def test_no_unaliased_border_takes_the_second_phase(turns, sign):
    """A plug has no slow rim: its fold, up to three of them, comes from the second phase alone."""
    plug = sign * (turns + 0.2 * (PLUG - 0.9))
    second = second_phase(noisy(plug, 1.5, seed=4), ratio=0.12)
    assert wrong(plug, EVERYWHERE, second=(second, ratio_table(0.12))) == 0


def test_scene_cut_leaves_the_previous_frame_unheard():
    """Phases as if drawn anew: nothing of another scene's folds may stick, to the bit."""
    turns, mask = vessel(radius=20)
    elsewhere, _ = vessel(radius=40, peak_v_n=-4.0, slope=-0.3)
    phase, _ = wrapped(turns)
    alone = folds(phase, mask)
    after_cut = folds(phase, mask, before_turns=elsewhere.astype(np.float32))
    for one, other in zip(alone, after_cut, strict=True):
        np.testing.assert_array_equal(one, other)
    shifted = folds(phase, mask, before_turns=(turns + 1).astype(np.float32))
    assert not np.array_equal(shifted[1], alone[1])  # the same scene is heard


def test_nan_in_the_previous_frame_is_no_evidence():
    turns, mask = vessel()
    phase, _ = wrapped(turns)
    nothing = folds(phase, mask, before_turns=np.full(SHAPE, np.nan, np.float32))
    for one, other in zip(nothing, folds(phase, mask), strict=True):
        np.testing.assert_array_equal(one, other)


def test_everything_masked():
    fold, confidence = folds(wrapped(np.ones(SHAPE))[0], ~EVERYWHERE)
    assert not fold.any()
    assert not confidence.any()


@pytest.mark.parametrize("at", [(40, 40), (0, 0), (96, 82)])
def test_a_single_pixel(at):
    mask = ~EVERYWHERE
    mask[at] = True
    fold, confidence = folds(np.full(SHAPE, 0.4, np.float32), mask)
    assert not fold.any()
    assert confidence[at] > 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3)])
def test_images_of_a_row_or_a_column(shape):
    turns = np.linspace(0, 1.4, shape[0] * shape[1]).reshape(shape)
    phase, truth = wrapped(turns)
    fold, _ = folds(phase, np.ones(shape, bool))
    if max(shape) == 40:
        np.testing.assert_array_equal(fold, truth)
    assert np.abs(fold).max() <= 1


# At 384 x 352 two threads share the regions and pairs of a frame on the CPU; below, one works alone.
@pytest.mark.parametrize(("shape", "share"), [(SHAPE, 0.12), ((384, 352), 0.12)])
def test_noise_alone_ends_and_is_the_same_to_the_bit_whatever_the_thread_count(shape, share):
    rng = np.random.default_rng(3)
    phase = rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    mask = blobs(shape, seed=3, share=share)
    evidence = {
        "second": (second_phase(rng.uniform(-3, 3, shape), ratio=0.1), ratio_table(0.1)),
        "before_turns": (phase + 0.2 * rng.standard_normal(shape)).astype(np.float32),
    }
    results = [folds(phase, mask, n, **evidence) for n in (1, 2, 3, 2)]
    assert results[0][0].any()
    assert results[0][1].max() < SURE
    for fold, confidence in results[1:]:
        np.testing.assert_array_equal(fold, results[0][0])
        np.testing.assert_array_equal(confidence, results[0][1])


BLOCKS = (32, 32)  # 1024 pixels: at most 128 regions


def blocks_of_phase():
    """A checkerboard of 2 x 4 pixels in two phases near zero: 128 regions, as many as the bound."""
    z, x = np.mgrid[: BLOCKS[0], : BLOCKS[1]]
    return np.where((z // 2 + x // 4) % 2, 0.05, -0.05).astype(np.float32)


def test_as_many_regions_as_the_bound_are_dealiased():
    phase = blocks_of_phase()
    fold, confidence = folds(phase, np.ones(BLOCKS, bool), before_turns=phase + 1)
    assert (fold == 1).all()
    assert confidence.min() > 0


def test_one_region_more_than_the_bound_leaves_the_frame_as_it_was():
    phase = blocks_of_phase()
    phase[0, 0] = 0.2
    fold, confidence = folds(phase, np.ones(BLOCKS, bool), before_turns=phase + 1)
    assert not fold.any()
    assert not confidence.any()


def bricks():
    """A brick wall in three phases half a turn apart: 496 regions, within the bound of 512, and 1,200 pairs."""
    z, x = np.mgrid[:64, :64]
    course = z // 2
    in_course = (x + 2 * (course % 2)) // 4
    phase = np.choose((in_course + course % 2) % 3, [-0.48, 0.48, 0.36]).astype(np.float32)
    return phase, x < 60


def test_more_pairs_than_the_bound_leave_the_frame_as_it_was(monkeypatch):
    monkeypatch.setattr(regions, "PIXELS_PER_SLOT", 4)  # 768 pairs; by default three for each of the regions
    phase, mask = bricks()
    fold, confidence = folds(phase, mask, before_turns=phase + 1)
    assert not fold.any()
    assert not confidence.any()
    half = mask & (np.arange(64) < 30)
    assert folds(phase, half)[1][half].min() > 0  # fewer pairs of the same bricks are dealiased


@pytest.mark.parametrize("kind", ["noise", "regions", "pairs"])
def test_frames_do_not_leak_into_each_other(kind, monkeypatch):
    """Neither after a frame of noise nor after one that was over a bound."""
    monkeypatch.setattr(regions, "PIXELS_PER_SLOT", 4)
    shape = (64, 64)
    plan = RegionUnwrapper(get_device("cpu", n_threads=2), shape=shape)
    turns, mask = tube(shape, center=32, radius=20, peak_v_n=2.5)
    evidence = {"second": (second_phase(turns, ratio=0.1), ratio_table(0.1)), "before_turns": turns.astype(np.float32)}
    phase, truth = wrapped(noisy(turns, 0.01))
    first = run(plan, phase, mask, **evidence)
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, shape).astype(np.float32)
    between, flow = {
        "noise": (noise, blobs(shape, seed=1, share=0.1)),
        "regions": (noise, np.ones(shape, bool)),
        "pairs": bricks(),
    }[kind]
    _, confidence = run(plan, between, flow)
    assert confidence.any() == (kind == "noise")
    again = run(plan, phase, mask, **evidence)
    np.testing.assert_array_equal(again[0], first[0])
    np.testing.assert_array_equal(again[1], first[1])
    assert np.mean((first[0] != truth)[mask]) < 0.01
