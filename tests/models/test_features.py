"""Inputs of the network do not jump at v_N, and follow when flow is reversed."""

from __future__ import annotations

import numpy as np
import pytest
from flow_frames import tube_frame

from trueflow.kernels.predictions import ratio_table
from trueflow.models.features import CLASSES, FOLDS, features, opposite_classes, opposite_flow


def maps(phase: float, second: bool) -> np.ndarray:
    shape = (4, 5)
    rng = np.random.default_rng(1)
    r0, envelope = (rng.uniform(0.1, 1, shape).astype(np.float32) for _ in range(2))
    phasor = np.full(shape, 0.7 * np.exp(0.4j), np.complex64)
    pair = (phasor, ratio_table(0.0)) if second else None  # a table that says the same for all phases
    return features(r0, np.full(shape, phase, np.float32), np.full(shape, 0.8, np.float32), envelope, pair)


@pytest.mark.parametrize("second", [False, True])
def test_nothing_jumps_where_the_phase_wraps(second):
    np.testing.assert_allclose(maps(-0.49999, second), maps(0.49999, second), atol=1e-3)


def test_scores_are_highest_for_the_true_fold():
    frame = tube_frame(peak_turns=2.4)
    both = frame.flow & frame.truth & (np.abs(frame.true_turns) < 2.5)
    best = frame.inputs[5:, both].argmax(axis=0) + FOLDS[0]
    # The table's bins of phase are 1/64 turn wide, folds 0.12 turn apart in the second phase.
    assert np.mean(best == np.rint(frame.true_turns[both])) > 0.97


def test_flow_the_other_way_has_opposite_inputs():
    one, other = tube_frame(peak_turns=1.4), tube_frame(peak_turns=-1.4)
    flow = one.flow & (np.abs(np.abs(one.phase_turns) - 0.5) > 1e-3)
    apart = np.abs(opposite_flow(one.inputs) - other.inputs)[:, flow]
    assert apart[:5].max() < 1e-5
    assert apart[5:].max() < 0.1  # phases next to a bin's edge fall into the other bin


def test_turning_flow_twice_changes_nothing():
    inputs = tube_frame().inputs
    np.testing.assert_array_equal(opposite_flow(opposite_flow(inputs)), inputs)
    scores = np.arange(6.0)[:, None, None]
    assert opposite_classes(scores)[:, 0, 0].tolist() == [0, 5, 4, 3, 2, 1]
    assert len(CLASSES) == len(FOLDS) + 1
