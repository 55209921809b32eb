"""Doppler side by side: velocity by lag-one autocorrelation, and polynomial clutter filters, on the same IQ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from trueflow.benchmarks.cases import Case
from trueflow.benchmarks.contenders import Builder, Comparison, Contender, lag_one_phase, run_contenders
from trueflow.benchmarks.das import das_problem
from trueflow.benchmarks.timing import Budget
from trueflow.kernels.autocorrelate import Autocorrelator
from trueflow.kernels.device import Device, get_device
from trueflow.kernels.velocity import PhaseCoherence
from trueflow.pipeline.clutter import Clutter
from trueflow.pipeline.frames import IqEnsemble, Stamp
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.stages import Beamform

__all__ = ["CLUTTER_ORDER", "JOBS", "DopplerProblem", "doppler_problem", "our_doppler", "run_doppler"]

CLUTTER_ORDER = 1
JOBS = ("velocity", "clutter")


@dataclass(frozen=True, slots=True, eq=False)
class DopplerProblem:
    """What everyone is given: beamformed IQ (n_z, n_x, n_ensemble) complex64, its pixels and clocks."""

    case: Case
    grid: ImageGrid
    iq: NDArray[np.complex64]
    insonified: NDArray[np.bool_]


def doppler_problem(case: Case) -> DopplerProblem:
    """Beamform the case's packet."""
    channels = das_problem(case)
    stage = Beamform(
        get_device("cpu"),
        case.acquisition,
        channels.grid,
        demodulate=case.config.demodulate,
        beamform=case.config.beamform,
    )
    iq = stage(case.packets(1)[0]).iq.copy()
    return DopplerProblem(case, channels.grid, iq, channels.insonified)


def run_doppler(
    problem: DopplerProblem,
    job: str,
    *,
    n_threads: int,
    budget: Budget,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison:
    """Time per map of everyone who is installed.

    Parameters
    ----------
    problem : DopplerProblem
    job : {"velocity", "clutter"}
        Lag-one velocity without spatial averaging; or polynomial regression, compared by the phase of what is left.
    n_threads : int
        For those who use threads.
    budget : Budget
    advance : callable, optional
        Progress, as in `interleave`.
    """
    from trueflow.benchmarks.doppler_peers import PEERS

    device = get_device("cpu", n_threads=n_threads)
    builders: list[tuple[str, Builder]] = [("trueflow", partial(our_doppler, problem, job, device, n_threads))]
    builders += [(name, partial(build, problem)) for name, build in PEERS[job].items()]
    return run_contenders(builders, where=problem.insonified, budget=budget, advance=advance)


def our_doppler(problem: DopplerProblem, job: str, device: Device, n_threads: int) -> Iterator[Contender]:
    """Our way to do one of `JOBS`."""
    return {"velocity": _our_velocity, "clutter": _our_clutter}[job](problem, device, n_threads)


def _our_velocity(problem: DopplerProblem, device: Device, n_threads: int) -> Iterator[Contender]:
    shape, acquisition = problem.grid.shape, problem.case.acquisition
    autocorrelate = Autocorrelator(device, shape=shape, n_ensemble=acquisition.n_ensemble)
    phase = PhaseCoherence(device, shape=shape, nyquist_velocity_m_s=acquisition.nyquist_velocity_m_s())

    def run() -> NDArray[np.float32]:
        turns: NDArray[np.float32] = phase(*autocorrelate(problem.iq))[0]
        return turns

    yield Contender("trueflow", "R0, R1, velocity", n_threads, run, 1, lambda: 2 * np.pi * run())


def _our_clutter(problem: DopplerProblem, device: Device, n_threads: int) -> Iterator[Contender]:
    config = replace(problem.case.config.clutter, name="polynomial", order=CLUTTER_ORDER)
    ensemble = IqEnsemble(problem.iq, Stamp(0))
    clutter = Clutter(device, shape=problem.grid.shape, n_ensemble=problem.case.acquisition.n_ensemble, config=config)
    yield Contender(
        "trueflow",
        f"polynomial, order {CLUTTER_ORDER}",
        n_threads,
        lambda: clutter(ensemble),
        1,
        lambda: lag_one_phase(clutter(ensemble).iq),
    )
