"""What is measured as sizes grow: our chain and its parts, and one peer each, at one point after another."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from trueflow.benchmarks.cases import FEMORAL_VESSEL, SEED, Case
from trueflow.benchmarks.compare_chain import PLAIN, chain_case
from trueflow.benchmarks.contenders import Skipped
from trueflow.benchmarks.das import DasProblem, das_problem, our_das
from trueflow.benchmarks.das_peers import PYMUST_BYTES_PER_WEIGHT, pymust_matrix
from trueflow.benchmarks.dealias import ENGINE
from trueflow.benchmarks.dealias_peers import PEERS as UNWRAPPERS
from trueflow.benchmarks.dealias_peers import given
from trueflow.benchmarks.doppler import DopplerProblem, our_doppler
from trueflow.benchmarks.doppler_peers import PEERS as DOPPLER_PEERS
from trueflow.benchmarks.echoes import synthesize
from trueflow.benchmarks.plain_chain import PlainChain, count_weights
from trueflow.kernels.device import get_device
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.dealias import DEALIASERS, PhaseMap
from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.probe import Probe

__all__ = ["JOBS", "MOST_BYTES", "Entrant", "GrowthCase", "Job", "Point", "make_cases"]

MOST_BYTES = 4 * 2**30  # who needs more to prepare is left out
PLAIN_BYTES_PER_WEIGHT = 36  # complex64 and an index, twice over while the matrix is made, and its parts for threads


class Point(NamedTuple):
    """Pixels across (and as many down), elements, pulses in an ensemble."""

    side: int
    channels: int
    pulses: int

    def size(self, axis: str) -> int:
        """What grows along an axis."""
        n_pixels = self.side**2
        sizes = {"pixels": n_pixels, "channels": self.channels, "pulses": self.pulses}
        return sizes.get(axis, n_pixels * self.channels * self.pulses)


@dataclass(slots=True, eq=False)
class GrowthCase:
    """`femoral` with its array cut into more or fewer elements, on more or fewer pixels, with more or fewer pulses.

    The array stays as wide as it is: only so does every pixel hear more elements when there are more.

    Parameters
    ----------
    point : Point
    case : Case
    kept : dict
        What was made for a point with the same pixels and elements, by name.
    """

    point: Point
    case: Case
    kept: dict[str, Any]
    _made: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` makes, made once for this point."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    @property
    def problem(self) -> DasProblem:
        """Channel IQ and pixels, for delay-and-sum."""
        problem: DasProblem = self.once("problem", lambda: das_problem(self.case))
        return problem

    @property
    def flow(self) -> ColorFlow:
        """A chain that has seen a frame, for the maps in the middle of it."""
        flow: ColorFlow = self.once("flow", lambda: ColorFlow(self.case.acquisition, self.case.config))
        return flow

    @property
    def frame(self) -> ColorFrame:
        """What the chain shows."""
        frame: ColorFrame = self.once("frame", lambda: self.flow(self.case.packets(1)[0]))
        return frame


@dataclass(frozen=True, slots=True)
class Entrant:
    """One contender at one point, ready to run."""

    run: Callable[[], Any]
    n_units: int = 1

    def timed(self) -> float:
        """Duration (s) of one unit."""
        began = time.perf_counter()
        self.run()
        return (time.perf_counter() - began) / self.n_units


Enter = Callable[[GrowthCase], "Entrant | Skipped"]


@dataclass(frozen=True, slots=True)
class Job:
    """Something that takes time.

    Parameters
    ----------
    unit : str
        What times are of.
    axes : sequence of str
        Along which it is measured: others it does not depend on.
    ours : callable
        With a number of threads, to what enters at a point.
    peers : sequence of (name, n_threads or None for all, callable)
    """

    unit: str
    axes: Sequence[str]
    ours: Callable[[int], Enter]
    peers: Sequence[tuple[str, int | None, Enter]]

    def entrants(self, threads: Sequence[int]) -> Iterator[tuple[str, int, Enter]]:
        """Name, threads and what enters."""
        for n in threads:
            yield "trueflow", n, self.ours(n)
        for name, n_threads, enter in self.peers:
            yield name, n_threads or max(threads), enter


def make_cases(points: Iterable[Point]) -> Iterator[GrowthCase]:
    """The cases of points, one after the other; neighbours with the same pixels and elements share what they can."""
    samples: dict[int, Case] = {}
    longest: dict[int, int] = {}
    points = list(points)
    for p in points:
        longest[p.channels] = max(longest.get(p.channels, 0), p.pulses)
    size: tuple[int, ...] = ()
    kept: dict[str, Any] = {}
    femoral = chain_case()
    for p in points:
        if p.channels not in samples:
            samples[p.channels] = _recut(femoral, p.channels, longest[p.channels])
        if size != p[:2]:
            size, kept = p[:2], {}
        whole = samples[p.channels]
        acquisition = whole.acquisition.with_ensemble(p.pulses)
        case = replace(whole, acquisition=acquisition, samples=whole.samples[: p.pulses])
        yield GrowthCase(p, case.override(f"grid.n_x={p.side}", f"grid.n_z={p.side}"), kept)


def _recut(case: Case, n_channels: int, n_pulses: int) -> Case:
    """The case with its array cut into so many elements, and so many pulses."""
    a = case.acquisition
    width_m = a.probe.n_elements * float(np.diff(a.probe.element_positions_m[:2, 0])[0])
    probe = Probe.linear(
        n_channels,
        pitch_m=width_m / n_channels,
        center_frequency_hz=a.center_frequency_hz,
        bandwidth_fraction=a.probe.bandwidth_fraction,
    )
    acquisition = replace(a.with_ensemble(n_pulses), probe=probe)
    samples = synthesize(acquisition, FEMORAL_VESSEL, full_scale=8191, seed=SEED)
    return replace(case, acquisition=acquisition, samples=samples)


def _our_chain(n_threads: int) -> Enter:
    def enter(at: GrowthCase) -> Entrant:
        flow = ColorFlow(at.case.acquisition, at.case.config, n_threads=n_threads)
        packet = at.case.packets(1)[0]
        return Entrant(lambda: flow(packet))

    return enter


def _plain_chain(at: GrowthCase) -> Entrant | Skipped:
    if too_large := _too_large(at, PLAIN, PLAIN_BYTES_PER_WEIGHT):
        return too_large
    n_threads = len(os.sched_getaffinity(0))
    chain = PlainChain(at.case.acquisition, at.case.config, at.flow.grid, n_threads=n_threads)
    return Entrant(lambda: chain(at.case.samples))


def _our_das(n_threads: int) -> Enter:
    def enter(at: GrowthCase) -> Entrant:
        together = next(our_das(at.problem, n_threads))  # the first way: the whole ensemble at once
        return Entrant(together.run)

    return enter


def _pymust_das(at: GrowthCase) -> Entrant | Skipped:
    if too_large := _too_large(at, "PyMUST", PYMUST_BYTES_PER_WEIGHT):
        return too_large
    if "PyMUST" not in at.kept:
        at.kept["PyMUST"] = pymust_matrix(at.problem, "linear")
    matrix, pulses = at.kept["PyMUST"], at.problem.channel_iq.reshape(-1, at.point.pulses)
    return Entrant(lambda: matrix @ pulses)


def _too_large(at: GrowthCase, name: str, bytes_per_weight: int) -> Skipped | None:
    needed = bytes_per_weight * count_weights(at.case.acquisition, at.case.config, at.flow.grid)
    if needed <= MOST_BYTES:
        return None
    return Skipped(name, f"making its matrix would take about {needed / 2**30:.1f} GB; more than 4 GB are not given")


def _doppler_problem(at: GrowthCase) -> DopplerProblem:
    iq = at.flow._beamform(at.case.packets(1)[0]).iq
    return DopplerProblem(at.case, at.flow.grid, iq.copy(), at.problem.insonified)


def _our_doppler(n_threads: int) -> Enter:
    def enter(at: GrowthCase) -> Entrant:
        problem = at.once("doppler", partial(_doppler_problem, at))
        return Entrant(next(our_doppler(problem, "velocity", get_device("cpu", n_threads=n_threads), n_threads)).run)

    return enter


def _peer_doppler(name: str) -> Enter:
    def enter(at: GrowthCase) -> Entrant:
        problem = at.once("doppler", partial(_doppler_problem, at))
        contender = next(DOPPLER_PEERS["velocity"][name](problem))
        contender.run()  # some compile with the first call
        return Entrant(contender.run, contender.n_units)

    return enter


def _our_engine(n_threads: int) -> Enter:
    def enter(at: GrowthCase) -> Entrant:
        doppler = at.frame.doppler
        found = at.flow._dealias.flow(doppler)
        phase = PhaseMap(found.phase_turns, found.coherence, found.mask, second=doppler.second)
        engine = DEALIASERS[ENGINE](
            get_device("cpu", n_threads=n_threads), at.flow.grid.shape, at.case.config.dealias
        )
        return Entrant(lambda: engine(phase, None))

    return enter


def _unwrapper(name: str) -> Enter:
    def enter(at: GrowthCase) -> Entrant:
        peer = UNWRAPPERS[name]()
        return Entrant(partial(peer.call, *peer.prepare(*given(at.frame.velocity, at.frame.doppler))))

    return enter


JOBS = {
    "chain": Job("frame", ("pixels", "channels", "pulses", "all"), _our_chain, [(PLAIN, None, _plain_chain)]),
    "das": Job("ensemble", ("pixels", "channels", "pulses", "all"), _our_das, [("PyMUST", 1, _pymust_das)]),
    "doppler": Job(
        "map", ("pixels", "pulses"), _our_doppler,
        [("zea", None, _peer_doppler("zea")), ("PyMUST", 1, _peer_doppler("PyMUST"))],
    ),
    "dealias": Job(
        "map", ("pixels",), _our_engine,
        [("scikit-image", 1, _unwrapper("scikit-image")), ("region-dealias", 1, _unwrapper("region-dealias"))],
    ),
}  # fmt: skip
