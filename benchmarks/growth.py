"""How times grow with pixels, channels, pulses and all of them: few runs a point, sizes in steps of two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from trueflow.benchmarks.compare_rounds import spread_out
from trueflow.benchmarks.contenders import Skipped, attempt
from trueflow.benchmarks.growth_jobs import JOBS, Entrant, GrowthCase, Point, make_cases
from trueflow.benchmarks.timing import Budget, Timing

__all__ = ["FULL", "Plan", "exponent", "run_growth"]

Advance = Callable[[int, int], None]

LEAST_ROUNDS, MOST_A_ROUND = 2, 3


@dataclass(frozen=True, slots=True)
class Plan:
    """The points: each axis is varied about `base`, and `diagonal` varies all three.

    Parameters
    ----------
    base : Point
    sides, channels, pulses : sequence of int
        Pixels across (and down), elements, pulses in an ensemble.
    diagonal : sequence of Point
    """

    base: Point
    sides: Sequence[int]
    channels: Sequence[int]
    pulses: Sequence[int]
    diagonal: Sequence[Point]

    def axes(self) -> dict[str, list[Point]]:
        """Points by what grows along them."""
        side, channels, pulses = self.base
        return {
            "pixels": [Point(n, channels, pulses) for n in self.sides],
            "channels": [Point(side, n, pulses) for n in self.channels],
            "pulses": [Point(side, channels, n) for n in self.pulses],
            "all": list(self.diagonal),
        }


FULL = Plan(
    Point(256, 128, 16),
    sides=(64, 128, 256, 512),
    channels=(32, 64, 128, 256),
    pulses=(8, 16, 32),
    diagonal=(Point(128, 64, 8), Point(256, 128, 16), Point(512, 256, 32)),
)


@dataclass(slots=True)
class Found:
    """What was measured at the points, by job and who."""

    timings: dict[tuple[str, str, int], dict[Point, Timing]] = field(default_factory=dict)
    left_out: dict[tuple[str, str, int], dict[Point, str]] = field(default_factory=dict)


def run_growth(plan: Plan, threads: Sequence[int], budget: Budget, advance: Advance) -> dict[str, Any]:
    """Curves by job, axis and contender, with the exponent of each.

    Parameters
    ----------
    plan : Plan
    threads : sequence of int
        Ours runs with each.
    budget : Budget
        Of all points together; each has at least two rounds.
    advance : callable
        Called with (done, total).
    """
    axes = plan.axes()
    # The last point of a size first: what is made for it serves its shorter ensembles.
    points = sorted({point for line in axes.values() for point in line}, key=lambda p: (p.side, p.channels, -p.pulses))
    asked = {job: {p for axis in kind.axes for p in axes[axis]} for job, kind in JOBS.items()}
    each = Budget(budget.seconds / len(points), budget.rounds, warmup_rounds=1, settle_s=budget.settle_s)
    found = Found()
    for done, case in enumerate(make_cases(points)):
        wanted = [job for job in JOBS if case.point in asked[job]]
        _measure(case, wanted, threads, each, found)
        advance(done + 1, len(points))
    return {
        "base": list(plan.base),
        "points": [list(p) for p in sorted(points)],
        "curves": list(_curves(axes, found)),
    }


def _measure(case: GrowthCase, jobs: Sequence[str], threads: Sequence[int], budget: Budget, found: Found) -> None:
    """All contenders for all jobs at one point, in the same rounds."""
    entered: list[tuple[tuple[str, str, int], Entrant]] = []
    for job in jobs:
        for who, n_threads, enter in JOBS[job].entrants(threads):
            key = (job, who, n_threads)
            kind = attempt(who, lambda enter=enter: enter(case))  # type: ignore[misc]
            if isinstance(kind, Skipped):
                found.left_out.setdefault(key, {})[case.point] = kind.reason
            else:
                entered.append((key, kind))
    runs = [entrant.timed for _, entrant in entered]
    durations = spread_out(runs, budget, lambda done, total: None, least=LEAST_ROUNDS, most=MOST_A_ROUND)
    for (key, _), values in zip(entered, durations, strict=True):
        found.timings.setdefault(key, {})[case.point] = Timing.of(values)


def _curves(axes: dict[str, list[Point]], found: Found) -> Iterator[dict[str, Any]]:
    for job, kind in JOBS.items():
        for axis in kind.axes:
            for key in dict.fromkeys([*found.timings, *found.left_out]):
                if key[0] == job:
                    yield _curve(axis, axes[axis], key, found)


def _curve(axis: str, line: Sequence[Point], key: tuple[str, str, int], found: Found) -> dict[str, Any]:
    timings, left_out = found.timings.get(key, {}), found.left_out.get(key, {})
    there = [p for p in line if p in timings]
    points = [{"point": list(p), "size": p.size(axis), "timing": asdict(timings[p])} for p in there]
    sizes, times_s = [p.size(axis) for p in there], [timings[p].p50_s for p in there]
    return {
        "job": key[0],
        "along": axis,
        "name": key[1],
        "n_threads": key[2],
        "points": points,
        "exponent": exponent(sizes, times_s),
        "last_exponent": exponent(sizes[-2:], times_s[-2:]),
        "left_out": [{"point": list(p), "reason": left_out[p]} for p in line if p in left_out],
    }


def exponent(sizes: Sequence[float], times_s: Sequence[float]) -> float | None:
    """The slope of log time over log size, by least squares; None with fewer than two sizes.

    Parameters
    ----------
    sizes, times_s : sequence of float
        Positive.
    """
    if len(set(sizes)) < 2:
        return None
    return float(np.polyfit(np.log(sizes), np.log(times_s), 1)[0])
