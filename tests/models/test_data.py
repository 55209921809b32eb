"""Frames come out of their files as they went in, balanced, with labels that say what is known and no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flow_frames import save, tube_frame

from trueflow.models.data import Frames, batches, cropped, labels, padded
from trueflow.models.metrics import FoldCounts, count


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four slow frames of one family, one fast and one slow frame of another."""
    save(tmp_path, "a", "straight", [tube_frame(peak_turns=0.3, seed=s) for s in range(4)])
    save(tmp_path, "b", "curved", [tube_frame(peak_turns=2.4), tube_frame(peak_turns=0.3)])
    return tmp_path


def test_labels_are_folds_within_flow_and_background_elsewhere():
    frame = tube_frame(peak_turns=2.4)
    classes, weight = labels(frame)
    assert not classes[~frame.flow].any()
    assert set(np.unique(classes[frame.flow])) == {3, 4, 5}  # folds 0, 1, 2
    assert (weight[frame.flow] > 0).all()


def test_folds_beyond_two_are_called_two():
    frame = tube_frame(peak_turns=4.0)
    assert labels(frame)[0].max() == 5


def test_a_phase_far_from_the_truth_is_not_learned_from():
    frame = tube_frame(peak_turns=0.3)
    off = replace(frame, true_turns=frame.true_turns + 0.45)
    assert not labels(off)[1][off.flow].any()


def test_flow_that_the_mask_hides_hardly_counts_as_background():
    frame = tube_frame()
    hidden = replace(frame, flow=np.zeros_like(frame.flow))
    classes, weight = labels(hidden)
    assert not classes.any()
    assert weight[hidden.truth].max() < weight[~hidden.truth].min()


def test_families_are_drawn_alike_and_aliased_frames_more_often(folder):
    frames = Frames(folder)
    rng = np.random.default_rng(0)
    places = {
        id(frame): (family, i) for i, (frame, family) in enumerate(zip(frames.frames, frames.families, strict=True))
    }
    drawn = [places[id(frames.draw(rng))] for _ in range(600)]
    share = np.mean([family == "curved" for family, _ in drawn])
    assert 0.42 < share < 0.58
    curved = [i for family, i in drawn if family == "curved"]
    assert np.mean(np.array(curved) == min(curved)) > 0.75  # the fast one, which comes first in its file


def test_new_files_are_seen_and_old_ones_not_read_twice(folder):
    frames = Frames(folder)
    save(folder, "c", "plug", [tube_frame()])
    frames.refresh()
    assert len(frames) == 7


def test_a_folder_without_frames_says_so(tmp_path):
    with pytest.raises(ValueError, match="no training frames"):
        Frames(tmp_path)


def test_batches_repeat_with_their_seed(folder):
    frames = Frames(folder)
    one, other = (
        next(batches(frames, size=3, shape=(32, 48), random=np.random.default_rng(4))) for _ in range(2)
    )  # fmt: skip
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    inputs, classes, weight = one
    assert inputs.shape == (3, 32, 48, 10)
    assert inputs.dtype == np.float32
    assert classes.shape == weight.shape == (3, 32, 48)


def test_padding_is_taken_off_again():
    inputs = tube_frame((37, 50)).inputs
    filled = padded(inputs)
    assert filled.shape == (10, 48, 64)
    assert not filled[:, 37:].any()
    np.testing.assert_array_equal(cropped(filled, (37, 50)), inputs)


def test_counts_of_a_perfect_answer_and_of_no_answer():
    frame = tube_frame(peak_turns=1.4)
    perfect = np.eye(6)[:, np.where(frame.flow, frame.folds + 3, 0)]
    counts = count(perfect, frame)
    assert counts.right == counts.aliased_iou == 1
    nothing = np.zeros((6, *frame.flow.shape))
    nothing[0], nothing[3] = 2, 1  # background, then fold 0
    counts += count(nothing, frame)
    assert counts.n_flow == 2 * frame.flow.sum()
    assert counts.aliased_iou == 0.5
    assert counts.n_missed == frame.flow.sum()
    assert np.isnan(FoldCounts().right)
