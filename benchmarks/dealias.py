"""Scores of dealiasers on the validation set: wrong folds first."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trueflow.benchmarks.validation import Scene, ValidationCase, load_scene
from trueflow.kernels.device import Device
from trueflow.pipeline.config import Config, DealiasConfig
from trueflow.pipeline.dealias import Dealias
from trueflow.pipeline.frames import VelocityFrame
from trueflow.pipeline.score import FoldScore, fold_score

__all__ = ["BANDS", "CaseResult", "mean_over_families", "run_dealias"]

# Frames are sorted by the largest true speed in them (multiples of v_N), not by their scene's peak over the cycle.
BANDS = ((0.0, 1.0), (1.0, 1.75), (1.75, 3.1), (3.1, 5.2))


@dataclass(frozen=True, slots=True, eq=False)
class CaseResult:
    """One dealiaser on one case.

    Parameters
    ----------
    case : ValidationCase
    dealiaser : str
    peak : float
        Largest true speed in the frame over v_N.
    nyquist_velocity_m_s : float
    score : FoldScore
    duration_s : float
        Of the dealias stage, flow mask included.
    sure_and_right : float
        Share of right folds among the pixels with a confidence of at least 0.9; nan where there are none.
    sure : float
        Share of flow pixels with such a confidence.
    coverage : float
        Share of the true flow that the flow mask shows: wrong folds are counted there only.
    """

    case: ValidationCase
    dealiaser: str
    peak: float
    nyquist_velocity_m_s: float
    score: FoldScore
    duration_s: float
    sure_and_right: float
    sure: float
    coverage: float

    @property
    def band(self) -> tuple[float, float]:
        """The band of speeds the frame belongs to."""
        return next((b for b in BANDS if b[0] <= self.peak <= b[1]), BANDS[-1])


def run_dealias(
    cases: Sequence[ValidationCase],
    dealiasers: Sequence[str],
    *,
    folder: Path,
    device: Device,
    advance: Callable[[], None] = lambda: None,
    seen: Callable[[CaseResult, Scene, VelocityFrame], None] = lambda result, scene, frame: None,
) -> list[CaseResult]:
    """Every dealiaser on every case; `seen` is shown each frame as it is made."""
    results = []
    for case in cases:
        scene = load_scene(case, folder, device)
        for name in dealiasers:
            result, frame = _score(case, scene, name, device)
            seen(result, scene, frame)
            results.append(result)
        advance()
    return results


def _score(case: ValidationCase, scene: Scene, name: str, device: Device) -> tuple[CaseResult, VelocityFrame]:
    config = Config()
    stage = Dealias(
        device, scene.acquisition, scene.grid, doppler=config.doppler, mask=config.mask,
        config=DealiasConfig(name=name), noise_filter=scene.noise_filter,
    )  # fmt: skip
    began = time.perf_counter()
    frame = stage(scene.doppler)
    device.synchronize()
    duration_s = time.perf_counter() - began
    score = fold_score(frame, scene.truth)
    flow = frame.mask & scene.truth.mask
    nyquist = frame.nyquist_velocity_m_s
    right = frame.fold == np.rint((scene.truth.velocity_m_s - frame.wrapped_velocity_m_s) / (2 * nyquist))
    sure = flow & (frame.confidence >= 0.9)
    result = CaseResult(
        case, name, scene.peak, nyquist, score, duration_s,
        float(right[sure].mean()) if sure.any() else math.nan,
        float(sure.sum() / flow.sum()) if flow.any() else math.nan,
        float(flow.sum() / scene.truth.mask.sum()) if scene.truth.mask.any() else math.nan,
    )  # fmt: skip
    return result, frame


def mean_over_families(results: Sequence[CaseResult], value: Callable[[CaseResult], float]) -> float:
    """Mean over families of the mean over a family's frames; nan values are left out."""
    families: dict[str, list[float]] = {}
    for result in results:
        number = value(result)
        if math.isfinite(number):
            families.setdefault(result.case.family, []).append(number)
    return float(np.mean([np.mean(numbers) for numbers in families.values()])) if families else math.nan
