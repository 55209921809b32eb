"""Other people's delay-and-sum, each at its best: tables and matrices are made beforehand and not timed."""

from __future__ import annotations

import importlib
import operator
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.benchmarks.contenders import Contender, lag_one_phase
from trueflow.benchmarks.das import DasProblem

__all__ = ["PEERS", "PYMUST_BYTES_PER_WEIGHT", "import_peer", "pymust_matrix", "without_cupy"]

PYMUST_BYTES_PER_WEIGHT = 150  # at the peak while `dasmtx` makes its matrix and we cast it; measured at 256 x 256


def import_peer(name: str) -> Any:
    """A peer's module; what it warns of is not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


@contextmanager
def without_cupy() -> Iterator[None]:
    """Where CuPy is installed, ultraspy compiles GPU kernels as it is imported, which without a GPU fails."""
    there, before = "cupy" in sys.modules, sys.modules.get("cupy")
    sys.modules["cupy"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if there:
            sys.modules["cupy"] = before  # type: ignore[assignment]
        else:
            del sys.modules["cupy"]


def _set_numba_threads(n_threads: int) -> None:
    """Also lets OpenMP's workers sleep after a loop: spinning, they would take from whoever comes next."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when numba's first parallel loop starts
    import_peer("numba").set_num_threads(n_threads)


def pymust_matrix(problem: DasProblem, method: str) -> Any:
    """PyMUST's sparse matrix (Perrot et al. 2021), rows in the order of the pixels, as CSR complex64.

    It is made in complex128 and coordinate form; it is cast to the form in which its users get the fastest product.
    """
    pymust = import_peer("pymust")
    a = problem.acquisition
    positions_m = a.probe.element_positions_m
    param = pymust.utils.Param()
    param.fs, param.fc, param.c = problem.iq_frequency_hz, a.mixing_frequency_hz, a.sound_speed_m_s
    param.pitch = float(positions_m[1, 0] - positions_m[0, 0])
    param.Nelements, param.fnumber = a.probe.n_elements, problem.f_number
    param.t0 = np.array([[a.rx_start_s]])
    shape = 1j * np.array(problem.channel_iq.shape[1::-1])
    x_m, z_m = problem.grid.x_m.ravel(), problem.grid.z_m.ravel()
    matrix = pymust.dasmtx(shape, x_m, z_m, problem.transmit_delays_s, param, method)
    return matrix.tocsr().astype(np.complex64)


def _pymust(problem: DasProblem, n_threads: int) -> Iterator[Contender]:
    """A sparse product of scipy is serial, whatever the number of threads."""
    n_ensemble = problem.channel_iq.shape[-1]
    pulses = problem.channel_iq.reshape(-1, n_ensemble)
    columns = np.ascontiguousarray(pulses.T)
    for method in ("linear", "nearest"):
        matrix = pymust_matrix(problem, method)

        def phase(matrix: Any = matrix) -> NDArray[Any]:
            return lag_one_phase((matrix @ pulses).reshape(*problem.grid.shape, n_ensemble))

        one, together = partial(operator.matmul, matrix, columns[0]), partial(operator.matmul, matrix, pulses)
        yield Contender("PyMUST", f"{method}, one pulse", 1, one, 1, phase)
        yield Contender("PyMUST", f"{method}, {n_ensemble} pulses at once", 1, together, n_ensemble, phase)


def _ustb(problem: DasProblem, n_threads: int) -> Iterator[Contender]:
    """The compiled kernel itself; the toolbox around it makes its delay and weight tables anew in each call."""
    _set_numba_threads(n_threads)
    kernel = import_peer("ustb.midprocess._das_kernel").das_kernel
    a = problem.acquisition
    x_m, z_m = problem.grid.x_m.reshape(-1, 1), problem.grid.z_m.reshape(-1, 1)
    lateral_m = x_m - a.probe.element_positions_m[:, 0]
    weights = (np.abs(lateral_m) * 2 * problem.f_number <= z_m).astype(np.float32)
    outward_s = (x_m * np.sin(problem.angle_rad) + z_m * np.cos(problem.angle_rad)) / a.sound_speed_m_s
    back_s = np.hypot(lateral_m, z_m) / a.sound_speed_m_s
    tables = np.ones((x_m.size, 1), np.float32), weights, outward_s.astype(np.float32), back_s.astype(np.float32)
    data = np.ascontiguousarray(np.swapaxes(problem.channel_iq, 0, 1)[:, :, None])
    both = int(import_peer("ustb.enums").Dimension.both)

    def run(data: NDArray[Any]) -> NDArray[Any]:
        out = np.zeros((x_m.size, 1, 1, data.shape[-1]), np.complex64)
        omega = 2 * np.pi * a.mixing_frequency_hz
        kernel(data, a.rx_start_s, 1 / problem.iq_frequency_hz, *tables, omega, both, out)
        return out

    def phase() -> NDArray[Any]:
        return lag_one_phase(run(data)[:, 0, 0]).reshape(problem.grid.shape)

    first = np.ascontiguousarray(data[..., :1])
    yield Contender("ustb", "numba, one pulse", n_threads, lambda: run(first), 1, phase)
    n_ensemble = data.shape[-1]
    yield Contender("ustb", f"numba, {n_ensemble} pulses at once", n_threads, lambda: run(data), n_ensemble, phase)


