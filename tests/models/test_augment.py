"""Variations of a frame carry the labels that a simulation of the varied scene would have."""

from __future__ import annotations

import numpy as np
import pytest
from flow_frames import fold_truth, tube_frame

from trueflow.models.augment import negated, resampled, sped_up, varied, with_residue
from trueflow.models.data import labels


def right(frame) -> float:
    """Share of flow pixels whose label is the fold that the truth alone gives."""
    flow = frame.flow & frame.truth
    return float(np.mean(frame.folds[flow] == np.clip(fold_truth(frame)[flow], -2, 2)))


def test_faster_flow_wraps_more_often_and_is_labelled_so():
    frame = tube_frame(peak_turns=0.9)
    fast = sped_up(frame, 2.0)
    assert set(np.unique(frame.folds[frame.flow])) == {0, 1}
    assert set(np.unique(fast.folds[fast.flow])) == {0, 1, 2}
    assert right(fast) > 0.99
    assert not fast.inputs[5:].any()  # what the second phase said holds no longer
    assert fast.inputs[2][fast.flow].max() < frame.inputs[2][frame.flow].max()


def test_slower_flow_need_not_be_aliased():
    slow = sped_up(tube_frame(peak_turns=0.9), 0.5)
    assert set(np.unique(slow.folds[slow.flow])) == {0}


def test_negated_flow_has_negated_labels():
    frame = tube_frame(peak_turns=1.4)
    classes, weight = labels(frame)
    opposite_classes, opposite_weight = labels(negated(frame))
    flow = classes > 0
    clear = flow & (np.abs(np.abs(frame.phase_turns) - 0.5) > 1e-3)
    np.testing.assert_array_equal(opposite_classes[clear], 6 - classes[clear])
    np.testing.assert_array_equal(opposite_classes > 0, flow)
    np.testing.assert_array_equal(opposite_weight, weight)


def test_a_frame_resampled_onto_its_own_grid_is_itself():
    frame = tube_frame()
    again, inside = resampled(frame, frame.flow.shape, (1.0, 1.0), np.random.default_rng(0))
    assert inside.all()
    np.testing.assert_allclose(again.inputs, frame.inputs, atol=1e-6)
    np.testing.assert_array_equal(again.flow, frame.flow)


def test_a_larger_shape_is_padded_below_and_to_the_right_with_zeros():
    frame = tube_frame((32, 24))
    padded, inside = resampled(frame, (48, 48), (1.0, 1.0), np.random.default_rng(0))
    assert inside[:32, :24].all()
    assert not inside[32:].any()
    assert not inside[:, 24:].any()
    assert not padded.inputs[:, ~inside].any()


def test_residue_is_background_that_passes_the_flow_mask():
    frame = tube_frame((96, 96))
    dirty = with_residue(frame, np.random.default_rng(3))
    added = dirty.flow & ~frame.flow
    assert added.any()
    classes, weight = labels(dirty)
    assert not classes[added].any()
    assert weight[added].min() > 0
    assert np.abs(dirty.phase_turns[added]).max() < 0.35
    np.testing.assert_array_equal(dirty.inputs[:, frame.truth], frame.inputs[:, frame.truth])


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_done_to_a_frame_its_labels_are_right(seed):
    frame, inside = varied(tube_frame((80, 60), seed=seed), (96, 64), np.random.default_rng(seed))
    assert frame.inputs.shape == (10, 96, 64)
    assert not frame.inputs[:, inside == 0].any()
    # Noise on the phasor moves a few pixels over the wrap.
    assert right(frame) > 0.93


def test_the_same_seed_varies_alike():
    frames = [varied(tube_frame(), (64, 48), np.random.default_rng(5))[0].inputs for _ in range(2)]
    np.testing.assert_array_equal(*frames)
