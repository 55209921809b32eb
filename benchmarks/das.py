"""Delay-and-sum side by side: the same channel IQ, pixels, f-number, boxcar aperture and linear interpolation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from trueflow.benchmarks.cases import Case
from trueflow.benchmarks.contenders import Comparison, Contender, lag_one_phase, run_contenders
from trueflow.benchmarks.timing import Budget
from trueflow.kernels.device import get_device
from trueflow.pipeline.acquisition import Acquisition, PlaneWave
from trueflow.pipeline.frames import RfPacket, Stamp
from trueflow.pipeline.geometry import make_grid
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.stages import Beamform

__all__ = ["DasProblem", "das_problem", "our_das", "run_das"]


@dataclass(frozen=True, slots=True, eq=False)
class DasProblem:
    """What every beamformer is given.

    Parameters
    ----------
    case : Case
        With one unsteered or steered plane wave.
    grid : ImageGrid
    channel_iq : (n_elements, n_iq_samples, n_ensemble) complex64
    iq_frequency_hz : float
        Its sampling frequency.
    f_number : float
    """

    case: Case
    grid: ImageGrid
    channel_iq: NDArray[np.complex64]
    iq_frequency_hz: float
    f_number: float

    @property
    def acquisition(self) -> Acquisition:
        """Facts of the recording."""
        return self.case.acquisition

    @property
    def angle_rad(self) -> float:
        """Steering of the plane wave."""
        (wave,) = self.acquisition.transmits
        assert isinstance(wave, PlaneWave)
        return wave.angle_rad

    @property
    def transmit_delays_s(self) -> NDArray[np.float64]:
        """When each element fires, (n_elements,); 0 at the array's center."""
        x_m = self.acquisition.probe.element_positions_m[:, 0]
        return np.asarray(x_m * np.sin(self.angle_rad) / self.acquisition.sound_speed_m_s)

    @property
    def insonified(self) -> NDArray[np.bool_]:
        """Pixels the wave reaches, (n_z, n_x): beyond its edge each library has its own idea of a plane wave."""
        half_m = float(np.abs(self.acquisition.probe.element_positions_m[:, 0]).max())
        return np.asarray(np.abs(self.grid.x_m - self.grid.z_m * np.tan(self.angle_rad)) < half_m)


def das_problem(case: Case) -> DasProblem:
    """Demodulate the case's packet; the aperture is a boxcar, which all libraries have."""
    case = case.override("beamform.window=boxcar")
    grid = make_grid(case.acquisition, case.config.grid)
    stage, packet = _stage(case, grid, n_threads=1)
    iq = stage._demodulator(packet.samples)[..., : case.acquisition.n_ensemble].copy()
    return DasProblem(case, grid, iq, stage._demodulator.iq_frequency_hz, case.config.beamform.f_number)


def run_das(
    problem: DasProblem,
    *,
    n_threads: int,
    budget: Budget,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison:
    """Time per pulse of every beamformer that is installed."""
    from trueflow.benchmarks.das_peers import PEERS

    builders = [(name, partial(build, problem, n_threads)) for name, build in (("trueflow", our_das), *PEERS.items())]
    return run_contenders(builders, where=problem.insonified, budget=budget, advance=advance)


def our_das(problem: DasProblem, n_threads: int) -> Iterator[Contender]:
    """The whole ensemble at once, as the chain does it; and a plan for single pulses, which shares nothing."""
    case, n_ensemble = problem.case, problem.acquisition.n_ensemble
    stage, packet = _stage(case, problem.grid, n_threads=n_threads)
    channel_iq = stage._demodulator(packet.samples)
    yield Contender(
        "trueflow",
        f"{n_ensemble} pulses at once",
        n_threads,
        lambda: stage._das(channel_iq),
        n_ensemble,
        lambda: lag_one_phase(stage._das(channel_iq)),
    )
    single, _ = _stage(case, problem.grid, n_threads=n_threads, n_ensemble=1)
    n_padded = single._demodulator.n_padded
    pulses = np.zeros((n_ensemble, *channel_iq.shape[:2], n_padded), np.complex64)
    pulses[..., 0] = np.moveaxis(problem.channel_iq, -1, 0)
    yield Contender(
        "trueflow",
        "one pulse",
        n_threads,
        lambda: single._das(pulses[0]),
        1,
        lambda: lag_one_phase(np.concatenate([single._das(pulse) for pulse in pulses], axis=-1)),
    )


def _stage(case: Case, grid: ImageGrid, *, n_threads: int, n_ensemble: int | None = None) -> tuple[Beamform, RfPacket]:
    """A planned beamform stage and a packet for it."""
    acquisition = case.acquisition.with_ensemble(n_ensemble or case.acquisition.n_ensemble)
    stage = Beamform(
        get_device("cpu", n_threads=n_threads),
        acquisition,
        grid,
        demodulate=case.config.demodulate,
        beamform=case.config.beamform,
    )
    packet = RfPacket(case.samples[: acquisition.n_ensemble], Stamp(0))
    stage(packet)  # plans on the first packet
    return stage, packet
