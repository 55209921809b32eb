"""Training frames in memory, drawn so that families and folds are balanced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.models.augment import varied
from trueflow.models.features import FOLDS, STRIDE

__all__ = ["Frame", "Frames", "batches", "cropped", "labels", "padded"]

# What a pixel's class weighs in the loss. The network is asked about flow only; background keeps it honest about
# tissue that passes the flow mask.
BACKGROUND_WEIGHT, FALSE_FLOW_WEIGHT, MISSED_FLOW_WEIGHT = 0.25, 0.6, 0.05
FOLD_WEIGHTS = {0: 1.0, 1: 1.3, 2: 1.6}
BORDER_WEIGHT = 0.25  # where folds step: what the network leaves open to the pixel there, its neighbours' phases decide
LARGEST_MISS = 0.35  # turns between measured and true phase: beyond it the fold is anyone's guess


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame.

    Parameters
    ----------
    inputs : (10, n_z, n_x) float
        `trueflow.models.features`.
    true_turns : (n_z, n_x) float
        True velocity over 2 v_N.
    flow, truth : (n_z, n_x) bool
        Flow mask, true flow.
    """

    inputs: NDArray[Any]
    true_turns: NDArray[Any]
    flow: NDArray[np.bool_]
    truth: NDArray[np.bool_]

    @property
    def phase_turns(self) -> NDArray[np.float32]:
        """Measured phase, -1/2 to 1/2."""
        cosine, sine = self.inputs[0].astype(np.float32), self.inputs[1].astype(np.float32)
        return np.asarray(np.arctan2(sine, cosine) / (2 * np.pi), np.float32)

    @property
    def folds(self) -> NDArray[np.int8]:
        """The fold that brings the measured phase nearest to the truth, limited to +-2."""
        folds = np.rint(self.true_turns.astype(np.float32) - self.phase_turns)
        return np.asarray(np.clip(folds, FOLDS[0], FOLDS[-1]), np.int8)


def labels(frame: Frame) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Class and weight of each pixel, (n_z, n_x)."""
    folds = frame.folds
    both = frame.flow & frame.truth
    classes = np.where(both, folds - FOLDS[0] + 1, 0).astype(np.uint8)
    weight = np.full(classes.shape, BACKGROUND_WEIGHT, np.float32)
    weight[frame.flow & ~frame.truth] = FALSE_FLOW_WEIGHT
    weight[frame.truth & ~frame.flow] = MISSED_FLOW_WEIGHT
    weight[both] = np.take([FOLD_WEIGHTS[abs(fold)] for fold in FOLDS], classes[both] - 1)
    weight[_beside_step(folds, both)] *= BORDER_WEIGHT
    apart = frame.true_turns.astype(np.float32) - frame.phase_turns
    weight[both & (np.abs(apart - np.rint(apart)) > LARGEST_MISS)] = 0.0
    return classes, weight


def _beside_step(folds: NDArray[np.int8], flow: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of flow with a neighbour of flow, along an axis, that has another fold."""
    beside = np.zeros_like(flow)
    for axis in (0, 1):
        first, second = (np.moveaxis(a, axis, 0) for a in (folds, flow))
        step = (first[1:] != first[:-1]) & second[1:] & second[:-1]
        there = np.moveaxis(beside, axis, 0)
        there[1:] |= step
        there[:-1] |= step
    return beside


class Frames:
    """All frames of a folder.

    Parameters
    ----------
    folder : Path
        Files of `trueflow.pipeline.training`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._read = folder, set[Path]()
        self.frames: list[Frame] = []
        self.families: list[str] = []
        self._worth: list[float] = []
        self.refresh()

    def refresh(self) -> None:
        """Read the files that have come since."""
        for path in sorted(self._folder.glob("*.npz")):
            if path in self._read or path.name.endswith(".part.npz"):
                continue
            with np.load(path, allow_pickle=False) as file:
                stacked = [file[name] for name in ("inputs", "true_turns", "flow", "truth")]
                family = str(file["family"])
            self._read.add(path)
            for arrays in zip(*stacked, strict=True):
                frame = Frame(*arrays)
                self.frames.append(frame)
                self.families.append(family)
                self._worth.append(_worth(frame))
        if not self.frames:
            raise ValueError(f"{self._folder}: no training frames")

    def __len__(self) -> int:
        return len(self.frames)

    def draw(self, random: np.random.Generator) -> Frame:
        """A frame: families alike, within one those with more aliasing more often."""
        worth = np.asarray(self._worth)
        families = np.asarray(self.families)
        chosen = np.flatnonzero(families == random.choice(np.unique(families)))
        return self.frames[int(random.choice(chosen, p=worth[chosen] / worth[chosen].sum()))]

    def spread(self, n: int) -> list[NDArray[np.float32]]:
        """Inputs of about n frames from all over the set, padded, for calibration."""
        return [padded(frame.inputs) for frame in self.frames[:: max(1, len(self.frames) // n)]]


def _worth(frame: Frame) -> float:
    """How often a frame should be seen: by which folds it has."""
    both = frame.flow & frame.truth
    if not both.any():
        return 0.05
    shares = np.bincount(np.abs(frame.folds[both]), minlength=3) / both.sum()
    return float(0.25 + min(1.0, 3 * shares[1]) + min(1.5, 5 * shares[2]))


def batches(
    frames: Frames, *, size: int, shape: tuple[int, int], random: np.random.Generator
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]]:
    """Endless batches: inputs (n, H, W, 10), classes (n, H, W), weights (n, H, W)."""
    while True:
        made: list[Sequence[NDArray[Any]]] = []
        for _ in range(size):
            frame, inside = varied(frames.draw(random), shape, random)
            classes, weight = labels(frame)
            made.append((np.moveaxis(frame.inputs, 0, -1), classes, weight * inside))
        inputs, classes, weight = (np.stack(parts) for parts in zip(*made, strict=True))
        yield inputs.astype(np.float32), classes, weight.astype(np.float32)


def padded(inputs: NDArray[Any]) -> NDArray[np.float32]:
    """Zeros below and to the right, so that height and width are multiples of 16: (10, H, W)."""
    below, right = (-n % STRIDE for n in inputs.shape[1:])
    return np.pad(inputs.astype(np.float32), ((0, 0), (0, below), (0, right)))


def cropped(scores: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """What of the last two axes belongs to the image."""
    return scores[..., : shape[0], : shape[1]]
