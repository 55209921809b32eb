"""A device of NumPy arrays whose kernels run on a GPU: what the tests were written for, with the GPU's launch shapes.

Each launch takes its arrays to the GPU and what it wrote back. With `emulated` kernels run thread by thread on the CPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trueflow.kernels.cpu import CpuDevice
from trueflow.kernels.cuda import CudaDevice
from trueflow.kernels.device import Device, Kernel
from trueflow.kernels.launch import check_cuda_launch, cuda_packet_width
from trueflow.kernels.source import KERNEL_FOLDER, KernelSource, load_source

from .emulator import EmulatedKernel, compile_cuda

__all__ = ["EmulatedDevice", "MirrorDevice"]


class EmulatedDevice(CpuDevice):
    """NumPy arrays; kernels run the GPU's text on the CPU."""

    name = "cuda"

    def __init__(self, compute_capability: int) -> None:
        super().__init__()
        self.packet_widths = (cuda_packet_width(compute_capability),)  # type: ignore[misc]

    def kernel(self, stem: str, name: str, *, packet_width: int | None = None) -> Kernel:
        return _EmulatedLaunch(load_source(stem), name, packet_width)


class _EmulatedLaunch(Kernel):
    def __init__(self, source: KernelSource, name: str, packet_width: int | None) -> None:
        super().__init__(source, name, packet_width)
        options = ("-std=c++17", f"-I{KERNEL_FOLDER}", f"-DPACKET_WIDTH={packet_width or 1}", f"-DHEADERS={_headers()}")
        self._emulated: EmulatedKernel = compile_cuda(source.path.read_text(), options)[name]

    def _launch(self, grid: tuple[int, int, int], block: tuple[int, int, int], arguments: list[Any]) -> None:
        check_cuda_launch(self.name, grid, block)
        values = [
            a.ctypes.data.to_bytes(8, "little") if p.pointer else a.tobytes()
            for a, p in zip(arguments, self.parameters, strict=True)
        ]
        self._emulated.run(grid, block, values)


def _headers() -> int:
    return max(path.stat().st_mtime_ns for path in KERNEL_FOLDER.glob("*.cuh"))


class MirrorDevice(CpuDevice):
    """NumPy arrays; kernels run on the GPU."""

    name = "cuda"

    def __init__(self, gpu: CudaDevice) -> None:
        super().__init__()
        self.gpu, self.packet_widths = gpu, gpu.packet_widths  # type: ignore[misc]

    def kernel(self, stem: str, name: str, *, packet_width: int | None = None) -> Kernel:
        return _MirrorLaunch(self.gpu, load_source(stem), name, packet_width)


class _MirrorLaunch(Kernel):
    def __init__(self, gpu: CudaDevice, source: KernelSource, name: str, packet_width: int | None) -> None:
        super().__init__(source, name, packet_width)
        self._gpu, self._kernel = gpu, gpu.kernel(source.path.stem, name, packet_width=packet_width)

    def _launch(self, grid: tuple[int, int, int], block: tuple[int, int, int], arguments: list[Any]) -> None:
        there: dict[tuple[int, int], Any] = {}  # one array given twice stays one
        given = []
        for argument, parameter in zip(arguments, self.parameters, strict=True):
            if parameter.pointer:
                place = (argument.ctypes.data, argument.nbytes)
                argument = there.setdefault(place, self._gpu.upload(argument))
            given.append(argument)
        self._kernel(grid, block, *given)
        for host, on_gpu, parameter in zip(arguments, given, self.parameters, strict=True):
            if parameter.writable:
                host[...] = np.asarray(self._gpu.download(on_gpu))


def open_test_device(name: str) -> Device:
    """The device that `--device` names: cpu, emulated or cuda."""
    if name == "cpu":
        return CpuDevice(n_threads=2)
    return EmulatedDevice(87) if name == "emulated" else MirrorDevice(CudaDevice())
