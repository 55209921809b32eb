"""Delay-and-sum and Doppler side by side for the comparison: ours on one thread and on all, peers, and the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from trueflow.benchmarks.cases import CASES, Case
from trueflow.benchmarks.compare_rounds import spread_out
from trueflow.benchmarks.contenders import Builder, Comparison, lag_one_phase, run_contenders
from trueflow.benchmarks.das import DasProblem, das_problem, our_das
from trueflow.benchmarks.doppler import CLUTTER_ORDER, DopplerProblem, doppler_problem, our_doppler
from trueflow.benchmarks.timing import Budget
from trueflow.kernels import das as das_kernel
from trueflow.kernels.device import get_device
from trueflow.kernels.slow_time import polynomial_filter
from trueflow.pipeline.geometry import make_waves

__all__ = ["compare_das", "compare_doppler", "precise_das_phase", "square"]

Advance = Callable[[int, int], None]

JUDGED_EVERY = 4  # pixels down and across: a float64 image of all of them would take longer than the measuring
UPSAMPLING = 8


def square(name: str, pixels: int) -> Case:
    """A case on so many pixels across and down."""
    return CASES[name]().override(f"grid.n_x={pixels}", f"grid.n_z={pixels}")


def compare_das(pixels: int, threads: Sequence[int], budget: Budget, advance: Advance) -> dict[str, Any]:
    """Time per pulse, and how far the lag-one phase of 16 pulses is from a precise image's."""
    from trueflow.benchmarks.das_peers import PEERS

    problem = das_problem(square("femoral", pixels))
    ours: Builder = lambda: chain.from_iterable(our_das(problem, n) for n in threads)  # noqa: E731
    peers = [(name, partial(build, problem, max(threads))) for name, build in PEERS.items()]
    judged = np.zeros(problem.grid.shape, np.bool_)
    judged[::JUDGED_EVERY, ::JUDGED_EVERY] = problem.insonified[::JUDGED_EVERY, ::JUDGED_EVERY]
    comparison = run_contenders(
        [("trueflow", ours), *peers],
        where=judged,
        budget=budget,
        advance=advance,
        reference_rad=precise_das_phase(problem),
        measure=spread_out,
    )
    return _section(comparison, problem.case, "pulse")


def precise_das_phase(problem: DasProblem) -> NDArray[np.float64]:
    """Lag-one phase (rad) of a float64 image by band-limited interpolation, nan but at every fourth pixel each way."""
    a, grid = problem.acquisition, problem.grid
    some = np.s_[::JUDGED_EVERY, ::JUDGED_EVERY]
    n_samples = problem.channel_iq.shape[1]
    iq = signal.resample(problem.channel_iq.astype(np.complex128), UPSAMPLING * n_samples, axis=1)
    image = das_kernel.reference(
        iq[None],
        pixel_x_m=grid.x_m[some],
        pixel_z_m=grid.z_m[some],
        element_x_m=a.probe.element_positions_m[:, 0],
        element_z_m=a.probe.element_positions_m[:, 2],
        element_angles_rad=a.probe.element_angles_rad,
        waves=make_waves(a),
        window=das_kernel.ReceiveWindow(problem.f_number, 0.0),
        sampling_frequency_hz=UPSAMPLING * problem.iq_frequency_hz,
        demodulation_frequency_hz=a.mixing_frequency_hz,
        rx_start_s=a.rx_start_s,
        sound_speed_m_s=a.sound_speed_m_s,
    )
    phase = np.full(grid.shape, np.nan)
    phase[some] = lag_one_phase(image)
    return phase


def compare_doppler(pixels: int, threads: Sequence[int], budget: Budget, advance: Advance) -> dict[str, dict[str, Any]]:
    """Time per map, and how far it is from the same in float64, of velocity and of the clutter filter."""
    from trueflow.benchmarks.doppler_peers import PEERS

    problem = doppler_problem(square("femoral", pixels))
    sections = {}
    for job, peers in PEERS.items():
        ours: Builder = partial(_ours, problem, job, threads)
        comparison = run_contenders(
            [("trueflow", ours), *((name, partial(build, problem)) for name, build in peers.items())],
            where=problem.insonified,
            budget=budget,
            advance=advance,
            reference_rad=_precise_phase(problem, job),
            measure=spread_out,
        )
        sections[job] = _section(comparison, problem.case, "ensemble")
    return sections


def _ours(problem: DopplerProblem, job: str, threads: Sequence[int]) -> Any:
    return chain.from_iterable(our_doppler(problem, job, get_device("cpu", n_threads=n), n) for n in threads)


def _precise_phase(problem: DopplerProblem, job: str) -> NDArray[np.floating[Any]]:
    iq = problem.iq.astype(np.complex128)
    if job == "clutter":
        iq = iq @ polynomial_filter(iq.shape[-1], order=CLUTTER_ORDER).output.T
    return lag_one_phase(iq)


def _section(comparison: Comparison, case: Case, unit: str) -> dict[str, Any]:
    rows = [
        {
            "name": r.name,
            "variant": r.variant,
            "n_threads": r.n_threads,
            "timing": asdict(r.timing),
            "error_p50_rad": r.phase_difference_p50_rad,
            "error_p95_rad": r.phase_difference_p95_rad,
        }
        for r in comparison.results
    ]
    a, grid = case.acquisition, case.config.grid
    return {
        "case": case.name,
        "unit": unit,
        "n_x": grid.n_x,
        "n_z": grid.n_z,
        "n_channels": a.probe.n_elements,
        "n_ensemble": a.n_ensemble,
        "rows": rows,
        "skipped": [asdict(s) for s in comparison.skipped],
    }