def _ultraspy(problem: DasProblem, n_threads: int) -> Iterator[Contender]:
    """Its packets are a loop over pulses."""
    _set_numba_threads(n_threads)
    with without_cupy():
        scans, beamformers = import_peer("ultraspy.scan"), import_peer("ultraspy.beamformers.das")
    # float64: numba cannot type the kernel otherwise
    scan = scans.GridScan(problem.grid.axis_1, problem.grid.axis_0, on_gpu=False)
    beamformer = beamformers.DelayAndSum(is_iq=True, on_gpu=False)
    a = problem.acquisition
    elements_m = a.probe.element_positions_m.T[:, None]
    setups: dict[str, Any] = {
        "emitted_probe": elements_m,
        "received_probe": elements_m,
        "transmissions_idx": [0],
        "emitted_thetas": np.zeros(elements_m.shape[1:]),
        "received_thetas": np.zeros(elements_m.shape[1:]),
        "delays": problem.transmit_delays_s[None],
        "sound_speed": a.sound_speed_m_s,
        "t0": a.rx_start_s,
        "sampling_freq": problem.iq_frequency_hz,
        "central_freq": a.mixing_frequency_hz,
        "f_number": float(problem.f_number),
    }
    for name, value in setups.items():
        beamformer.update_setup(name, value)
    options = {"interpolation": "linear", "reduction": "sum", "fix_t0": False, "emitted_aperture": False}
    for name, value in options.items():
        beamformer.update_option(name, value)
    pulses = np.ascontiguousarray(np.moveaxis(problem.channel_iq, -1, 0)[:, None])

    def phase() -> NDArray[Any]:
        images = np.stack([beamformer.beamform_cpu(pulse, scan) for pulse in pulses], axis=-1)
        return np.asarray(lag_one_phase(images).T)  # its images are (n_x, n_z)

    one = partial(beamformer.beamform_cpu, pulses[0], scan)
    yield Contender("ultraspy", "numba, one pulse", n_threads, one, 1, phase)


def _vbeam(problem: DasProblem, n_threads: int) -> Iterator[Contender]:
    """Compiled by JAX, which takes all cores. Of the ways to write the loops this is the fastest on a CPU.

    Pulses innermost, so that they share delays; receivers summed one after the other, not as an axis of an array.
    """
    jax = import_peer("jax")
    import_peer("vbeam.fastmath").backend_manager.active_backend = "jax"
    n_ensemble = problem.channel_iq.shape[-1]
    n_cores = len(os.sched_getaffinity(0))

    def plan(signal: NDArray[Any], axes: list[str]) -> Callable[[], Any]:
        setup, build = _vbeam_setup(problem, jax, signal, axes)
        compiled, data = jax.jit(build), setup.data
        return lambda: compiled(**data).block_until_ready()

    one = plan(np.ascontiguousarray(problem.channel_iq[..., 0]), ["receivers", "signal_time"])
    together = plan(problem.channel_iq, ["receivers", "signal_time", "frames"])
    one()  # compiles; `together` does so with its phase

    def phase() -> NDArray[Any]:
        images = np.asarray(together()).reshape(*problem.grid.shape[::-1], n_ensemble)
        return np.asarray(lag_one_phase(images).T)  # its points go down first

    yield Contender("vbeam", "JAX, one pulse", n_cores, one, 1, phase)
    yield Contender("vbeam", f"JAX, {n_ensemble} pulses at once", n_cores, together, n_ensemble, phase)


def _vbeam_setup(problem: DasProblem, jax: Any, signal: NDArray[Any], axes: list[str]) -> tuple[Any, Any]:
    """What vbeam wants to know, and its kernel over points, receivers and frames."""
    a = problem.acquisition
    core, transformations = import_peer("vbeam.core"), import_peer("vbeam.util.transformations")
    apodization, wavefront = import_peer("vbeam.apodization"), import_peer("vbeam.wavefront")
    receive = apodization.PlaneWaveReceiveApodization(apodization.Rectangular(), problem.f_number)

    def number(value: Any) -> Any:
        return jax.numpy.asarray(value, jax.numpy.float32)

    still = number(np.zeros(a.probe.n_elements))
    spec = {"signal": axes, "receiver": ["receivers"], "point_position": ["points"]}
    setup = import_peer("vbeam.data_importers").SignalForPointSetup(
        sender=core.ElementGeometry(number([0, 0, 0]), 0.0, 0.0),
        point_position=None,
        receiver=core.ElementGeometry(number(a.probe.element_positions_m), still, still),
        signal=jax.numpy.asarray(signal),
        transmitted_wavefront=wavefront.PlaneWavefront(),
        reflected_wavefront=wavefront.ReflectedWavefront(),
        speed_of_sound=number(a.sound_speed_m_s),
        wave_data=core.WaveData(
            azimuth=number(problem.angle_rad), elevation=number(0), source=number([0, 0, 0]), t0=number(0)
        ),
        interpolate=import_peer("vbeam.interpolation").FastInterpLinspace(
            min=a.rx_start_s, d=1 / problem.iq_frequency_hz, n=signal.shape[1]
        ),
        modulation_frequency=number(a.mixing_frequency_hz),
        apodization=apodization.TxRxApodization(receive=receive),
        spec=import_peer("spekk").Spec(spec),
        scan=import_peer("vbeam.scan").linear_scan(number(problem.grid.axis_1), number(problem.grid.axis_0)),
    )
    loops = [transformations.ForAll(axis) for axis in (*axes[2:], "points")]
    build = transformations.compose(core.signal_for_point, *loops, transformations.Reduce.Sum("receivers"))
    return setup, build.build(setup.spec)


PEERS: dict[str, Callable[[DasProblem, int], Iterator[Contender]]] = {
    "PyMUST": _pymust,
    "ustb": _ustb,
    "ultraspy": _ultraspy,
    "vbeam": _vbeam,
}
