"""Frames of a vessel with a parabolic profile, made by formula: training frames whose folds are known exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.predictions import FOLDS, ratio_table
from trueflow.models.data import Frame
from trueflow.models.features import features

RATIO = 0.12  # of the second phase to the first


def tube_frame(
    shape: tuple[int, int] = (64, 48), *, peak_turns: float = 1.4, second: bool = True, seed: int = 0
) -> Frame:
    """A horizontal tube over half of the depth; noise without coherence around it."""
    rng = np.random.default_rng(seed)
    z = np.arange(shape[0])[:, None] / shape[0]
    turns = np.broadcast_to(peak_turns * np.maximum(1 - (4 * (z - 0.5)) ** 2, 0), shape).astype(np.float32)
    inside = np.broadcast_to(np.abs(z - 0.5) < 0.25, shape)
    phase = np.where(inside, turns - np.rint(turns), rng.uniform(-0.5, 0.5, shape)).astype(np.float32)
    coherence = np.where(inside, 0.9, 0.2).astype(np.float32)
    table = ratio_table(RATIO)
    phasor = np.where(inside, 0.8 * np.exp(2j * np.pi * RATIO * turns), 0).astype(np.complex64)
    inputs = features(
        np.where(inside, 10.0, 0.01).astype(np.float32),
        phase,
        coherence,
        np.where(inside, 1.0, 30.0).astype(np.float32),
        (phasor, table) if second else None,
    )
    assert table.shape[2] == len(FOLDS)
    return Frame(inputs, turns, inside.copy(), inside.copy())


def fold_truth(frame: Frame) -> NDArray[np.float32]:
    """What the folds must be, from the truth alone."""
    return np.asarray(np.rint(frame.true_turns), np.float32)


def save(folder: Path, name: str, family: str, frames: list[Frame]) -> None:
    """A file as `trueflow.pipeline.training` writes it."""
    fields = ("inputs", "true_turns", "flow", "truth")
    np.savez(
        folder / f"{name}.npz", family=family, **{f: np.stack([getattr(x, f) for x in frames]) for f in fields}
    )  # fmt: skip
