"""Rounds in which who is quick runs more often, so that quantiles mean something beside others who take seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from trueflow.benchmarks.timing import LEAST_ROUNDS, Budget

__all__ = ["MOST_A_ROUND", "spread", "spread_out"]

MOST_A_ROUND = 20  # runs of the quickest while the slowest runs once
SHARE = 0.3  # of the slowest's time in which a quicker one repeats


def spread(costs_s: Sequence[float], most: int = MOST_A_ROUND) -> list[int]:
    """Who runs when in one round, by index: the slowest once, others as often as fits in their share, evenly spread.

    Parameters
    ----------
    costs_s : sequence of float
        Of one run each.
    most : int
        Runs of one of them.
    """
    share_s = SHARE * max(costs_s)
    counts = [max(1, min(most, int(share_s / max(cost, 1e-9)))) for cost in costs_s]
    places = [((k + 0.5) / count, index) for index, count in enumerate(counts) for k in range(count)]
    return [index for _, index in sorted(places)]


def spread_out(
    runs: Sequence[Callable[[], float]],
    budget: Budget,
    advance: Callable[[int, int], None],
    *,
    least: int = LEAST_ROUNDS,
    most: int = MOST_A_ROUND,
) -> list[list[float]]:
    """Durations (s) of runs that return their own: a `contenders.Measure`.

    Each runs once or more to begin with, which is not counted and says how long it takes. Rounds begin at another place
    each time.

    Parameters
    ----------
    runs : sequence of callables
    budget : Budget
        Of all of them together: exactly its `rounds`, or until its seconds are over.
    advance : callable
        Called with (done, total) in rounds, or in tenths of seconds.
    least : int
        Rounds, however long they take.
    most : int
        Runs of one of them in a round.
    """
    order = spread([_cost_s(run, budget) for run in runs], most)
    durations: list[list[float]] = [[] for _ in runs]
    done, began = 0, time.perf_counter()
    while done < budget.rounds if budget.rounds is not None else _goes_on(budget, done, began, least):
        first = done * len(order) // max(least, 1) % len(order)
        for index in (*order[first:], *order[:first]):
            time.sleep(budget.settle_s)
            durations[index].append(runs[index]())
        done += 1
        if budget.rounds is not None:
            advance(done, budget.rounds)
        else:
            total = max(1, int(10 * budget.seconds))
            advance(min(int(10 * (time.perf_counter() - began)), total), total)
    return durations


def _goes_on(budget: Budget, done: int, began: float, least: int) -> bool:
    return done < least or time.perf_counter() - began < budget.seconds


def _cost_s(run: Callable[[], float], budget: Budget) -> float:
    """Wall time of the last of the runs that are not counted."""
    cost_s = 0.0
    for _ in range(max(1, budget.warmup_rounds)):
        began = time.perf_counter()
        run()
        cost_s = time.perf_counter() - began
    return cost_s
