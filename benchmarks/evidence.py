"""What each kind of evidence says in one frame, by pixel and by region: for pictures of how folds are found.

The engine keeps sums, not the votes of single pixels; these are computed here once more, by the equations at the heads
of region_votes.cu and of predictions.py, and tests hold their sums to the engine's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trueflow.kernels.predictions import FOLDS, N_COHERENCES, N_PHASES
from trueflow.kernels.regions import RegionUnwrapper
from trueflow.kernels.velocity import PhaseCoherence
from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.config import Config
from trueflow.pipeline.frames import ColorFrame, RfPacket, SecondPhase, Stamp
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.sources import Truth, open_source

__all__ = ["Evidence", "WatchedUnwrapper", "border_steps", "gather", "second_agreement", "wall_weights"]

Map = NDArray[Any]  # (n_z, n_x)

SMALL_STEP_TURNS = 0.15  # as in region_votes.cu: below this no slope is asked for
VOTE_UNIT = 512


class WatchedUnwrapper(RegionUnwrapper):
    """The engine, whose regions and sums can be looked at after a call."""

    def regions(self) -> Map:
        """Number of each pixel's region, -1 where there is no flow: (n_z, n_x) int32."""
        return self._device.download(self._region).reshape(self._shape)

    def second_votes(self) -> NDArray[np.float64]:
        """What the second phase says of each region, for folds of -3 to 3: (n_regions, 7)."""
        return self._device.download(self._second_votes)[:, : FOLDS.size] / VOTE_UNIT

    def wall_votes(self) -> NDArray[np.float64]:
        """What walls say for fold 0 of each region: (n_regions,)."""
        return self._device.download(self._sums)[:, 1] / VOTE_UNIT


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """One frame and what was known about its folds; maps are (n_z, n_x).

    Parameters
    ----------
    frame : ColorFrame
    truth : Truth
    regions : int32
        Number of the region, -1 outside the flow mask.
    steps : int
        The largest step of folds that a pixel's borders to the right and below vote for; -1 where there is no border.
    second_pixels, second_regions : int
        The fold that agrees best with the second phase: of the pixel alone, and of its whole region.
    wall : float32
        Weight of the pixel's vote for fold 0; 0 away from walls.
    before : float32
        The fold that brings the pixel nearest to where it was in the frame before; NaN where there was no flow.
    true_fold : int
    engine : WatchedUnwrapper
        After it has made this frame's folds.
    """

    acquisition: Acquisition
    grid: ImageGrid
    config: Config
    frame: ColorFrame
    truth: Truth
    regions: Map
    steps: Map
    second_pixels: Map
    second_regions: Map
    wall: Map
    before: Map
    true_fold: Map
    engine: WatchedUnwrapper

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Pixels that show flow and have it: where folds are right or wrong."""
        return self.frame.velocity.mask & self.truth.mask

    def share_right(self, fold: Map, among: NDArray[np.bool_] | None = None) -> float:
        """Share of the judged pixels (or of those among them) with the true fold."""
        judged = self.judged if among is None else self.judged & among
        return float((fold == self.true_fold)[judged].mean())


def gather(url: str, *, index: int, config: Config) -> Evidence:
    """Process frame `index` of a simulation, and the one before it, and look at all evidence.

    Parameters
    ----------
    url : str
        `sim://` with channel data.
    index : int
        From 1.
    config : Config
    """
    with open_source(url) as scan:
        acquisition, n_pulses = scan.acquisition, scan.burst_length
        flow = ColorFlow(acquisition, config)
        frames = []
        for number in (index - 1, index):
            start = number * n_pulses
            stamp = Stamp(number, acquisition_time_s=scan.slow_time_s(start))
            frames.append(flow(RfPacket(scan.read(start, start + n_pulses), stamp)))
        truth = scan.truth(index * n_pulses, (index + 1) * n_pulses, flow.grid)
    assert truth is not None  # simulations know it
    before, frame = frames
    phase = PhaseCoherence(flow.device, shape=flow.grid.shape, nyquist_velocity_m_s=acquisition.nyquist_velocity_m_s())
    (turns, _, coherence), (turns_then, _, _) = (phase(f.doppler.r0, f.doppler.r1) for f in (frame, before))
    mask, second = frame.velocity.mask, frame.doppler.second
    assert second is not None  # channel data have one
    before_turns = np.where(before.velocity.mask, turns_then + before.velocity.fold, np.nan).astype(np.float32)
    engine = WatchedUnwrapper(flow.device, shape=flow.grid.shape)
    fold, _ = engine(turns, coherence, mask, second=(second.phasor, second.table), before_turns=before_turns)
    assert np.array_equal(fold, frame.velocity.fold)  # what is looked at is what decided
    regions = engine.regions()
    of_region = FOLDS[engine.second_votes().argmax(axis=1)]
    apart = truth.velocity_m_s - frame.velocity.wrapped_velocity_m_s
    return Evidence(
        acquisition, flow.grid, flow.config, frame, truth, regions,
        steps=border_steps(turns, coherence, regions),
        second_pixels=FOLDS[second_agreement(second, turns, coherence).argmax(axis=-1)],
        second_regions=np.where(regions >= 0, of_region[regions], 0),
        wall=wall_weights(turns, coherence, regions),
        before=np.where(mask, np.rint(before_turns - turns), np.nan),
        true_fold=np.rint(apart / (2 * frame.velocity.nyquist_velocity_m_s)),
        engine=engine,
    )  # fmt: skip


def border_steps(turns: Map, coherence: Map, regions: Map) -> Map:
    """The largest step of folds that borders to the right and below vote for; -1 where there are none.

    A border votes for -round(d), d being what the phase steps by less the local slope (region_votes.cu).
    """
    phasor = np.where(regions >= 0, coherence * np.exp(2j * np.pi * turns), 0)
    steps = np.full(regions.shape, -1)
    for axis in (0, 1):
        here, there = (_cut(axis, part) for part in (slice(None, -1), slice(1, None)))
        product = phasor[here].conj() * phasor[there]
        window = [ndimage.uniform_filter(part, 3, mode="constant") for part in (product.real, product.imag)]
        apart = turns[there] - turns[here]
        slope = np.where(
            np.abs(apart - np.rint(apart)) > SMALL_STEP_TURNS, np.arctan2(window[1], window[0]) / (2 * np.pi), 0
        )
        border = (regions[here] >= 0) & (regions[there] >= 0) & (regions[here] != regions[there])
        votes = np.where(border, np.abs(np.rint(apart - slope)), -1)
        steps[here] = np.maximum(steps[here], votes)
    return steps


def _cut(axis: int, part: slice) -> tuple[slice, ...]:
    return (part, slice(None)) if axis == 0 else (slice(None), part)


def second_agreement(second: SecondPhase, turns: Map, coherence: Map) -> NDArray[np.float64]:
    """Agreement with what folds of -3 to 3 predict, Re(second conj(predicted)): (n_z, n_x, 7)."""
    c = np.clip((coherence * N_COHERENCES).astype(int), 0, N_COHERENCES - 1)
    t = np.clip(((turns + 0.5) * N_PHASES).astype(int), 0, N_PHASES - 1)
    return np.asarray((second.phasor[..., None] * second.table[c, t].conj()).real, np.float64)


def wall_weights(turns: Map, coherence: Map, regions: Map) -> Map:
    """What each pixel says for fold 0 because it lies beside a long run without flow; 0 elsewhere."""
    run = max(4, round(min(regions.shape) / 16))
    empty = regions < 0
    beside = np.zeros(regions.shape, np.bool_)
    for axis in (0, 1):
        for sign in (1, -1):
            # Of a cumulative sum along the axis: the `run` pixels that follow hold `run` empty ones.
            along = np.flip(empty, axis) if sign < 0 else empty
            counts = np.cumsum(along, axis=axis)
            ahead = np.zeros_like(beside)
            ahead[_cut(axis, slice(None, -run))] = (
                counts[_cut(axis, slice(run, None))] - counts[_cut(axis, slice(None, -run))] == run
            )
            beside |= np.flip(ahead, axis) if sign < 0 else ahead
    weight = (1 - 2 * np.abs(turns)) * coherence
    return np.where(beside & ~empty, weight, 0).astype(np.float32)
