"""Other people's Doppler. Of these only zea, which JAX compiles, uses threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.benchmarks.contenders import Contender, lag_one_phase
from trueflow.benchmarks.das_peers import import_peer, without_cupy
from trueflow.benchmarks.doppler import CLUTTER_ORDER, DopplerProblem

__all__ = ["PEERS"]


def _pymust_velocity(problem: DopplerProblem) -> Iterator[Contender]:
    pymust = import_peer("pymust")
    a = problem.case.acquisition
    param = pymust.utils.Param()
    param.fc, param.c, param.PRF = a.center_frequency_hz, a.sound_speed_m_s, a.slow_time_rate_hz

    def run() -> NDArray[Any]:
        return np.asarray(pymust.iq2doppler(problem.iq, param)[0])

    yield Contender(
        "PyMUST", "iq2doppler: velocity, variance", 1, run, 1, lambda: np.pi / a.nyquist_velocity_m_s() * run()
    )


def _ultraspy_velocity(problem: DopplerProblem) -> Iterator[Contender]:
    with without_cupy():
        module = import_peer("ultraspy.cpu.doppler")
    v_n = problem.case.acquisition.nyquist_velocity_m_s()

    def run() -> NDArray[Any]:
        return np.asarray(module.get_color_doppler_map(problem.iq, v_n))

    yield Contender("ultraspy", "get_color_doppler_map", 1, run, 1, lambda: np.pi / v_n * run())


def _ustb_velocity(problem: DopplerProblem) -> Iterator[Contender]:
    """It wants a frame more than the packet and makes two maps of that, each averaged over 2 x 2 pixels."""
    module = import_peer("ustb.postprocess.autocorrelation_displacement_estimation")
    a, grid = problem.case.acquisition, problem.grid
    n_ensemble = problem.iq.shape[-1]
    frames = np.concatenate([problem.iq, problem.iq[..., -1:]], axis=-1).reshape(-1, 1, 1, n_ensemble + 1)
    estimate = module.AutocorrelationDisplacementEstimation()
    scan = SimpleNamespace(x=grid.x_m.ravel(), z=grid.z_m.ravel(), x_axis=grid.axis_1, z_axis=grid.axis_0)
    estimate.input = SimpleNamespace(data=frames, scan=scan)
    pulse = SimpleNamespace(center_frequency=a.center_frequency_hz)
    estimate.channel_data = SimpleNamespace(sound_speed=a.sound_speed_m_s, pulse=pulse)
    estimate.z_gate, estimate.x_gate, estimate.packet_size = 2, 2, n_ensemble

    def phase() -> NDArray[Any]:
        displacement_m = estimate.go().data[:, 0, 0, 0].reshape(grid.shape)
        return np.asarray(-4 * np.pi / a.wavelength_m * displacement_m)  # it is positive away from the probe

    yield Contender("ustb", "autocorrelation, 2 x 2 gate", 1, estimate.go, 2, phase)


def _zea_velocity(problem: DopplerProblem) -> Iterator[Contender]:
    """Compiled, which is faster than operation by operation as it stands. Slow time first, as it wants it."""
    os.environ.setdefault("KERAS_BACKEND", "jax")  # read when Keras is imported first
    color_doppler, jax = import_peer("zea.doppler").color_doppler, import_peer("jax")
    backend = import_peer("keras").backend.backend()
    if backend != "jax":
        raise RuntimeError(f"Keras runs on {backend} in this process, and zea is measured on JAX")
    a = problem.case.acquisition
    compiled = jax.jit(
        partial(
            color_doppler,
            center_frequency=a.center_frequency_hz,
            pulse_repetition_frequency=a.slow_time_rate_hz,
            sound_speed=a.sound_speed_m_s,
        )
    )
    frames = jax.device_put(np.ascontiguousarray(np.moveaxis(problem.iq, -1, 0)))

    def run() -> Any:
        return compiled(frames).block_until_ready()

    n_cores = len(os.sched_getaffinity(0))
    yield Contender(
        "zea",
        "color_doppler, JAX",
        n_cores,
        run,
        1,
        lambda: np.pi / a.nyquist_velocity_m_s() * np.asarray(run(), np.float64),
    )


def _pymust_clutter(problem: DopplerProblem) -> Iterator[Contender]:
    module = import_peer("pymust.wfilt")

    def run() -> NDArray[Any]:
        return np.asarray(module.wfilt(problem.iq, "poly", CLUTTER_ORDER))

    yield Contender("PyMUST", f"wfilt poly, order {CLUTTER_ORDER}", 1, run, 1, lambda: lag_one_phase(run()))


def _ultraspy_clutter(problem: DopplerProblem) -> Iterator[Contender]:
    """It filters in place: a copy of its own, which stays what it is however often it is filtered."""
    with without_cupy():
        module = import_peer("ultraspy.cpu.doppler")
    iq = problem.iq.copy()

    def run() -> NDArray[Any]:
        return np.asarray(module.apply_wall_filter(iq, "poly", CLUTTER_ORDER))

    yield Contender(
        "ultraspy", f"apply_wall_filter poly, order {CLUTTER_ORDER}", 1, run, 1, lambda: lag_one_phase(run())
    )


PEERS: dict[str, dict[str, Callable[[DopplerProblem], Iterator[Contender]]]] = {
    "velocity": {
        "PyMUST": _pymust_velocity,
        "ustb": _ustb_velocity,
        "ultraspy": _ultraspy_velocity,
        "zea": _zea_velocity,
    },
    "clutter": {"PyMUST": _pymust_clutter, "ultraspy": _ultraspy_clutter},
}
