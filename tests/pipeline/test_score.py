"""Scores against truth, on pixels few enough to count by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import Stamp, VelocityFrame
from trueflow.pipeline.score import FoldScore, fold_score
from trueflow.pipeline.sources import Truth

NYQUIST_M_S = 0.5  # folds are 1 m/s apart

TRUE = [0.2, 0.7, 0.7, -0.8, -1.6, 0.3]
WRAPPED = [0.2, -0.3, -0.3, 0.2, 0.4, 0.3]
TRUE_FOLDS = [0, 1, 1, -1, -2, 0]


def score(
    folds: list[int], *, wrapped: Any = WRAPPED, true: Any = TRUE, mask: Any = True, seen: Any = True
) -> FoldScore:
    wrapped, fold = np.array([wrapped], np.float32), np.array([folds], np.int8)
    velocity = (wrapped + 2 * NYQUIST_M_S * fold).astype(np.float32)
    flow = np.broadcast_to(np.array(mask), wrapped.shape)
    frame = VelocityFrame(velocity, wrapped, fold, np.ones_like(wrapped), flow, NYQUIST_M_S, Stamp(0))
    true_m_s = np.array([true], np.float32)
    return fold_score(frame, Truth(true_m_s, np.broadcast_to(np.array(seen), true_m_s.shape)))


def test_true_folds_are_scored_as_perfect() -> None:
    perfect = score(TRUE_FOLDS)
    assert perfect.wrong_fold_rate == 0
    assert perfect.false_fold_rate_on_unaliased == 0
    assert perfect.aliased_iou == 1
    assert perfect.n_flow_pixels == 6
    assert perfect.rmse_m_s == pytest.approx(0, abs=1e-6)


def test_no_dealiasing_is_wrong_exactly_where_flow_is_aliased() -> None:
    raw = score([0] * 6)
    assert raw.wrong_fold_rate == pytest.approx(4 / 6)
    assert raw.false_fold_rate_on_unaliased == 0
    assert raw.aliased_iou == 0
    assert raw.rmse_m_s == pytest.approx(math.sqrt((1 + 1 + 1 + 4) / 6), rel=1e-5)


def test_a_false_fold_a_missed_one_and_one_too_few_are_told_apart() -> None:
    mixed = score([1, 1, 0, -1, -1, 0])
    assert mixed.wrong_fold_rate == pytest.approx(3 / 6)
    assert mixed.false_fold_rate_on_unaliased == pytest.approx(1 / 2)
    assert mixed.aliased_iou == pytest.approx(3 / 5)  # -1 for -2 is aliased all the same


def test_noise_that_crosses_v_n_is_not_charged_to_the_dealiaser() -> None:
    # True 0.48 measured as 0.52, so wrapped to -0.48: the fold that undoes it is 1, whatever truth alone would say.
    assert score([1], wrapped=[-0.48], true=[0.48]).wrong_fold_rate == 0
    assert score([0], wrapped=[-0.48], true=[0.48]).wrong_fold_rate == 1


def test_only_pixels_in_both_masks_count() -> None:
    folds = [0, 1, 0, -1, 0, 0]  # wrong in the third and fifth
    mask, seen = [[1, 1, 0, 1, 1, 1]], [[1, 1, 1, 1, 0, 1]]
    both = score(folds, mask=np.array(mask, bool), seen=np.array(seen, bool))
    assert both.n_flow_pixels == 4
    assert both.wrong_fold_rate == 0


def test_nothing_to_score_is_nan_not_perfect() -> None:
    nothing = score(TRUE_FOLDS, mask=False)
    assert nothing.n_flow_pixels == 0
    rates = nothing.wrong_fold_rate, nothing.false_fold_rate_on_unaliased, nothing.rmse_m_s, nothing.aliased_iou
    assert all(math.isnan(rate) for rate in rates)
    assert math.isnan(score([0], wrapped=[0.1], true=[0.1]).aliased_iou)


def test_truth_on_other_pixels_is_refused() -> None:
    with pytest.raises(TrueflowError, match="other pixels"):
        score([0, 0], wrapped=[0.1, 0.1], true=[0.1])
