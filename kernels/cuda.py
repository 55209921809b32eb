"""An NVIDIA GPU as a device: CuPy arrays, and the kernels compiled by NVRTC through CuPy's RawModule."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib import util
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from trueflow.kernels.device import Device, DeviceUnavailableError, Kernel
from trueflow.kernels.source import KERNEL_FOLDER, KernelSource, load_source

__all__ = ["CudaDevice"]


class CudaDevice(Device):
    """The current CUDA device. Not yet run on hardware: the kernels are compiled for it in the tests, this seam is not.

    Raises
    ------
    DeviceUnavailableError
        Where CuPy, a driver or a GPU is missing.
    """

    name = "cuda"
    packet_widths = (1,)

    def __init__(self) -> None:
        if util.find_spec("cupy") is None:
            raise DeviceUnavailableError("device 'cuda' needs CuPy: pip install 'trueflow[cuda]' (CUDA 12 driver)")
        import cupy

        if not cupy.cuda.is_available():
            raise DeviceUnavailableError(
                "device 'cuda' needs an NVIDIA GPU with a CUDA 12 or newer driver; CuPy finds none on this machine"
            )
        self.xp = cupy

    def empty(self, shape: int | Sequence[int], dtype: DTypeLike) -> Any:
        """An uninitialised array from CuPy's memory pool."""
        return self.xp.empty(shape, dtype)

    def upload(self, array: NDArray[Any]) -> Any:
        """A copy on the GPU."""
        return self.xp.asarray(np.ascontiguousarray(array))

    def download(self, array: Any) -> NDArray[Any]:
        """A copy on the host."""
        return np.asarray(self.xp.asnumpy(array))

    def kernel(self, stem: str, name: str, *, packet_width: int | None = None) -> Kernel:
        """A kernel, compiled on first use and cached on disk by CuPy."""
        return _CudaKernel(self, load_source(stem), name, packet_width)

    def synchronize(self) -> None:
        """Wait for the current stream."""
        self.xp.cuda.get_current_stream().synchronize()


class _CudaKernel(Kernel):
    def __init__(self, device: CudaDevice, source: KernelSource, name: str, packet_width: int | None) -> None:
        super().__init__(source, name, packet_width)
        self._device = device

    @cached_property
    def _function(self) -> Any:
        options = ("-std=c++17", f"-I{KERNEL_FOLDER}", f"-DPACKET_WIDTH={self.packet_width or 1}")
        module = self._device.xp.RawModule(code=self.source.path.read_text(), options=options)
        return module.get_function(self.name)

    def _launch(self, grid: tuple[int, int, int], block: tuple[int, int, int], arguments: list[Any]) -> None:
        # A 0-d host record is passed by value, as CuPy documents for custom structs.
        self._function(
            grid, block, tuple(a if p.pointer else a[()] for a, p in zip(arguments, self.parameters, strict=True))
        )
