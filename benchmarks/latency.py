"""How old a picture is when it is shown, how many are not shown, and what that depends on."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from trueflow.benchmarks.cases import CASES, Case
from trueflow.benchmarks.timing import Timing
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.cli.live import resident_bytes
from trueflow.pipeline.config import Config
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame, RfPacket
from trueflow.pipeline.live.ledger import Report
from trueflow.pipeline.live.network import NetworkSource
from trueflow.pipeline.live.runner import Runner

__all__ = ["RATES_HZ", "WHOLE", "LatencyResult", "Mode", "measure", "run_ladder"]

RATES_HZ = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 120.0, 160.0, 200.0)
SATURATED = 0.01  # share of packets without a picture
WARMUP_S = 3.0
WHOLE = ("dealias.name=regions",)  # a frozen case leaves the dealiaser out
PATIENCE_S = 60.0

# Receiving in a thread of its own beside the chain, or before each frame in the same one.
Mode = Literal["overlapped", "in turn"]


@dataclass(frozen=True, slots=True)
class LatencyResult:
    """One case at one rate, after the warm-up.

    Parameters
    ----------
    case, mode : str
    rate_hz : float
        Packets sent per second; 0: as many as go through.
    seconds : float
    frames_per_s : float
        Pictures handed to the display.
    latency : Timing
        From a packet's first byte received to its picture handed over.
    from_sent : Timing
        From just before its first byte was sent, by the clock that both processes share.
    jitter_s : float
        Standard deviation of the latency.
    interval_jitter_s : float
        Standard deviation of the time from picture to picture.
    n_lost, n_dropped : int
        Packets that did not arrive, and that newer ones replaced in the ring.
    n_missed : int
        Pictures older than two frames at 30 frames/s.
    mean_depth, deepest : float, int
        Packets waiting whenever a picture was handed over, and the most at any time.
    resident_bytes, growth_bytes : int
        Memory at the end, and since the warm-up.
    cpus, frontend_cpus : float
        Processor time over wall time: of this process, and of the front end.
    """

    case: str
    mode: str
    rate_hz: float
    seconds: float
    frames_per_s: float
    latency: Timing
    from_sent: Timing
    jitter_s: float
    interval_jitter_s: float
    n_lost: int
    n_dropped: int
    n_missed: int
    mean_depth: float
    deepest: int
    resident_bytes: int
    growth_bytes: int
    cpus: float
    frontend_cpus: float

    @property
    def share_missing(self) -> float:
        """Packets without a picture."""
        missing = self.n_lost + self.n_dropped
        return missing / max(missing + self.latency.n_runs, 1)


class _Observer:
    """Display and tap: when each packet was sent, came, and was shown."""

    def __init__(self) -> None:
        self.source: NetworkSource | None = None
        self.runner: Runner | None = None
        self.on = False
        self._sent_s: dict[int, float] = {}
        self.rows: list[tuple[float, float, float, int]] = []

    def raw(self, packet: RfPacket) -> None:
        """Remember when the packet was sent."""
        assert self.source is not None
        self._sent_s[packet.stamp.index] = self.source.sent_s
        self._sent_s.pop(packet.stamp.index - 64, None)

    def deliver(self, frame: ColorFrame, began_s: float, on_device: ColorFrame | None) -> None:
        """The picture is there."""
        now_s = time.monotonic()
        if self.on and self.runner is not None:
            self.rows.append((now_s, began_s, self._sent_s[frame.stamp.index], self.runner.n_waiting))


def measure(name: str, rate_hz: float, *, seconds: float, mode: Mode = "overlapped") -> LatencyResult:
    """Run one case at one rate, the front end in a process of its own.

    Parameters
    ----------
    name : str
    rate_hz : float
        0: as fast as packets go through, none dropped.
    seconds : float
        After the warm-up.
    mode : {"overlapped", "in turn"}
    """
    gc.collect()  # the run before, whose parts know each other
    case = CASES[name]().override(*WHOLE)
    observer = _Observer()
    with _front_end(name, rate_hz, WARMUP_S + seconds) as (url, finish):
        with _listening(case, url, observer, keep="all" if rate_hz == 0 else "newest") as runner:
            go_on = _driver(runner, mode)
            go_on(WARMUP_S)
            before, memory, cpu = runner.report(), resident_bytes(), _cpu_s()
            observer.on, began_s = True, time.monotonic()
            go_on(seconds)
            wall_s = time.monotonic() - began_s
            observer.on = False
            after, grown, spent_s = runner.report(), resident_bytes() - memory, _cpu_s() - cpu
        sent = finish()
    return _result(
        case.name, mode, rate_hz, wall_s, observer.rows, before, after,
        growth_bytes=grown, cpus=spent_s / wall_s, frontend_cpus=sent["cpu_s"] / (WARMUP_S + seconds),
    )  # fmt: skip


def _result(
    name: str, mode: str, rate_hz: float, wall_s: float, rows: Sequence[tuple[float, float, float, int]],
    before: Report, after: Report, **costs: Any,
) -> LatencyResult:  # fmt: skip
    if not rows:
        raise TrueflowError("no picture was made", where=f"{name} at {rate_hz:g} packets/s", found=f"{wall_s:.1f} s")
    shown_s, came_s, sent_s, depth = np.array(rows, np.float64).T
    latency_s = shown_s - came_s
    return LatencyResult(
        case=name,
        mode=mode,
        rate_hz=rate_hz,
        seconds=wall_s,
        frames_per_s=len(rows) / wall_s,
        latency=Timing.of(latency_s.tolist()),
        from_sent=Timing.of((shown_s - sent_s).tolist()),
        jitter_s=float(latency_s.std()),
        interval_jitter_s=float(np.diff(shown_s).std()) if len(rows) > 1 else 0.0,
        n_lost=after.source.n_lost - before.source.n_lost,
        n_dropped=after.n_dropped - before.n_dropped,
        n_missed=after.n_missed - before.n_missed,
        mean_depth=float(depth.mean()),
        deepest=after.deepest,
        resident_bytes=resident_bytes(),
        **costs,
    )


def run_ladder(
    name: str,
    *,
    seconds: float,
    rates_hz: Sequence[float] | None = None,
    advance: Callable[[LatencyResult], None] = lambda result: None,
) -> list[LatencyResult]:
    """Rates from 10 packets/s on, or those given, up to the first at which over one in a hundred gets no picture."""
    results = []
    for rate_hz in rates_hz or RATES_HZ:
        results.append(measure(name, rate_hz, seconds=seconds))
        advance(results[-1])
        if results[-1].share_missing > SATURATED:
            break
    return results


@contextmanager
def _front_end(name: str, rate_hz: float, seconds: float) -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
    with tempfile.TemporaryDirectory(prefix="trueflow-") as folder:
        url = f"ipc://{folder}/scanner"
        command = [sys.executable, "-m", "trueflow.benchmarks.latency_frontend", name, url, str(rate_hz), str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:

            def finish() -> dict[str, float]:
                told: dict[str, float] = json.loads(process.communicate(timeout=PATIENCE_S)[0])
                return told

            yield url, finish
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait()


@contextmanager
def _listening(case: Case, url: str, observer: _Observer, *, keep: Literal["newest", "all"]) -> Iterator[Runner]:
    def make_flow(config: Config) -> ColorFlow:
        return ColorFlow(case.acquisition, config)

    observer.source = NetworkSource(url, patience_s=PATIENCE_S)
    with Runner(
        observer.source, make_flow, case.config, deliver=observer.deliver, taps=[observer], keep=keep
    ) as observer.runner:
        yield observer.runner


def _driver(runner: Runner, mode: Mode) -> Callable[[float], None]:
    """What makes a run go on for so long."""
    if mode == "overlapped":
        runner.start()

        def wait(seconds: float) -> None:
            runner.wait(seconds)

        return wait

    def step(seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s and not runner.source.ended:
            runner.step(0.05)

    return step


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system
