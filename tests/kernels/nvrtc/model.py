"""What the kernels of a frame should take on a GPU, from their machine code and the data sheets. Nothing is measured.

A kernel takes the longest of issuing its instructions, of delivering what it reads from the first-level cache and of
moving its arrays once through main memory; where few threads do much one after another, of waiting for each step; and
the time to start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np

from trueflow.benchmarks.cases import CASES
from trueflow.kernels.cpu import CpuDevice
from trueflow.kernels.device import Kernel
from trueflow.kernels.fold_classes import N_CLASSES
from trueflow.kernels.launch import cuda_packet_width
from trueflow.kernels.predictions import FOLDS, N_COHERENCES, N_PHASES
from trueflow.kernels.regions import VOTE_RUN
from trueflow.kernels.source import KernelSource, load_source
from trueflow.models import segmenter
from trueflow.pipeline import ColorFlow, RfPacket
from trueflow.pipeline.stages import Beamform

from .sass import Code, kernel_code

SECTOR = 32  # bytes that the first-level cache delivers at once
# Clocks from one instruction to one that needs its result, and for a read that is mostly in the first-level cache.
INSTRUCTION_CLOCKS, READ_CLOCKS = 5, 50


@dataclass(frozen=True)
class Gpu:
    """A GPU as its data sheet has it."""

    name: str
    architecture: int
    multiprocessors: int
    clock_hz: float
    fp32_lanes: int  # per multiprocessor
    memory_bytes_s: float
    cache_bytes_clock: int  # first level, per multiprocessor
    start_s: float  # of a kernel in a graph

    @property
    def issue_rate(self) -> float:
        """Thread instructions per second: four warps of 32 a clock."""
        return self.multiprocessors * 128 * self.clock_hz

    @property
    def flops(self) -> float:
        """Floating-point operations per second, a fused product and sum being two."""
        return self.multiprocessors * self.fp32_lanes * 2 * self.clock_hz


GPUS = (
    Gpu("Quadro RTX 6000", 75, 72, 1.77e9, 64, 672e9, 64, 2e-6),
    Gpu("AGX Orin 64GB", 87, 16, 1.3e9, 128, 204.8e9, 128, 4e-6),
    Gpu("H100 SXM", 90, 132, 1.98e9, 128, 3.35e12, 128, 2e-6),
)


@dataclass(frozen=True)
class Launch:
    """A launch of a frame: threads, and bytes of the arrays it is given."""

    stem: str
    kernel: str
    packet_width: int
    threads: int
    bytes: int


@dataclass(frozen=True)
class Work:
    """What a launch executes in all: thread instructions, floating-point operations, bytes from the cache, atomics."""

    instructions: float
    flops: float
    cache_bytes: float
    atomics: float


@dataclass(frozen=True)
class Prediction:
    """A kernel's share of a frame on a GPU."""

    kernel: str
    launches: int
    work: Work
    bytes: float
    time_s: float
    limit: str


class PlanDevice(CpuDevice):
    """Notes the launches that a GPU would get, and computes nothing."""

    name = "cuda"

    def __init__(self, architecture: int) -> None:
        super().__init__()
        self.packet_widths = (cuda_packet_width(architecture),)  # type: ignore[misc]
        self.launches: list[Launch] = []

    def empty(self, shape: Any, dtype: Any) -> Any:
        return np.zeros(shape, dtype)

    def download(self, array: Any) -> Any:
        """Where planning looks at echoes: noise with the axial band of a real one, and maps of a coherent one."""
        if array.ndim == 3 and array.dtype == np.complex64:
            noise = np.random.default_rng(0).standard_normal((2, *array.shape))
            kernel = np.hanning(9)[:, None, None]
            smooth = sum(np.roll(noise, i, axis=1) * kernel[i] for i in range(9))
            return (smooth[0] + 1j * smooth[1]).astype(np.complex64)
        return np.ones_like(array)

    def kernel(self, stem: str, name: str, *, packet_width: int | None = None) -> Kernel:
        return _Noted(self, load_source(stem), name, packet_width)


class _Noted(Kernel):
    def __init__(self, device: PlanDevice, source: KernelSource, name: str, packet_width: int | None) -> None:
        super().__init__(source, name, packet_width)
        self._device = device

    def _launch(self, grid: tuple[int, int, int], block: tuple[int, int, int], arguments: list[Any]) -> None:
        arrays = {a.ctypes.data: a.nbytes for a, p in zip(arguments, self.parameters, strict=True) if p.pointer}
        threads = int(np.prod(grid)) * int(np.prod(block))
        launch = Launch(self.source.path.stem, self.name, self.packet_width or 1, threads, sum(arrays.values()))
        self._device.launches.append(launch)


@dataclass(frozen=True)
class Case:
    """A frame: its launches by architecture, and the numbers that loops run to."""

    name: str
    numbers: dict[str, float]
    launches: dict[int, list[Launch]]


