"""Scores of the segmentation network, alone and with the dealiasing engine, against known truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from trueflow.benchmarks.dealias import stage
from trueflow.benchmarks.dealias_disk import disk_scene
from trueflow.benchmarks.dealias_tally import Tally, tally, true_fold
from trueflow.benchmarks.validation import Scene, ValidationCase, load_scene
from trueflow.kernels.device import Device
from trueflow.kernels.fold_classes import CLASS_FOLDS
from trueflow.pipeline.config import DealiasConfig, DopplerConfig, SegmentConfig
from trueflow.pipeline.frames import Segmentation, VelocityFrame
from trueflow.pipeline.segment import Segment
from trueflow.pipeline.sources.base import Truth

__all__ = [
    "KEPT", "FrameScore", "SegmentationTally", "Stages", "as_in_the_chain", "pooled", "run_disk", "run_scenes",
    "score_frame", "segmentation_tally",
]  # fmt: skip

KEPT = (2, 3, 4)  # of the real disk's pulses one in so many
ALONE = DealiasConfig(previous_frame="off", segmentation=False)
TOGETHER = replace(ALONE, segmentation=True)


@dataclass(frozen=True, slots=True)
class SegmentationTally:
    """Pixel counts of one frame, or of several added up. Where there is nothing to divide by a rate is nan.

    Parameters
    ----------
    n_flow, n_right : int
        True flow that the flow mask shows; with the right fold (true folds beyond +-2 count as +-2).
    n_either, n_both : int
        Of these, said to be aliased or are; both. What is said is the likeliest of the five folds, which is what the
        engine hears.
    n_aliased : int
        Truly aliased flow: what has to be dealiased.
    squares, floor_squares : float
        Over those, squared velocity errors of network and engine together, and of the true fold, over the scene's peak
        velocity squared.
    """

    n_flow: int = 0
    n_right: int = 0
    n_either: int = 0
    n_both: int = 0
    n_aliased: int = 0
    squares: float = 0.0
    floor_squares: float = 0.0

    def __add__(self, other: SegmentationTally) -> SegmentationTally:
        return SegmentationTally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def rates(self) -> dict[str, float]:
        """Right folds, intersection over union of the aliased class, RMSE and its floor over the peak velocity."""
        return {
            "right_folds": _share(self.n_right, self.n_flow),
            "aliased_iou": _share(self.n_both, self.n_either),
            "rmse": math.sqrt(_share(self.squares, self.n_aliased)),
            "rmse_floor": math.sqrt(_share(self.floor_squares, self.n_aliased)),
        }


@dataclass(frozen=True, slots=True, eq=False)
class FrameScore:
    """One frame.

    Parameters
    ----------
    name, family : str
    peak : float
        Largest true speed in the frame over v_N.
    by_precision : dict
        Of the network.
    alone, together : Tally
        Of the engine, without the network and with it in the precision that the engine's device runs best.
    """

    name: str
    family: str
    peak: float
    by_precision: dict[str, SegmentationTally]
    alone: Tally
    together: Tally


def run_scenes(
    cases: Sequence[ValidationCase],
    precisions: Sequence[str],
    *,
    folder: Path,
    device: Device,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> list[FrameScore]:
    """Every case; the engine hears the first of the precisions."""
    scores, stages = [], Stages(device, precisions)
    for index, case in enumerate(cases):
        scene = load_scene(case, folder, device)
        peak_m_s = case.peak * scene.doppler.nyquist_velocity_m_s
        scores.append(score_frame(case.name, case.family, scene, peak_m_s, stages))
        advance(index + 1, len(cases))
    return scores


def run_disk(
    precisions: Sequence[str], *, device: Device, advance: Callable[[int, int], None] = lambda done, total: None
) -> list[FrameScore]:
    """The first frame of every decimation; the peak velocity is the rim's.

    Raises
    ------
    CaseUnavailableError
        Without the recording.
    """
    scores, stages = [], Stages(device, precisions)
    for index, k in enumerate(KEPT):
        scene = disk_scene(k, device)
        peak_m_s = scene.peak * scene.doppler.nyquist_velocity_m_s
        scores.append(score_frame(f"1 in {k}", "disk", scene, peak_m_s, stages))
        advance(index + 1, len(KEPT))
    return scores


class Stages:
    """Segmentation stages by precision and image size: a plan takes a second to make."""

    def __init__(self, device: Device, precisions: Sequence[str]) -> None:
        self.device, self.precisions = device, tuple(precisions)
        self._made: dict[tuple[str, tuple[int, int]], Segment] = {}

    def __call__(self, precision: str, shape: tuple[int, int]) -> Segment:
        """The stage for images of a shape."""
        key = precision, shape
        if key not in self._made:
            config = SegmentConfig(enabled="on", precision=precision)  # type: ignore[arg-type]
            self._made[key] = Segment(self.device, shape=shape, config=config)
        return self._made[key]


def score_frame(name: str, family: str, scene: Scene, peak_m_s: float, stages: Stages) -> FrameScore:
    """Network and engine on one scene.

    Parameters
    ----------
    name, family : str
    scene : Scene
    peak_m_s : float
        Errors are measured in it.
    stages : Stages
        The engine hears the first of their precisions.
    """
    device = stages.device
    scene = as_in_the_chain(scene, device)
    dealias = stage(scene, device, ALONE)
    flow = dealias.flow(scene.doppler)
    segmentations = {
        precision: stages(precision, scene.grid.shape)(scene.bmode, scene.doppler, flow)
        for precision in stages.precisions
    }
    alone = dealias(scene.doppler, flow=flow)
    together = stage(scene, device, TOGETHER)(scene.doppler, segmentations[stages.precisions[0]], flow=flow)
    return FrameScore(
        name, family, scene.peak,
        {p: segmentation_tally(s, together, scene.truth, peak_m_s) for p, s in segmentations.items()},
        tally(alone, scene.truth), tally(together, scene.truth),
    )  # fmt: skip


def as_in_the_chain(scene: Scene, device: Device) -> Scene:
    """The scene with its second phase as the chain leaves it: none away from the flow mask."""
    second = scene.doppler.second
    if second is None:
        return scene
    mask = device.download(stage(scene, device, ALONE).flow(scene.doppler).mask)
    settings = DopplerConfig()
    reach = np.ones((2 * settings.average_z - 1, 2 * settings.average_x - 1))  # filtered, then averaged
    near = ndimage.binary_dilation(mask, reach)
    phasor = np.where(near, device.download(second.phasor), np.complex64(0))
    doppler = replace(scene.doppler, second=replace(second, phasor=device.upload(phasor)))
    return replace(scene, doppler=doppler)


def segmentation_tally(
    segmentation: Segmentation, frame: VelocityFrame, truth: Truth, peak_m_s: float
) -> SegmentationTally:
    """Count the pixels of one frame, with arrays on the CPU.

    Parameters
    ----------
    segmentation : Segmentation
    frame : VelocityFrame
        Of the engine.
    truth : Truth
    peak_m_s : float
    """
    flow = frame.mask & truth.mask
    true = true_fold(frame, truth)
    folds = np.array(CLASS_FOLDS)[np.argmax(segmentation.fold_probability, axis=0)]
    said, aliased = folds != 0, true != 0
    missed = flow & aliased
    step_m_s = 2 * frame.nyquist_velocity_m_s
    floor = frame.wrapped_velocity_m_s.astype(np.float64) + true * step_m_s - truth.velocity_m_s
    error = frame.velocity_m_s.astype(np.float64) - truth.velocity_m_s
    return SegmentationTally(
        n_flow=_count(flow),
        n_right=_count(flow & (folds == np.clip(true, CLASS_FOLDS[0], CLASS_FOLDS[-1]))),
        n_either=_count(flow & (said | aliased)),
        n_both=_count(flow & said & aliased),
        n_aliased=_count(missed),
        squares=float(((error[missed] / peak_m_s) ** 2).sum()),
        floor_squares=float(((floor[missed] / peak_m_s) ** 2).sum()),
    )


def pooled(scores: Sequence[FrameScore]) -> tuple[dict[str, SegmentationTally], Tally, Tally]:
    """All frames' pixels together: by precision, of the engine without the network, and with it."""
    precisions = {p: reduce(add, (s.by_precision[p] for s in scores)) for p in scores[0].by_precision}
    return precisions, reduce(add, (s.alone for s in scores)), reduce(add, (s.together for s in scores))


def _count(pixels: Any) -> int:
    return int(np.count_nonzero(pixels))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
