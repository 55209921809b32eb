"""From channel RF to a color image, frame after frame: as fast as it goes, and at the rate of a scanner."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trueflow.benchmarks.cases import CASES
from trueflow.benchmarks.timing import Timing
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.config import DisplayConfig
from trueflow.pipeline.frames import RfPacket
from trueflow.pipeline.picture.compose import ColorScale, Compositor, choose_scale_m_s, envelope_reference
from trueflow.pipeline.picture.raster import Raster

__all__ = ["NETWORK", "RATE_HZ", "WholeResult", "run_whole"]

RATE_HZ = 30.0
WARMUP_S = 2.0
N_PACKETS = 8  # 34 MB of samples: more than the caches hold
NETWORK = {"on": "engine and network", "off": "engine alone"}

Pace = Literal["back to back", "30 /s"]


@dataclass(frozen=True, slots=True)
class WholeResult:
    """One run of `femoral`, after the warm-up.

    Parameters
    ----------
    case : str
    network : {"on", "off"}
    pace : {"back to back", "30 /s"}
    image : (int, int)
        Rows and columns.
    seconds, frames_per_s : float
    latency : Timing
        From the packet in memory, or from when it was due, to the RGB image in memory.
    picture : Timing
        Of that, drawing the image.
    n_dropped : int
        Packets whose turn came when the next one was due already.
    cpus : float
        Processor time over wall time.
    """

    case: str
    network: str
    pace: str
    image: tuple[int, int]
    seconds: float
    frames_per_s: float
    latency: Timing
    picture: Timing
    n_dropped: int
    cpus: float


class _Chain:
    """Packets in, RGB images of the frame's own resolution out."""

    def __init__(self, network: str) -> None:
        case = CASES["femoral"]().override("dealias.name=regions", f"segment.enabled={network}")
        self.name, self._flow = case.name, ColorFlow(case.acquisition, case.config)
        self._packets, self._next = case.packets(N_PACKETS), 0
        self.pictures_s: list[float] = []
        frame = self._flow(self._packets[0])
        raster = Raster(self._flow.grid, height_px=self._flow.grid.shape[0], width_px=8 * self._flow.grid.shape[1])
        self.image: tuple[int, int] = raster.shape
        self._draw = Compositor(
            raster, DisplayConfig(), scale=ColorScale(choose_scale_m_s([frame])), reference=envelope_reference(frame)
        )

    def __call__(self) -> NDArray[np.uint8]:
        """The next packet's image."""
        packet: RfPacket = self._packets[self._next % N_PACKETS]
        self._next += 1
        frame = self._flow(packet)
        began = time.perf_counter()
        image = self._draw(frame)
        self.pictures_s.append(time.perf_counter() - began)
        return image


def run_whole(network: str, pace: Pace, *, seconds: float) -> WholeResult:
    """One network setting at one pace.

    Parameters
    ----------
    network : {"on", "off"}
    pace : {"back to back", "30 /s"}
    seconds : float
        After the warm-up.
    """
    gc.collect()
    chain = _Chain(network)
    end = time.perf_counter() + min(WARMUP_S, seconds)
    while time.perf_counter() < end:
        chain()
    chain.pictures_s.clear()
    run: Callable[[_Chain, float], tuple[list[float], int]] = _back_to_back if pace == "back to back" else _paced
    spent, began = _cpu_s(), time.perf_counter()
    latencies, n_dropped = run(chain, seconds)
    wall = time.perf_counter() - began
    return WholeResult(
        chain.name, network, pace, chain.image, wall, len(latencies) / wall, Timing.of(latencies),
        Timing.of(chain.pictures_s), n_dropped, (_cpu_s() - spent) / wall,
    )  # fmt: skip


def _back_to_back(chain: _Chain, seconds: float) -> tuple[list[float], int]:
    latencies: list[float] = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        chain()
        latencies.append(time.perf_counter() - began)
    return latencies, 0


def _paced(chain: _Chain, seconds: float) -> tuple[list[float], int]:
    latencies: list[float] = []
    first = time.perf_counter()
    n_packets, index, n_dropped = int(seconds * RATE_HZ), 0, 0
    while index < n_packets:
        due = first + index / RATE_HZ
        time.sleep(max(due - time.perf_counter(), 0.0))
        chain()
        now = time.perf_counter()
        latencies.append(now - due)
        following = max(index + 1, int((now - first) * RATE_HZ))
        n_dropped += following - index - 1
        index = following
    time.sleep(max(first + n_packets / RATE_HZ - time.perf_counter(), 0.0))
    return latencies, n_dropped


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system