def femoral(architectures: tuple[int, ...]) -> Case:
    """The reference workload `femoral`, dealiased, the second frame of a stream."""
    case = CASES["femoral"]().override("dealias.name=regions", "segment.enabled=off")
    (packet,) = case.packets(1)
    flow = ColorFlow(case.acquisition, case.config)
    flow(packet)
    beamform = flow._beamform
    assert isinstance(beamform, Beamform)
    span = beamform._das._range
    numbers = {
        "pixels": float(np.prod(flow.grid.shape)),
        "rows": float(flow.grid.shape[0]),
        "pulses": float(case.acquisition.n_ensemble),
        "elements": float((span[..., 1] - span[..., 0]).clip(0).mean()),
        "channels": float(case.acquisition.probe.n_elements * case.acquisition.n_transmits),
        "samples": float(case.acquisition.n_samples),
        "iq_samples": float(beamform._demodulator.n_iq_samples),
        "taps": float(beamform._demodulator._params["n_taps"]),
    }
    launches = {}
    for architecture in architectures:
        device = PlanDevice(architecture)
        planned = ColorFlow(case.acquisition, case.config, device=device)
        planned(packet)
        device.launches.clear()
        planned(packet)
        launches[architecture] = list(device.launches)
    second = flow._second_phase
    if second is not None and second._phase is not None:
        numbers["band_taps"] = 2 * float(second._phase._params[0]["half"]) + 1
    return Case(case.name, numbers, launches)


def _no_network(name: str, device: PlanDevice, network: Any, *, padded: tuple[int, int]) -> Any:
    return lambda tensor: device.empty((1, N_CLASSES, *padded), np.float32)


def others(architectures: tuple[int, ...], reference: Case) -> Case:
    """Kernels that the reference frame does without, a launch of each: other settings, samples and pulses, planning."""
    case = CASES["femoral"]()
    (packet,) = case.packets(1)
    known = {(launch.stem, launch.kernel) for launch in next(iter(reference.launches.values()))}
    launches = {}
    for architecture in architectures:
        device = PlanDevice(architecture)
        for settings in (("clutter.name=svd",), ("persistence.factor=0.5",), ("acquisition.stagger=2:3",)):
            flow = ColorFlow(case.acquisition, case.config.override(settings), device=device)
            flow(packet)
            flow(packet)
        for kind, dtype in (("rf", np.float32), ("iq", np.complex64)):
            acquisition = replace(case.acquisition, sample_kind=kind)  # type: ignore[arg-type]
            ColorFlow(acquisition, device=device)(RfPacket(packet.samples.astype(dtype), packet.stamp))
        shape = flow.grid.shape
        real, phasor = device.empty(shape, np.float32), device.empty(shape, np.complex64)
        with mock.patch.object(segmenter, "make_engine", _no_network):
            segment = segmenter.Segmenter(device, shape=shape)
        segment(real, real, real, real, (phasor, np.zeros((N_COHERENCES, N_PHASES, len(FOLDS)), np.complex64)))
        found = {(launch.stem, launch.kernel): launch for launch in reversed(device.launches)}
        launches[architecture] = [launch for name, launch in found.items() if name not in known]
    return Case("others", reference.numbers, launches)


# Kernels with long loops: thread instructions per iteration from the machine code, iterations and floating-point
# operations from the source. Each takes the code, the launch and the case's numbers.
Formula = Callable[[Code, Launch, dict[str, float]], Work]


def _das(code: Code, launch: Launch, n: dict[str, float]) -> Work:
    width = launch.packet_width
    loop = min(code.loops, key=lambda loop: loop.instructions)
    iterations = n["pixels"] * n["elements"] * n["pulses"] / width
    # Two complex samples of each pulse; neighbours lie `width` samples apart, so that each read takes as many sectors.
    cache = iterations * 2 * width * 8 * width
    flops = iterations * (40 + width * 12)
    return Work(iterations * loop.instructions, flops, cache, 0)


