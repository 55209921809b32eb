"""Measuring: interleaved rounds, and what is said of the durations."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

__all__ = ["Budget", "Timing", "interleave"]

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations of one thing, in seconds.

    p95 and p99 are durations that occurred (the next larger one), not interpolations: with fewer than 100 runs p99 is
    the largest.
    """

    n_runs: int
    min_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float

    @classmethod
    def of(cls, durations_s: Sequence[float]) -> Timing:
        """Summarise durations.

        Raises
        ------
        ValueError
            Where there are none.
        """
        if not durations_s:
            raise ValueError("durations_s: empty, expected at least one duration")
        p95, p99 = (float(np.quantile(durations_s, q, method="higher")) for q in (0.95, 0.99))
        return cls(len(durations_s), min(durations_s), float(np.median(durations_s)), p95, p99, max(durations_s))


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to measure.

    Parameters
    ----------
    seconds : float
        Until this much time has passed, and at least `LEAST_ROUNDS` rounds are done.
    rounds : int, optional
        Exactly so many rounds instead.
    warmup_rounds : int
        Before that, not counted.
    settle_s : float
        Rest before each run, for whatever the one before left running.
    """

    seconds: float = 10.0
    rounds: int | None = None
    warmup_rounds: int = 3
    settle_s: float = 0.0

    def goes_on(self, done: int, began: float) -> bool:
        """Whether there is another round after `done` of them."""
        if self.rounds is not None:
            return done < self.rounds
        return done < LEAST_ROUNDS or time.perf_counter() - began < self.seconds


LEAST_ROUNDS = 5


def interleave(
    contenders: Sequence[Callable[[], Mapping[Key, float]]],
    budget: Budget,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> dict[Key, list[float]]:
    """Run contenders in turn, so that whatever else the machine does hits all of them alike.

    Each round runs every contender once and begins with another one, so that nobody always follows the same neighbour.

    Parameters
    ----------
    contenders : sequence of callables
        Each runs once and returns its durations (s) by name; names are unique over all contenders.
    budget : Budget
    advance : callable, optional
        Called with (done, total) in rounds, or in tenths of seconds.

    Returns
    -------
    dict
        Durations (s) of all counted rounds by name.
    """
    durations: dict[Key, list[float]] = {}
    for _ in range(budget.warmup_rounds):
        for contender in contenders:
            contender()
    done, began = 0, time.perf_counter()
    while budget.goes_on(done, began):
        first = done % len(contenders)
        for contender in (*contenders[first:], *contenders[:first]):
            if budget.settle_s:
                time.sleep(budget.settle_s)
            for name, duration_s in contender().items():
                durations.setdefault(name, []).append(duration_s)
        done += 1
        if budget.rounds is not None:
            advance(done, budget.rounds)
        else:
            advance(min(int(10 * (time.perf_counter() - began)), int(10 * budget.seconds)), int(10 * budget.seconds))
    return durations
