"""What the engine's weights, rounds and clean-up are for: fields whose folds come out wrong without them."""

from __future__ import annotations

import numpy as np
import pytest
from flows import second_phase, tube, wrapped

from trueflow.kernels import get_device
from trueflow.kernels.predictions import ratio_table
from trueflow.kernels.regions import EvidenceWeights, RegionUnwrapper

SHAPE = (60, 80)
Z, X = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
EVERYWHERE = np.ones(SHAPE, bool)
# Two chambers with a thick wall between them, which the orifice pierces.
CHAMBERS = np.abs(X - 39.5) > 8


def orifice(width):
    return CHAMBERS | (np.floor((Z - 30) / width) == 0)


def folds(phase, mask, coherence=0.9, *, weights=None, **evidence):
    plan = RegionUnwrapper(get_device("cpu", n_threads=2), shape=phase.shape, weights=weights)
    coherence = np.broadcast_to(np.asarray(coherence, np.float32), phase.shape).copy()
    return plan(phase, coherence, mask, **evidence)[0]


def wrong(turns, mask, coherence=0.9, *, weights=None, **evidence):
    """Share of flow pixels whose fold is not the true one."""
    phase, truth = wrapped(turns)
    return np.mean((folds(phase, mask, coherence, weights=weights, **evidence) != truth)[mask])


def second(turns, ratio):
    return second_phase(turns, ratio=ratio), ratio_table(ratio)


def classes(fold):
    """A classifier that is sure of these folds."""
    return (np.clip(fold, -2, 2) == np.arange(-2, 3)[:, None, None]).astype(np.float32)


@pytest.mark.parametrize("width", [1, 2])
def test_the_second_phase_tells_of_a_step_over_half_a_turn_that_a_short_border_denies(width):
    """Over half a turn borders vote for the wrong step: what both chambers know of themselves outweighs a short one."""
    turns, mask = np.where(X < 40, 0.1, 0.8), orifice(width)
    evidence = {"second": second(turns, 0.3)}
    assert wrong(turns, mask, **evidence) == 0
    # A region's own evidence not heard, or only of a pixel of it.
    for deaf in ({"merge_second": 0.0}, {"merge_area": 1.0}):
        assert wrong(turns, mask, weights=EvidenceWeights(**deaf), **evidence) > 0.4


def test_long_borders_outweigh_a_band_whose_second_phase_is_wrong():
    """Were all pixels of a region counted while merging, a wrong second phase would tear it out of its surroundings."""
    turns = np.full(SHAPE, 0.1)
    turns[20:40] = 0.3
    turns[25:33] = 0.2
    said = turns.copy()
    said[25:33] += 1
    evidence = {"second": second(said, 0.25)}
    assert wrong(turns, EVERYWHERE, **evidence) == 0
    assert wrong(turns, EVERYWHERE, weights=EvidenceWeights(merge_second=0.6, merge_area=2000.0), **evidence) > 0.1


@pytest.mark.parametrize("step", [0.52, 0.55, 0.6])
def test_a_classifier_tells_of_a_step_of_little_over_half_a_turn(step):
    turns, mask = np.where(X < 40, 0.2, 0.2 + step), orifice(1)
    heard = {"classes": classes(np.rint(turns))}
    assert wrong(turns, mask, **heard) == 0
    assert wrong(turns, mask, weights=EvidenceWeights(merge_class=0.0), **heard) > 0.4


@pytest.mark.parametrize("sign", [-1, 1])
def test_of_folds_that_the_second_phase_cannot_tell_apart_the_smaller_is_taken(sign):
    """Folds 1 and -3 are nearly a turn of the second phase apart, and a filter has pulled it a little towards -3."""
    turns, ratio = sign * (1.1 + 0.02 * np.sin(X / 9)), 0.24
    pulled = (second_phase(turns + sign * 0.05 / ratio, ratio=ratio), ratio_table(ratio))
    assert wrong(turns, EVERYWHERE, second=pulled) == 0
    assert wrong(turns, EVERYWHERE, weights=EvidenceWeights(range_penalty=0.0), second=pulled) == 1


def test_a_plug_between_walls_goes_by_its_second_phase():
    """Fast up to its walls: that flow is slow beside a wall must not prevail."""
    _, mask = tube(SHAPE, center=30, radius=8, peak_v_n=1, slope=0)
    turns = np.where(mask, 1.1, 0)
    evidence = {"second": second(turns, 0.1)}
    assert wrong(turns, mask, **evidence) == 0
    assert wrong(turns, mask, weights=EvidenceWeights(anchor_wall=0.5), **evidence) == 1


def test_a_classifier_that_errs_is_overruled_by_the_second_phase():
    turns = np.full(SHAPE, 1.1)
    evidence = {"second": second(turns, 0.1), "classes": classes(np.zeros(SHAPE))}
    assert wrong(turns, EVERYWHERE, **evidence) == 0
    assert wrong(turns, EVERYWHERE, weights=EvidenceWeights(anchor_class_beside_second=0.5), **evidence) == 1


def chain():
    """64 bars side by side: turns and coherence.

    Every second border is strongest, of the others every second, and so on: each round can only join pairs. In the
    middle the phase wraps, and nothing but the weakest border tells that the right half is one fold up.
    """
    n_bars = 2**6
    bar = np.concatenate([[0] * 4, np.arange(n_bars).repeat(4)])  # the first is wider: its half has the fold 0
    turns = np.where(bar < n_bars // 2, 0.31, 0.56) + 0.13 * (bar % 2)
    coherence = np.full(bar.size, 0.95)
    for border in range(1, n_bars):
        level = (border & -border).bit_length() - 1
        coherence[[4 * border + 3, 4 * border + 4]] = np.sqrt(0.9 - 0.15 * level)
    return (np.broadcast_to(row, (8, bar.size)).copy() for row in (turns, coherence))


def test_a_chain_of_pairs_of_pairs_needs_all_six_rounds(monkeypatch):
    turns, coherence = chain()
    mask = np.ones(turns.shape, bool)
    assert wrong(turns, mask, coherence) == 0
    for fewer in range(1, 6):
        monkeypatch.setattr("trueflow.kernels.regions.ROUNDS", fewer)
        assert wrong(turns, mask, coherence) > 0.4


def test_a_streak_of_one_phase_across_a_fold_is_mended_pixel_by_pixel():
    """A reverberation, say: one region with one fold, which is wrong where the flow around it has another."""
    turns = np.where(X < 20, 0.4, 0.8)
    evidence = {"second": second(turns, 0.1)}
    phase, truth = wrapped(turns)
    phase[30, 10:70] = 0.1
    fold = folds(phase, EVERYWHERE, **evidence)
    np.testing.assert_array_equal(fold[30, 10:19], 0)
    np.testing.assert_array_equal(fold[30, 21:70], 1)
    rest = Z != 30
    np.testing.assert_array_equal(fold[rest], truth[rest])
