"""How good a dealiased velocity frame is, against known truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import VelocityFrame
from trueflow.pipeline.sources.base import Truth

__all__ = ["FoldScore", "fold_score"]


@dataclass(frozen=True, slots=True)
class FoldScore:
    """Scores of one velocity frame. Where there is nothing to score the value is nan, never a flattering zero.

    Parameters
    ----------
    wrong_fold_rate : float
        Share of flow pixels whose fold is not the true one: errors of at least 2 v_N.
    n_flow_pixels : int
        Pixels that show flow and have it.
    false_fold_rate_on_unaliased : float
        Share of the flow pixels without aliasing that were folded all the same.
    rmse_m_s : float
        Of velocity against truth over flow pixels: wrong folds and the estimator's noise together.
    aliased_iou : float
        Intersection over union of the pixels said to be aliased and those that are. nan where neither has any.
    """

    wrong_fold_rate: float
    n_flow_pixels: int
    false_fold_rate_on_unaliased: float
    rmse_m_s: float
    aliased_iou: float


def fold_score(velocity: VelocityFrame, truth: Truth) -> FoldScore:
    """Score a velocity frame over its flow pixels: those in both its mask and truth's.

    The true fold is the one that brings the measured, wrapped velocity nearest to the true one, so that the
    estimator's noise beside a fold is not charged to the dealiaser.

    Parameters
    ----------
    velocity : VelocityFrame
        With arrays on the CPU.
    truth : Truth
        On the same pixels.

    Raises
    ------
    TrueflowError
        Where truth is on other pixels.
    """
    if truth.velocity_m_s.shape != velocity.velocity_m_s.shape:
        raise TrueflowError(
            "other pixels", where="truth", found=truth.velocity_m_s.shape, expected=velocity.velocity_m_s.shape
        )
    flow = velocity.mask & truth.mask
    true_m_s = truth.velocity_m_s[flow].astype(np.float64)
    wrapped_m_s = velocity.wrapped_velocity_m_s[flow].astype(np.float64)
    true_fold = np.rint((true_m_s - wrapped_m_s) / (2.0 * velocity.nyquist_velocity_m_s))
    fold = velocity.fold[flow]
    said, aliased = fold != 0, true_fold != 0
    either, both = np.count_nonzero(said | aliased), np.count_nonzero(said & aliased)
    return FoldScore(
        wrong_fold_rate=_mean(fold != true_fold),
        n_flow_pixels=int(fold.size),
        false_fold_rate_on_unaliased=_mean(said[~aliased]),
        rmse_m_s=math.sqrt(_mean((velocity.velocity_m_s[flow] - true_m_s) ** 2)) if fold.size else math.nan,
        aliased_iou=float(both / either) if either else math.nan,
    )


def _mean(values: NDArray[np.bool_] | NDArray[np.float64]) -> float:
    return float(values.mean(dtype=np.float64)) if values.size else math.nan
