"""What a segmentation is worth: pixel counts that add up over frames."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.fold_agreement import agreed_folds
from trueflow.models.data import Frame
from trueflow.models.features import COHERENCE, FOLDS

__all__ = ["FoldCounts", "count"]


@dataclass(frozen=True, slots=True)
class FoldCounts:
    """Pixels within the flow mask that have true flow.

    Parameters
    ----------
    n_flow, n_right : int
        All, and those with the right fold.
    n_either, n_both : int
        Said to be aliased or are; both.
    n_missed : int
        Taken for background.
    """

    n_flow: int = 0
    n_right: int = 0
    n_either: int = 0
    n_both: int = 0
    n_missed: int = 0

    def __add__(self, other: FoldCounts) -> FoldCounts:
        return FoldCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def right(self) -> float:
        """Share of flow pixels with the right fold."""
        return self.n_right / self.n_flow if self.n_flow else float("nan")

    @property
    def aliased_iou(self) -> float:
        """Intersection over union of the pixels said to be aliased and those that are."""
        return self.n_both / self.n_either if self.n_either else float("nan")


def count(scores: NDArray[Any], frame: Frame) -> FoldCounts:
    """Counts of one frame.

    Parameters
    ----------
    scores : (6, n_z, n_x) float
        Of the classes; a pixel's fold is the best of the five, whatever background has, after its neighbours were asked
        (`trueflow.kernels.fold_agreement`), as everywhere.
    frame : Frame
    """
    both = frame.flow & frame.truth
    shares = np.exp(scores[1:] - scores[1:].max(axis=0))
    agreed = agreed_folds(frame.phase_turns, frame.inputs[COHERENCE], shares / shares.sum(axis=0))
    found = agreed[:, both].argmax(axis=0) + FOLDS[0]
    true = frame.folds[both]
    said, aliased = found != 0, true != 0
    return FoldCounts(
        n_flow=int(found.size),
        n_right=int(np.count_nonzero(found == true)),
        n_either=int(np.count_nonzero(said | aliased)),
        n_both=int(np.count_nonzero(said & aliased)),
        n_missed=int(np.count_nonzero(scores[0, both] > scores[1:, both].max(axis=0))),
    )
