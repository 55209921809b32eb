"""How close each kernel of the chain comes to what this machine can do: bytes copied and products summed a second."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from trueflow.benchmarks.cases import CASES, Case
from trueflow.benchmarks.limits_work import FLOPS, Numbers, filled_shares, launch_bytes, network_flops, numbers_of
from trueflow.kernels.cpu import CpuDevice, _Bound, _CpuKernel
from trueflow.kernels.device import Kernel
from trueflow.kernels.features import N_FEATURES
from trueflow.kernels.probe import prepare_copy, prepare_product_sums
from trueflow.kernels.source import load_source
from trueflow.models.segmenter import Segmenter
from trueflow.pipeline.chain import ColorFlow

__all__ = ["NETWORK", "REST", "Machine", "Row", "measure_machine", "run_limits"]

COPIED_BYTES = tuple(1 << power for power in range(14, 29))
MOST_STEPS = 20_000
SETTINGS = ("dealias.name=regions", "segment.enabled=on")
N_PACKETS = 4
NETWORK, REST = "segmentation network", "between kernels"
INT8_PER_FLOAT32 = 4.0  # products of 8 bit that a vector unit sums beside one of float32 (VNNI)

Advance = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Machine:
    """What so many threads can do here.

    Parameters
    ----------
    n_threads : int
    flops_per_s : float
        A product and a sum count as two.
    copies : tuple of (float, float)
        Bytes read and written by a copy, together, and the median time (s) of it.
    """

    n_threads: int
    flops_per_s: float
    copies: tuple[tuple[float, float], ...]

    @property
    def bytes_per_s(self) -> float:
        """Of the largest copy, which no cache holds."""
        n_bytes, seconds = self.copies[-1]
        return n_bytes / seconds

    def copy_s(self, n_bytes: float) -> float:
        """Time of a copy that reads and writes so many bytes together."""
        sizes, times = np.array(self.copies).T
        if n_bytes >= sizes[-1]:
            return float(n_bytes / self.bytes_per_s)
        return float(np.interp(n_bytes, sizes, times))


@dataclass(frozen=True, slots=True)
class Row:
    """A kernel's share of a frame, all its launches together.

    Parameters
    ----------
    kernel : str
    launches : int
    seconds : float
        Median.
    bytes, flops : float
    memory_s, arithmetic_s : float
        What the machine needs at least: to move the bytes, to do the operations.
    """

    kernel: str
    launches: int
    seconds: float
    bytes: float
    flops: float
    memory_s: float
    arithmetic_s: float


class _TimedDevice(CpuDevice):
    """Runs every launch on its own and keeps its time."""

    def __init__(self, n_threads: int) -> None:
        super().__init__(n_threads=n_threads)
        self.laps: list[tuple[str, float, Sequence[np.ndarray[Any, Any]]]] = []

    def kernel(self, stem: str, name: str, *, packet_width: int | None = None) -> Kernel:
        return _NamedKernel(self, load_source(stem), name, packet_width)

    @contextmanager
    def together(self) -> Iterator[None]:
        yield

    def _run(self, *launches: _Bound) -> None:
        for launch in launches:
            began = time.perf_counter()
            super()._run(launch)
            self.laps.append((launch.name, time.perf_counter() - began, launch.arrays))


class _NamedKernel(_CpuKernel):
    def _bind(
        self, grid: tuple[int, int, int], block: tuple[int, int, int], arguments: list[Any]
    ) -> Callable[[], None]:
        launch = super()._bind(grid, block, arguments)
        assert isinstance(launch, partial)
        (bound,) = launch.args
        bound.name = f"{self.source.path.stem}.{self.name}"
        bound.arrays = [a for a, p in zip(arguments, self.parameters, strict=True) if p.pointer]
        return launch


def measure_machine(n_threads: int, *, seconds: float) -> Machine:
    """Copies of 16 KiB to 256 MiB and the best rate of sums of products, on so many threads.

    Parameters
    ----------
    n_threads : int
    seconds : float
        Altogether, about.
    """
    device = CpuDevice(n_threads=n_threads)
    each_s = seconds / (len(COPIED_BYTES) + len(device.packet_widths))
    rates = []
    for width in device.packet_widths:
        launch, flops, _ = prepare_product_sums(
            device, packet_width=width, n_threads=16 * n_threads, steps=MOST_STEPS
        )  # fmt: skip
        rates.append(flops / min(_times(launch, each_s)))
    copies = []
    for size in COPIED_BYTES:
        launch, n_bytes, _ = prepare_copy(device, size)
        copies.append((float(n_bytes), statistics.median(_times(launch, each_s))))
    return Machine(n_threads, max(rates), tuple(copies))


def _times(launch: Callable[[], None], seconds: float) -> list[float]:
    launch()
    found: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(found) < 3:
        began = time.perf_counter()
        launch()
        found.append(time.perf_counter() - began)
    return found


def run_limits(*, n_threads: int, seconds: float, advance: Advance = lambda done, total: None) -> dict[str, Any]:
    """Rows of a frame of `femoral` with engine and network, what the machine can do, and times of whole frames.

    Parameters
    ----------
    n_threads : int
    seconds : float
        A third each for the machine, for kernels on their own and for frames as the chain runs them.
    advance : callable, optional
        Called with (done, total) in thirds.
    """
    case = CASES["femoral"]().override(*SETTINGS)
    machine = measure_machine(n_threads, seconds=seconds / 3)
    advance(1, 3)
    device = _TimedDevice(n_threads)
    flow = ColorFlow(case.acquisition, case.config, device=device)
    rows, numbers = _kernels(flow, case, machine, device, seconds / 3)
    advance(2, 3)
    plain = ColorFlow(case.acquisition, case.config, n_threads=n_threads)
    whole_s = statistics.median(_frames(plain, case, seconds / 3))
    advance(3, 3)
    return {"machine": machine, "rows": rows, "whole_s": whole_s, "numbers": numbers}


def _frames(flow: ColorFlow, case: Case, seconds: float) -> list[float]:
    packets = case.packets(N_PACKETS)
    for packet in packets:
        flow(packet)
    found: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(found) < 3:
        packet = packets[len(found) % N_PACKETS]
        began = time.perf_counter()
        flow(packet)
        found.append(time.perf_counter() - began)
    return found


def _kernels(
    flow: ColorFlow, case: Case, machine: Machine, device: _TimedDevice, seconds: float
) -> tuple[list[Row], Numbers]:
    """Rows, the longest first; and what loops run to."""
    packets = case.packets(N_PACKETS)
    for packet in packets:
        frame = flow(packet)
    numbers, shares = numbers_of(flow, frame), filled_shares(flow._dealias._dealiaser._unwrap)  # type: ignore[attr-defined]
    assert flow._segment is not None
    segmenter = flow._segment._segmenter
    segmenter.engine = _TimedEngine(segmenter.engine, device)
    times: dict[str, list[float]] = defaultdict(list)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[REST]) < 3:
        device.laps.clear()
        began = time.perf_counter()
        flow(packets[len(times[REST]) % N_PACKETS])
        whole = time.perf_counter() - began
        sums: dict[str, float] = defaultdict(float)
        for name, duration, _ in device.laps:
            sums[name] += duration
        for name, duration in sums.items():
            times[name].append(duration)
        times[REST].append(whole - sum(sums.values()))
    medians = {name: statistics.median(durations) for name, durations in times.items()}
    rows = [Row(REST, 0, medians.pop(REST), 0.0, 0.0, 0.0, 0.0)]
    rows += [_row(name, seconds, device, numbers, shares, machine, segmenter) for name, seconds in medians.items()]
    return sorted(rows, key=lambda row: -row.seconds), numbers


def _row(
    name: str, seconds: float, device: _TimedDevice, numbers: Numbers, shares: dict[int, float], machine: Machine,
    segmenter: Segmenter,
) -> Row:  # fmt: skip
    launches = [arrays for launched, _, arrays in device.laps if launched == name]
    moved = [launch_bytes(arrays, shares) for arrays in launches]
    of_one, rate = FLOPS.get(name), machine.flops_per_s
    flops = len(launches) * of_one(numbers) if of_one else 0.0
    if name == NETWORK:
        flops, weights = network_flops(segmenter.network, segmenter.features.padded, N_FEATURES)
        moved = [moved[0] + weights]
        rate *= INT8_PER_FLOAT32 if segmenter.network.precision == "int8" else 1.0
    return Row(
        name, len(launches), seconds, sum(moved), flops, sum(machine.copy_s(n) for n in moved), flops / rate
    )  # fmt: skip


class _TimedEngine:
    """The network's engine, its time beside the kernels'."""

    def __init__(self, engine: Any, device: _TimedDevice) -> None:
        self._engine, self._device = engine, device
        self.name, self.only_launches = engine.name, engine.only_launches

    def __call__(self, tensor: Any) -> Any:
        began = time.perf_counter()
        logits = self._engine(tensor)
        self._device.laps.append((NETWORK, time.perf_counter() - began, [tensor, logits]))
        return logits
