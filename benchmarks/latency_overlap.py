"""What two cores are used for best: one frame on both, a frame on each, receiving beside the chain or in turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from trueflow.benchmarks.cases import CASES, Case
from trueflow.benchmarks.latency import WHOLE, LatencyResult, Mode, measure
from trueflow.benchmarks.timing import Timing
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.frames import RfPacket

__all__ = ["OverlapResult", "run_chains", "run_receiving"]

RATES_HZ = (30.0, 0.0)
MODES: tuple[Mode, ...] = ("overlapped", "in turn")
N_PACKETS = 4


@dataclass(frozen=True, slots=True)
class OverlapResult:
    """Packets in memory through one or more chains at once.

    Parameters
    ----------
    case : str
    n_chains, n_threads : int
        Frames that are worked on at a time, and threads of the processor for each.
    frames_per_s : float
    latency : Timing
        Of one frame, from packet in memory to frame in memory.
    """

    case: str
    n_chains: int
    n_threads: int
    frames_per_s: float
    latency: Timing


def run_receiving(
    name: str, *, seconds: float, advance: Callable[[LatencyResult], None] = lambda result: None
) -> list[LatencyResult]:
    """Receiving beside the chain and in turn with it, at 30 packets/s and at as many as go through."""
    results = []
    for rate_hz in RATES_HZ:
        for mode in MODES:
            results.append(measure(name, rate_hz, seconds=seconds, mode=mode))
            advance(results[-1])
    return results


def run_chains(name: str, *, seconds: float, n_threads: int = 2) -> list[OverlapResult]:
    """One frame at a time on all threads, against as many frames at a time with a thread each."""
    case = CASES[name]().override(*WHOLE)
    return [
        _run(case, 1, n_threads, seconds=seconds),
        _run(case, n_threads, 1, seconds=seconds),
    ]


def _run(case: Case, n_chains: int, n_threads: int, *, seconds: float) -> OverlapResult:
    chains = [ColorFlow(case.acquisition, case.config, n_threads=n_threads) for _ in range(n_chains)]
    packets = case.packets(N_PACKETS)
    for chain in chains:
        chain(packets[0])
    durations_s: list[list[float]] = [[] for _ in chains]
    end_s = time.monotonic() + seconds
    threads = [
        threading.Thread(target=_work, args=(chain, packets, end_s, times), daemon=True)
        for chain, times in zip(chains, durations_s, strict=True)
    ]
    began_s = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall_s = time.monotonic() - began_s
    everything = [duration for times in durations_s for duration in times]
    return OverlapResult(case.name, n_chains, n_threads, len(everything) / wall_s, Timing.of(everything))


def _work(chain: ColorFlow, packets: list[RfPacket], end_s: float, durations_s: list[float]) -> None:
    while time.monotonic() < end_s:
        packet = packets[len(durations_s) % len(packets)]
        began_s = time.monotonic()
        chain(packet)
        durations_s.append(time.monotonic() - began_s)
