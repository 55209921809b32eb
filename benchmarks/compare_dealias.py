"""Dealiasing side by side for the comparison: a few of the frozen maps, time and wrong folds of everybody on each."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.benchmarks.compare_rounds import spread_out
from trueflow.benchmarks.contenders import Skipped
from trueflow.benchmarks.das_peers import import_peer
from trueflow.benchmarks.dealias import ENGINE, stage
from trueflow.benchmarks.dealias_peers import PEERS, Peer, folded, given, installed, oracle_anchored
from trueflow.benchmarks.dealias_tally import tally
from trueflow.benchmarks.timing import Budget, Timing
from trueflow.benchmarks.validation import FRESH_SEEDS, VARIANTS, Scene, ValidationCase, load_scene
from trueflow.benchmarks.validation_set import make_missing
from trueflow.kernels.device import get_device
from trueflow.pipeline.config import DealiasConfig
from trueflow.pipeline.dealias import DEALIASERS, PhaseMap
from trueflow.pipeline.frames import VelocityFrame

__all__ = ["CASES", "compare_dealias", "installed_peers", "rapidphase"]

# At 3 v_N most peers begin to fail; seeds that nothing of ours was fitted to.
CASES = tuple(
    ValidationCase(family, 3.0, *VARIANTS[0], FRESH_SEEDS[0])
    for family in ("femoral", "bifurcation", "stenosis", "chamber")
)
RAPIDPHASE = "rapidphase"
KERNELS, STAGE = "kernels on ready maps", "with phase and flow mask"


def rapidphase(n_threads: int) -> Peer:
    """Least squares by cosine transforms on PyTorch: the fastest of its ways.

    With its weighted ways as many folds were wrong on such maps, and they took longer; so it did with nan outside the
    mask in place of zero, which was no better.
    """
    unwrap = import_peer("rapidphase").unwrap
    import_peer("torch").set_num_threads(n_threads)

    def prepare(
        turns: NDArray[np.float64], coherence: NDArray[Any], mask: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32]]:
        return (np.where(mask, 2 * np.pi * turns, 0).astype(np.float32),)

    def call(phase: NDArray[np.float32]) -> Any:
        return unwrap(phase, algorithm="dct", device="cpu")[0]

    def read(unwrapped: Any, turns: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[Any]:
        return np.where(mask, np.rint(unwrapped / (2 * np.pi) - turns), 0)

    return Peer(prepare, call, read)


def installed_peers(n_threads: int) -> tuple[dict[str, Peer], list[Skipped]]:
    """The peers that are here, and why the others are not."""
    peers, skipped = installed(tuple(PEERS))
    try:
        return {**peers, RAPIDPHASE: rapidphase(n_threads)}, list(skipped)
    except ImportError as error:
        reason = f"not installed ({error}); it needs PyTorch, some 5 GB: pip install {RAPIDPHASE}"
        return peers, [*skipped, Skipped(RAPIDPHASE, reason)]


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """A case with its wrapped velocities, which everybody is given."""

    case: ValidationCase
    scene: Scene
    raw: VelocityFrame


@dataclass(frozen=True, slots=True)
class Way:
    """One row: what runs on each map, and the share of wrong folds by case."""

    name: str
    variant: str
    n_threads: int
    runs: Sequence[Callable[[], Any]]
    wrong_folds: Mapping[str, float]


def compare_dealias(
    threads: Sequence[int],
    budget: Budget,
    advance: Callable[[int, int], None],
    *,
    folder: Path,
    cases: Sequence[ValidationCase] = CASES,
) -> dict[str, Any]:
    """Time per map over all maps, and wrong folds on each."""
    make_missing(cases, folder)
    maps = [_load(case, folder) for case in cases]
    peers, skipped = installed_peers(max(threads))
    ways = [way for n in threads for way in _ours(maps, n)]
    ways += [_theirs(name, peer, maps, max(threads)) for name, peer in peers.items()]
    durations = spread_out([_timed(way.runs) for way in ways], budget, advance)
    rows = [
        {
            "name": way.name,
            "variant": way.variant,
            "n_threads": way.n_threads,
            "timing": asdict(Timing.of(values)),
            "wrong_folds": dict(way.wrong_folds),
        }
        for way, values in zip(ways, durations, strict=True)
    ]
    facts = {
        m.case.name: {"peak_v_n": m.scene.peak, "shape": list(m.raw.mask.shape), "n_shown": int(m.raw.mask.sum())}
        for m in maps
    }
    return {"unit": "map", "cases": facts, "rows": rows, "skipped": [asdict(s) for s in skipped]}


def _load(case: ValidationCase, folder: Path) -> Map:
    device = get_device("cpu")
    scene = load_scene(case, folder, device)
    return Map(case, scene, stage(scene, device, DealiasConfig(name="none"))(scene.doppler))


def _ours(maps: Sequence[Map], n_threads: int) -> Iterator[Way]:
    device = get_device("cpu", n_threads=n_threads)
    config = DealiasConfig(previous_frame="off")
    stages = [stage(m.scene, device, config) for m in maps]
    wrong = {
        m.case.name: tally(run(m.scene.doppler), m.scene.truth).wrong_fold_rate
        for m, run in zip(maps, stages, strict=True)
    }
    kernels = []
    for m, run in zip(maps, stages, strict=True):
        found = run.flow(m.scene.doppler)
        phase = PhaseMap(found.phase_turns, found.coherence, found.mask, second=m.scene.doppler.second)
        kernels.append(partial(DEALIASERS[ENGINE](device, m.raw.mask.shape, config), phase, None))
    yield Way("trueflow", KERNELS, n_threads, kernels, wrong)
    whole = [partial(run, m.scene.doppler) for m, run in zip(maps, stages, strict=True)]
    yield Way("trueflow", STAGE, n_threads, whole, wrong)


def _theirs(name: str, peer: Peer, maps: Sequence[Map], n_threads: int) -> Way:
    ready = [peer.prepare(*given(m.raw, m.scene.doppler)) for m in maps]
    wrong = {
        m.case.name: tally(
            oracle_anchored(folded(peer, m.raw, m.scene.doppler), m.raw, m.scene.truth), m.scene.truth
        ).wrong_fold_rate
        for m in maps
    }
    runs = [partial(peer.call, *arguments) for arguments in ready]
    return Way(name, "", n_threads if name == RAPIDPHASE else 1, runs, wrong)


def _timed(runs: Sequence[Callable[[], Any]]) -> Callable[[], float]:
    """Runs on the next of the maps."""
    turn = itertools.cycle(runs)

    def run() -> float:
        call = next(turn)
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    return run
