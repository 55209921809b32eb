"""The whole chain beside one of NumPy, SciPy and scikit-image: speed on the same packets, and the same truth."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.benchmarks.cases import CASES, FEMORAL_VESSEL, Case
from trueflow.benchmarks.compare_rounds import spread_out
from trueflow.benchmarks.contenders import Skipped, attempt
from trueflow.benchmarks.echoes import Vessel
from trueflow.benchmarks.plain_chain import PlainChain
from trueflow.benchmarks.timing import Budget, Timing
from trueflow.pipeline.acquisition import Acquisition, PlaneWave
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.frames import RfPacket, Stamp
from trueflow.pipeline.grid import ImageGrid

__all__ = ["PLAIN", "Shown", "accuracy", "agreement", "chain_case", "compare_chain", "true_velocity_m_s"]

N_PACKETS = 4  # 17 MB of samples: more than the caches near a core hold
PLAIN = "NumPy, SciPy, scikit-image"


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What a chain shows of a frame: mask and velocity (m/s), both (n_z, n_x)."""

    mask: NDArray[np.bool_]
    velocity_m_s: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One row: a chain on so many threads, and the time of each of its steps in every run."""

    name: str
    n_threads: int
    run: Callable[[NDArray[np.int16]], Mapping[str, float]]
    shown: Shown
    blas_is_limited: bool = True
    laps: list[Mapping[str, float]] = field(default_factory=list)


def chain_case() -> Case:
    """`femoral` with dealiasing, which the frozen case leaves out."""
    return CASES["femoral"]().override("dealias.name=regions")


def compare_chain(threads: Sequence[int], budget: Budget, advance: Callable[[int, int], None]) -> dict[str, Any]:
    """Time per frame, RF to dealiased velocity and envelope; errors against the truth; how far the two agree."""
    case = chain_case()
    grid = ColorFlow(case.acquisition, case.config).grid
    ours = list(_ours(case, threads))
    plain = attempt(PLAIN, lambda: list(_plain(case, grid, threads)))
    skipped = [plain] if isinstance(plain, Skipped) else []
    ways = ours if isinstance(plain, Skipped) else [*ours, *plain]
    packets = itertools.cycle([packet.samples for packet in case.packets(N_PACKETS)])
    durations = spread_out([_timed(way, packets) for way in ways], budget, advance)
    truth = true_velocity_m_s(FEMORAL_VESSEL, case.acquisition, grid)
    v_n = case.acquisition.nyquist_velocity_m_s()
    rows = [
        {
            "name": way.name,
            "n_threads": way.n_threads,
            "timing": asdict(Timing.of(values)),
            "steps_p50_s": {step: float(np.median([lap[step] for lap in way.laps])) for step in way.laps[0]},
            **accuracy(way.shown, truth, v_n),
        }
        for way, values in zip(ways, durations, strict=True)
    ]
    section: dict[str, Any] = {"case": case.name, "summary": case.summary, "unit": "frame", "rows": rows}
    if not isinstance(plain, Skipped):
        section["agreement"] = agreement(ours[0].shown, plain[0].shown, truth, v_n)
        section["blas_is_limited"] = all(way.blas_is_limited for way in plain)
    return section | {"skipped": [asdict(s) for s in skipped]}


def _ours(case: Case, threads: Sequence[int]) -> Iterator[Way]:
    for n in threads:
        flow = ColorFlow(case.acquisition, case.config, n_threads=n)
        frame = flow(case.packets(1)[0]).velocity
        yield Way("trueflow", n, _stream(flow, case), Shown(frame.mask, frame.velocity_m_s))


def _stream(flow: ColorFlow, case: Case) -> Callable[[NDArray[np.int16]], Mapping[str, float]]:
    """Packets one after the other, as a scanner sends them: the frame before may speak."""
    index = itertools.count(1)

    def run(samples: NDArray[np.int16]) -> Mapping[str, float]:
        now = next(index)
        return flow(RfPacket(samples, Stamp(now, now * case.ensemble_duration_s, continuous=True))).timings_s

    return run


def _plain(case: Case, grid: ImageGrid, threads: Sequence[int]) -> Iterator[Way]:
    for n in threads:
        chain = PlainChain(case.acquisition, case.config, grid, n_threads=n)
        frame = chain(case.samples)

        def run(samples: NDArray[np.int16], chain: PlainChain = chain) -> Mapping[str, float]:
            chain(samples)
            return chain.laps_s

        yield Way(PLAIN, n, run, Shown(frame.mask, frame.velocity_m_s), chain.blas_is_limited)


def _timed(way: Way, packets: Iterator[NDArray[np.int16]]) -> Callable[[], float]:
    def run() -> float:
        samples = next(packets)
        began = time.perf_counter()
        laps = way.run(samples)
        duration_s = time.perf_counter() - began
        way.laps.append(laps)
        return duration_s

    return run


def true_velocity_m_s(vessel: Vessel, acquisition: Acquisition, grid: ImageGrid) -> NDArray[np.float64]:
    """What Doppler should show of a vessel, positive towards the probe; nan outside it.

    Echoes come back straight up on average: the aperture is as wide to either side but near the image's edges.
    """
    (wave,) = acquisition.transmits
    assert isinstance(wave, PlaneWave)
    across = grid.x_m * np.sin(vessel.angle_rad) + (grid.z_m - vessel.depth_m) * np.cos(vessel.angle_rad)
    speed = vessel.peak_velocity_m_s * (1 - (across / vessel.radius_m) ** 2)
    towards = (np.sin(vessel.angle_rad - wave.angle_rad) + np.sin(vessel.angle_rad)) / 2
    return np.asarray(np.where(np.abs(across) < vessel.radius_m, towards * speed, np.nan))


def accuracy(shown: Shown, truth_m_s: NDArray[np.float64], nyquist_m_s: float) -> dict[str, float]:
    """Errors inside the vessel, where it is shown: wrong folds (off by more than v_N), and the median in v_N."""
    inside = shown.mask & np.isfinite(truth_m_s)
    error = np.abs(shown.velocity_m_s - truth_m_s)[inside] / nyquist_m_s
    return {
        "n_shown": int(np.count_nonzero(shown.mask)),
        "n_judged": int(np.count_nonzero(inside)),
        "wrong_folds": float((error > 1).mean()),
        "error_p50_v_n": float(np.median(error)),
    }


def agreement(ours: Shown, theirs: Shown, truth_m_s: NDArray[np.float64], nyquist_m_s: float) -> dict[str, float]:
    """How far two chains show the same: masks, velocities where both show any, folds all over and in the vessel."""
    both = ours.mask & theirs.mask
    difference = np.abs(ours.velocity_m_s - theirs.velocity_m_s) / nyquist_m_s
    return {
        "mask_iou": float(np.count_nonzero(both) / np.count_nonzero(ours.mask | theirs.mask)),
        "difference_p50_v_n": float(np.median(difference[both])),
        "other_folds": float((difference[both] > 1).mean()),
        "other_folds_in_vessel": float((difference[both & np.isfinite(truth_m_s)] > 1).mean()),
    }
