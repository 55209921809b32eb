"""Scores of dealiasers on the validation set: wrong folds first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from trueflow.benchmarks.dealias_peers import Unwrap, folded, oracle_anchored
from trueflow.benchmarks.dealias_tally import Tally, tally
from trueflow.benchmarks.validation import Scene, ValidationCase, load_scene
from trueflow.kernels.device import Device
from trueflow.pipeline.config import Config, DealiasConfig
from trueflow.pipeline.dealias import Dealias
from trueflow.pipeline.frames import VelocityFrame

__all__ = [
    "ALL_BANDS", "BANDS", "ENGINE", "LEAST_FLOW", "CaseResult", "Contender", "by_family", "counted", "dealiaser",
    "mean_over_families", "peer", "run_dealias", "stage", "within",
]  # fmt: skip

ENGINE = "regions"

# Frames are sorted by the largest true speed in them (multiples of v_N), not by their scene's peak over the cycle.
BANDS = ((0.0, 1.0), (1.0, 1.75), (1.75, 3.1), (3.1, 5.2))
ALL_BANDS = (0.0, BANDS[-1][1])

# A family with fewer flow pixels than this in a band is not counted in the band's means: they may be one group, and
# would weigh as much as thousands of another family. What the mask shows is a mean over all families.
LEAST_FLOW = 500


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody who is asked for the folds of a scene."""

    name: str
    frame: Callable[[Scene, Device], VelocityFrame]


@dataclass(frozen=True, slots=True, eq=False)
class CaseResult:
    """One contender on one case.

    Parameters
    ----------
    case : ValidationCase
    contender : str
    peak : float
        Largest true speed in the frame over v_N.
    tally : Tally
    """

    case: ValidationCase
    contender: str
    peak: float
    tally: Tally

    @property
    def band(self) -> tuple[float, float]:
        """The band of speeds the frame belongs to."""
        return next((b for b in BANDS if b[0] <= self.peak <= b[1]), BANDS[-1])


def stage(scene: Scene, device: Device, config: DealiasConfig) -> Dealias:
    """The dealias stage of the chain, with all else as by default."""
    settings = Config()
    return Dealias(
        device, scene.acquisition, scene.grid, doppler=settings.doppler, mask=settings.mask, config=config,
        noise_filter=scene.noise_filter,
    )  # fmt: skip


def dealiaser(name: str, config: DealiasConfig) -> Contender:
    """One of ours, as the chain runs it."""
    return Contender(name, lambda scene, device: stage(scene, device, config)(scene.doppler))


def peer(name: str, unwrap: Unwrap) -> Contender:
    """One of `PEERS`, on the mask of our own stage."""

    def frame(scene: Scene, device: Device) -> VelocityFrame:
        raw = stage(scene, device, DealiasConfig(name="none"))(scene.doppler)
        return oracle_anchored(folded(unwrap, raw, scene.doppler), raw, scene.truth)

    return Contender(name, frame)


def run_dealias(
    cases: Sequence[ValidationCase],
    contenders: Sequence[Contender],
    *,
    folder: Path,
    device: Device,
    advance: Callable[[int, int], None] = lambda done, total: None,
    seen: Callable[[CaseResult, Scene, VelocityFrame], None] = lambda result, scene, frame: None,
) -> list[CaseResult]:
    """Every contender on every case; `seen` is shown each frame as it is made."""
    results = []
    for index, case in enumerate(cases):
        scene = load_scene(case, folder, device)
        for contender in contenders:
            frame = contender.frame(scene, device)
            result = CaseResult(case, contender.name, scene.peak, tally(frame, scene.truth))
            seen(result, scene, frame)
            results.append(result)
        advance(index + 1, len(cases))
    return results


def within(results: Iterable[CaseResult], contender: str, band: tuple[float, float] = ALL_BANDS) -> list[CaseResult]:
    """A contender's results in one of `BANDS`, or in all of them."""
    return [r for r in results if r.contender == contender and band in (r.band, ALL_BANDS)]


def by_family(results: Iterable[CaseResult]) -> dict[str, Tally]:
    """The pixels of each family's frames, pooled."""
    found: dict[str, list[Tally]] = {}
    for result in results:
        found.setdefault(result.case.family, []).append(result.tally)
    return {family: reduce(add, tallies) for family, tallies in found.items()}


def counted(tallies: Mapping[str, Tally]) -> dict[str, Tally]:
    """The families with at least `LEAST_FLOW` flow pixels."""
    return {family: pooled for family, pooled in tallies.items() if pooled.n_flow >= LEAST_FLOW}


def mean_over_families(tallies: Mapping[str, Tally], rate: str) -> float:
    """Mean of a rate over the families that have one: families count alike, within one every pixel does."""
    rates = [value for value in (getattr(t, rate) for t in tallies.values()) if math.isfinite(value)]
    return float(np.mean(rates)) if rates else math.nan
