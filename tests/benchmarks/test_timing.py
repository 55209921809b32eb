"""What is said of durations, and in which order they are taken."""

from __future__ import annotations

import pytest

from trueflow.benchmarks.timing import LEAST_ROUNDS, Budget, Timing, interleave


def test_percentiles_of_known_durations():
    timing = Timing.of([i / 1000 for i in range(1, 1001)])
    assert timing.n_runs == 1000
    assert (timing.min_s, timing.max_s) == (0.001, 1.0)
    assert timing.p50_s == pytest.approx(0.5005)
    # The next larger duration that occurred: of 999 intervals between ranks, 0.95 and 0.99 of the way up.
    assert (timing.p95_s, timing.p99_s) == (0.951, 0.991)


def test_tail_percentiles_are_durations_that_occurred():
    timing = Timing.of([0.001, 0.001, 0.001, 0.2])
    assert timing.p50_s == 0.001
    assert timing.p95_s == timing.p99_s == timing.max_s == 0.2


def test_order_of_durations_does_not_matter():
    assert Timing.of([3.0, 1.0, 2.0]) == Timing.of([1.0, 2.0, 3.0])


def test_no_durations_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        Timing.of([])


def recorder(name: str, calls: list[str]):
    def run() -> dict[str, float]:
        calls.append(name)
        return {name: float(len(calls))}

    return run


def test_rounds_are_interleaved_and_begin_with_another_contender_each():
    calls: list[str] = []
    contenders = [recorder(name, calls) for name in "abc"]
    interleave(contenders, Budget(rounds=3, warmup_rounds=0))
    assert "".join(calls) == "abc" + "bca" + "cab"


def test_warm_up_is_not_counted():
    calls: list[str] = []
    durations = interleave([recorder("a", calls)], Budget(rounds=2, warmup_rounds=5))
    assert durations == {"a": [6.0, 7.0]}


def test_without_time_there_are_the_least_rounds():
    durations = interleave([recorder("a", [])], Budget(seconds=0, warmup_rounds=0))
    assert len(durations["a"]) == LEAST_ROUNDS


def test_progress_reaches_its_total():
    seen: list[tuple[int, int]] = []
    interleave([recorder("a", [])], Budget(rounds=4), lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
