"""What runs side by side: one call each, with how much work it does and what comes out."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from trueflow.benchmarks.timing import Budget, Timing, interleave

__all__ = [
    "Builder", "Comparison", "Contender", "ContenderResult", "Measure", "Skipped", "attempt", "lag_one_phase",
    "run_contenders",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do a job.

    Parameters
    ----------
    name, variant : str
        Whose it is, and which of its ways.
    n_threads : int
    run : callable
        What is timed.
    n_units : int
        Pulses, or maps, that one run makes: durations are divided by it.
    phase_rad : callable
        Lag-one phase (n_z, n_x) of what it computes, not timed: does it do the same job?
    """

    name: str
    variant: str
    n_threads: int
    run: Callable[[], Any]
    n_units: int
    phase_rad: Callable[[], NDArray[np.floating[Any]]]


@dataclass(frozen=True, slots=True)
class ContenderResult:
    """One row: time per unit, and the absolute difference of its phase from what it is held against (rad)."""

    name: str
    variant: str
    n_threads: int
    timing: Timing
    times_slower: float
    phase_difference_p50_rad: float
    phase_difference_p95_rad: float


@dataclass(frozen=True, slots=True)
class Skipped:
    """A contender, or a case, that did not run, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All contenders for one job; the first is what the others are compared with."""

    results: tuple[ContenderResult, ...]
    skipped: tuple[Skipped, ...]


Builder = Callable[[], Iterable[Contender]]
Advance = Callable[[int, int], None]
# Runs that return their duration (s), a budget and progress, to the durations of each.
Measure = Callable[[Sequence[Callable[[], float]], Budget, Advance], Sequence[Sequence[float]]]
Built = TypeVar("Built")


def in_turn(runs: Sequence[Callable[[], float]], budget: Budget, advance: Advance) -> list[list[float]]:
    """Each run once a round: a `Measure`."""

    def named(index: int) -> Callable[[], dict[int, float]]:
        return lambda: {index: runs[index]()}

    durations = interleave([named(index) for index in range(len(runs))], budget, advance)
    return [durations[index] for index in range(len(runs))]


def run_contenders(
    builders: Sequence[tuple[str, Builder]],
    *,
    where: NDArray[np.bool_],
    budget: Budget,
    advance: Advance = lambda done, total: None,
    reference_rad: NDArray[np.floating[Any]] | None = None,
    measure: Measure = in_turn,
) -> Comparison:
    """Measure contenders in the same rounds; what cannot run here is listed with the reason.

    Parameters
    ----------
    builders : sequence of (name, callable)
        The first one must run: its first contender is what the others are compared with.
    where : (n_z, n_x) bool
        Pixels whose phases are compared.
    budget : Budget
    advance : callable, optional
        Progress, as in `interleave`.
    reference_rad : (n_z, n_x), optional
        What phases are compared with. Default: the first contender's.
    measure : callable
        How runs take turns. Default: each once a round.
    """
    (_, ours), *others = builders
    found = [(contender, contender.phase_rad()) for contender in ours()]
    skipped = []
    for name, build in others:
        tried = attempt(name, lambda build=build: [(c, c.phase_rad()) for c in build()])  # type: ignore[misc]
        if isinstance(tried, Skipped):
            skipped.append(tried)
        else:
            found += tried
    contenders, phases = zip(*found, strict=True)
    timings = [Timing.of(durations) for durations in measure([_timed(c) for c in contenders], budget, advance)]
    held_against = phases[0] if reference_rad is None else reference_rad
    results = []
    for contender, timing, phase in zip(contenders, timings, phases, strict=True):
        p50, p95 = _phase_difference(phase, held_against, where)
        times_slower = timing.p50_s / timings[0].p50_s
        results.append(
            ContenderResult(contender.name, contender.variant, contender.n_threads, timing, times_slower, p50, p95)
        )
    return Comparison(tuple(results), tuple(skipped))


def lag_one_phase(iq: NDArray[Any]) -> NDArray[np.floating[Any]]:
    """Argument of sum_k x[k+1] conj(x[k]) over the last axis (rad)."""
    return np.asarray(np.angle((iq[..., 1:] * iq[..., :-1].conj()).sum(axis=-1)))


def _phase_difference(
    phase: NDArray[np.floating[Any]], other: NDArray[np.floating[Any]], where: NDArray[np.bool_]
) -> tuple[float, float]:
    difference = np.abs(np.angle(np.exp(1j * (phase - other))))[where]
    return float(np.median(difference)), float(np.quantile(difference, 0.95))


def attempt(name: str, build: Callable[[], Built]) -> Built | Skipped:
    """What `build` makes with a peer, or why it makes nothing; whatever the peer prints is dropped."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return build()
    except ModuleNotFoundError as error:
        return Skipped(name, f"not installed ({error}); pip install 'trueflow[bench]'")
    except Exception as error:  # other people's code: what is broken there costs its row, not the run
        reason = (str(error).strip() or "no message").splitlines()[0]
        return Skipped(name, f"does not run: {type(error).__name__}: {reason}")


def _timed(contender: Contender) -> Callable[[], float]:
    def run() -> float:
        began = time.perf_counter()
        contender.run()
        return (time.perf_counter() - began) / contender.n_units

    return run
