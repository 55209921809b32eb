"""Pixel counts of dealiased frames: counts add up over frames, rates do not."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.frames import VelocityFrame
from trueflow.pipeline.sources.base import Truth

__all__ = ["CONFIDENCE_EDGES", "RATES", "SURE", "Tally", "tally", "true_fold"]

# A bin of confidence runs from its edge up to the next; the last one up to 1.
CONFIDENCE_EDGES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
SURE = 0.9
_FIRST_SURE = CONFIDENCE_EDGES.index(SURE)

RATES = (
    "wrong_fold_rate", "false_fold_rate_on_unaliased", "rmse_v_n", "aliased_iou", "sure", "sure_and_right", "coverage",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Counts of one frame, or of several added up. Where there is nothing to divide by a rate is nan.

    Parameters
    ----------
    n_truth : int
        Pixels with true flow.
    n_flow : int
        Those of them that the flow mask shows: folds are judged there.
    n_wrong : int
        Flow pixels whose fold is not the true one.
    n_unaliased, n_false : int
        Flow pixels without aliasing, and those of them that were folded all the same.
    n_either, n_both : int
        Flow pixels that are said to be aliased or are, and those that are both.
    squares_v_n2 : float
        Sum of squared velocity errors over flow pixels, in v_N^2.
    by_confidence, right_by_confidence : (n_bins,) int64
        Flow pixels, and those with the true fold, by `CONFIDENCE_EDGES`.
    """

    n_truth: int
    n_flow: int
    n_wrong: int
    n_unaliased: int
    n_false: int
    n_either: int
    n_both: int
    squares_v_n2: float
    by_confidence: NDArray[np.int64]
    right_by_confidence: NDArray[np.int64]

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def wrong_fold_rate(self) -> float:
        """Share of flow pixels with a wrong fold: errors of at least 2 v_N."""
        return _share(self.n_wrong, self.n_flow)

    @property
    def false_fold_rate_on_unaliased(self) -> float:
        """Share of the flow pixels without aliasing that were folded."""
        return _share(self.n_false, self.n_unaliased)

    @property
    def rmse_v_n(self) -> float:
        """Of velocity, over v_N: wrong folds and the estimator's noise together."""
        return math.sqrt(_share(self.squares_v_n2, self.n_flow))

    @property
    def aliased_iou(self) -> float:
        """Intersection over union of the pixels said to be aliased and those that are."""
        return _share(self.n_both, self.n_either)

    @property
    def n_sure(self) -> int:
        """Flow pixels with a confidence of at least `SURE`."""
        return int(self.by_confidence[_FIRST_SURE:].sum())

    @property
    def sure(self) -> float:
        """Share of flow pixels with such a confidence."""
        return _share(self.n_sure, self.n_flow)

    @property
    def sure_and_right(self) -> float:
        """Share of right folds among those."""
        return _share(int(self.right_by_confidence[_FIRST_SURE:].sum()), self.n_sure)

    @property
    def coverage(self) -> float:
        """Share of the true flow that the flow mask shows."""
        return _share(self.n_flow, self.n_truth)

    def rates(self) -> dict[str, float]:
        """All of `RATES`."""
        return {name: getattr(self, name) for name in RATES}


def tally(frame: VelocityFrame, truth: Truth) -> Tally:
    """Count the pixels of one frame, with arrays on the CPU."""
    nyquist = frame.nyquist_velocity_m_s
    flow = frame.mask & truth.mask
    true = true_fold(frame, truth)[flow]
    fold = frame.fold[flow]
    said, aliased, right = fold != 0, true != 0, fold == true
    error = (frame.velocity_m_s[flow].astype(np.float64) - truth.velocity_m_s[flow]) / nyquist
    edges = np.asarray(CONFIDENCE_EDGES, np.float32)  # as float32 as the confidence: 0.9 is at least 0.9
    bins = np.clip(np.searchsorted(edges, frame.confidence[flow], side="right") - 1, 0, len(edges) - 1)
    return Tally(
        n_truth=int(np.count_nonzero(truth.mask)),
        n_flow=int(fold.size),
        n_wrong=int(np.count_nonzero(~right)),
        n_unaliased=int(np.count_nonzero(~aliased)),
        n_false=int(np.count_nonzero(said & ~aliased)),
        n_either=int(np.count_nonzero(said | aliased)),
        n_both=int(np.count_nonzero(said & aliased)),
        squares_v_n2=float((error**2).sum()),
        by_confidence=np.bincount(bins, minlength=len(edges)),
        right_by_confidence=np.bincount(bins[right], minlength=len(edges)),
    )


def true_fold(frame: VelocityFrame, truth: Truth) -> NDArray[Any]:
    """The fold that brings the measured, wrapped velocity nearest to the true one, (n_z, n_x)."""
    apart_m_s = truth.velocity_m_s.astype(np.float64) - frame.wrapped_velocity_m_s
    return np.asarray(np.rint(apart_m_s / (2 * frame.nyquist_velocity_m_s)))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