def _demodulate(code: Code, launch: Launch, n: dict[str, float]) -> Work:
    width = launch.packet_width
    loop = min(code.loops, key=lambda loop: loop.instructions / max(loop.loads - loop.loads // (width + 1), 1))
    per_tap = loop.instructions / max(1, round(loop.loads / (width + 1)))
    iterations = n["channels"] * n["iq_samples"] * n["taps"] * n["pulses"] / width
    return Work(iterations * per_tap, iterations * width * 4, iterations * width * max(2 * width, 4), 0)


def _matrix(code: Code, launch: Launch, n: dict[str, float]) -> Work:
    width = launch.packet_width
    loop = code.loops[0]
    per_product = loop.instructions / max(1, round(loop.loads / (width + 1)))
    iterations = n["pixels"] * n["pulses"] ** 2 / width
    return Work(iterations * per_product, iterations * width * 4, iterations * width * 8 * width, 0)


def _gram(code: Code, launch: Launch, n: dict[str, float]) -> Work:
    work = _matrix(code, launch, n)
    return Work(work.instructions, 2 * work.flops, work.cache_bytes, 0)


def _aperture(code: Code, launch: Launch, n: dict[str, float]) -> Work:
    """Every element of the probe for every pixel; half of its code is the loop's where the compiler has unrolled it."""
    loop = max(code.loops, key=lambda loop: loop.instructions)
    iterations = n["pixels"] * n["channels"]
    return Work(iterations * loop.instructions, iterations * 30, iterations * 16, 0)


def _per_pulse(flops: int, reads: int) -> Formula:
    """One pixel a thread, which runs over its pulses: neighbours lie an ensemble apart, a sector each."""

    def work(code: Code, launch: Launch, n: dict[str, float]) -> Work:
        loop = code.loops[0]
        samples = n["pixels"] * n["pulses"]
        per_packet = loop.instructions / max(1, round(loop.loads / (reads * launch.packet_width)))
        return Work(samples / launch.packet_width * per_packet, samples * flops, samples * reads * SECTOR, 0)

    return work


def _sub_bands(code: Code, launch: Launch, n: dict[str, float]) -> Work:
    """Where there is flow, a sixth of the image: pulses times taps."""
    pixels, width = n["pixels"] / 6, launch.packet_width
    loop = min(code.loops[2:], key=lambda loop: loop.instructions)
    iterations = pixels * n["pulses"] / width * n.get("band_taps", 15.0)
    per_tap = loop.instructions / max(1, round(loop.loads / (width + 2)))
    return Work(iterations * per_tap, iterations * width * 14, iterations * width * SECTOR, 0)


def _interleave(code: Code, launch: Launch, n: dict[str, float]) -> Work:
    values = n["channels"] * n["samples"] * n["pulses"]
    loop = code.loops[0]
    return Work(values * loop.instructions / max(1, loop.loads), 0, values * (2 + SECTOR), 0)


FORMULAS: dict[str, Formula] = {
    "das.das": _das,
    "demodulate.demodulate_i16": _demodulate,
    "demodulate.interleave_i16": _interleave,
    "clutter.slow_time_matrix": _matrix,
    "autocorrelate.autocorrelate": _per_pulse(10, 2),
    "autocorrelate.envelope": _per_pulse(4, 1),
    "sub_bands.sub_bands": _sub_bands,
    "autocorrelate.autocorrelate_some": _per_pulse(14, 2),
    "clutter.gram": _gram,
    "das.das_aperture": _aperture,
    "demodulate.demodulate_f32": _demodulate,
    "demodulate.interleave_f32": _interleave,
    "demodulate.interleave_c64": _interleave,
}


# Steps that one thread takes one after another, and instructions of a step, where that is what a launch waits for:
# histogram bins from the top, rows' counts, the pixels of a row, and votes, a third of whose code a pixel executes.
SERIAL: dict[str, tuple[Callable[[dict[str, float]], float], int]] = {
    "flow_mask.power_reference": (lambda n: 1000, 9),
    "features.level_quantile": (lambda n: 1000, 9),
    "region_label.region_count": (lambda n: n["rows"], 4),
    "region_label.region_flatten": (lambda n: n["pixels"] / n["rows"], 39),
    "region_label.region_number": (lambda n: n["pixels"] / n["rows"], 25),
    "islands.island_count": (lambda n: n["pixels"] / n["rows"], 52),
    "region_votes.region_votes": (lambda n: VOTE_RUN, 400),
}


def straight(code: Code, launch: Launch, n: dict[str, float]) -> Work:
    """Every instruction once per thread with work: right without loops, an upper bound on short ones."""
    threads = min(launch.threads, n["pixels"])
    memory = (code.loads + code.stores) * 4
    return Work(threads * code.instructions, threads * code.instructions / 3, threads * memory, threads * code.atomics)


def predict(case: Case, gpu: Gpu) -> list[Prediction]:
    """Kernels of a frame, the longest first."""
    found: dict[str, Prediction] = {}
    for launch in case.launches[gpu.architecture]:
        name = f"{launch.stem}.{launch.kernel}"
        code = kernel_code(launch.stem, gpu.architecture, launch.packet_width)[launch.kernel]
        work = FORMULAS.get(name, straight)(code, launch, case.numbers)
        limits = {
            "instructions": max(work.instructions / gpu.issue_rate, work.flops / gpu.flops),
            "first-level cache": work.cache_bytes / (gpu.multiprocessors * gpu.cache_bytes_clock * gpu.clock_hz),
            "main memory": launch.bytes / gpu.memory_bytes_s,
        }
        if name in SERIAL:
            steps, instructions = SERIAL[name]
            clocks = steps(case.numbers) * (instructions * INSTRUCTION_CLOCKS + READ_CLOCKS)
            limits["latency"] = clocks / gpu.clock_hz
        limit = max(limits, key=lambda key: limits[key])
        if limits[limit] < gpu.start_s:
            limit = "start"
        one = Prediction(name, 1, work, launch.bytes, limits.get(limit, 0.0) + gpu.start_s, limit)
        before = found.get(name)
        found[name] = one if before is None else _sum(before, one)
    return sorted(found.values(), key=lambda p: -p.time_s)


def _sum(a: Prediction, b: Prediction) -> Prediction:
    work = Work(*(getattr(a.work, f) + getattr(b.work, f) for f in ("instructions", "flops", "cache_bytes", "atomics")))
    return Prediction(a.kernel, a.launches + b.launches, work, a.bytes + b.bytes, a.time_s + b.time_s, a.limit)
