"""The CPU as a device: NumPy arrays, and the kernels' C++ build run over a small thread pool."""

from __future__ import annotations

import ctypes
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from trueflow.kernels.device import Device, Kernel
from trueflow.kernels.library import load_library
from trueflow.kernels.source import KernelSource, load_source

__all__ = ["CpuDevice"]

MOST_THREADS = 256  # one frame has no more work to share out
ALIGNMENT = 64  # a cache line, and the widest vector register


class CpuDevice(Device):
    """Runs kernels on `n_threads` threads (default: all cores this process may use).

    Large arrays come from a pool of blocks that return when their last view dies: a fresh mapping would cost a page
    fault per 4 KiB on every frame.
    """

    name = "cpu"
    packet_widths = (4, 8, 16, 32)

    def __init__(self, *, n_threads: int | None = None) -> None:
        if n_threads is not None and not 1 <= n_threads <= MOST_THREADS:
            raise ValueError(f"n_threads: {n_threads}, expected 1 to {MOST_THREADS}")
        self.n_threads = n_threads or len(os.sched_getaffinity(0))
        self._library = load_library()
        self._blocks: dict[int, list[NDArray[np.uint8]]] = {}
        self._waiting = threading.local()

    def empty(self, shape: int | Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """An uninitialised, 64-byte aligned, C-ordered array."""
        kind = np.dtype(dtype)
        dimensions = (shape,) if isinstance(shape, int) else tuple(shape)
        n_bytes = math.prod(dimensions) * kind.itemsize
        # Up to an eighth more than asked, so that near sizes share blocks.
        step = max((1 << max(0, n_bytes - 1).bit_length()) >> 4, ALIGNMENT)
        size = max(-(-n_bytes // step), 1) * step
        free = self._blocks.setdefault(size, [])
        try:
            block = free.pop()
        except IndexError:
            block = np.empty(size + ALIGNMENT, np.uint8)
        memory = np.asarray(_Lease(block, free))
        return memory[:n_bytes].view(kind).reshape(dimensions)

    def upload(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array itself, made C-contiguous if it is not."""
        return np.ascontiguousarray(array)

    def download(self, array: Any) -> NDArray[Any]:
        """The array itself."""
        return np.asarray(array)

    def kernel(self, stem: str, name: str, *, packet_width: int | None = None) -> Kernel:
        """A kernel of the loaded library."""
        return _CpuKernel(self, load_source(stem), name, packet_width)

    def synchronize(self) -> None:
        """Nothing to wait for: launches return when they are done."""

    @contextmanager
    def together(self) -> Iterator[None]:
        """Launches within run at its end, in one call: the threads are woken once, and Python is not between them."""
        if getattr(self._waiting, "launches", None) is not None:
            yield
            return
        launches: list[_Bound] = []
        self._waiting.launches = launches
        try:
            yield
        finally:
            self._waiting.launches = None
        self._run(*launches)

    def _run(self, *launches: _Bound) -> None:
        waiting = getattr(self._waiting, "launches", None)
        if waiting is not None:
            waiting.extend(launches)
        elif launches:
            places = (ctypes.c_void_p * len(launches))(*map(ctypes.addressof, launches))
            self._library.tf_launch(places, len(launches), self.n_threads)


class _Lease:
    """Lends a block to NumPy; the block goes back to its pool with the last array that looks at it."""

    __slots__ = ("__array_interface__", "_block", "_free")

    def __init__(self, block: NDArray[np.uint8], free: list[NDArray[np.uint8]]) -> None:
        self._block, self._free = block, free
        address = block.ctypes.data
        start = -(-address // ALIGNMENT) * ALIGNMENT
        self.__array_interface__ = {
            "shape": (block.size - ALIGNMENT,),
            "typestr": "|u1",
            "data": (start, False),
            "version": 3,
        }

    def __del__(self) -> None:
        self._free.append(self._block)


class _CpuKernel(Kernel):
    def __init__(self, device: CpuDevice, source: KernelSource, name: str, packet_width: int | None) -> None:
        super().__init__(source, name, packet_width)
        symbol = name if packet_width is None else f"{name}_w{packet_width}"
        self._device = device
        self._function = ctypes.cast(getattr(device._library, symbol), ctypes.c_void_p)

    def _launch(self, grid: tuple[int, int, int], block: tuple[int, int, int], arguments: list[Any]) -> None:
        self._bind(grid, block, arguments)()

    def _bind(
        self, grid: tuple[int, int, int], block: tuple[int, int, int], arguments: list[Any]
    ) -> Callable[[], None]:
        count = len(arguments)
        addresses = [argument.ctypes.data for argument in arguments]
        pointers = (ctypes.c_void_p * count)(*addresses)
        base, step = ctypes.addressof(pointers), ctypes.sizeof(ctypes.c_void_p)
        for i, parameter in enumerate(self.parameters):
            if parameter.pointer:  # the kernel takes the pointer by value: hand over where it is stored
                addresses[i] = base + i * step
        values = (ctypes.c_void_p * count)(*addresses)
        bound = _Bound(self._function, (ctypes.c_uint32 * 6)(*grid, *block), ctypes.addressof(values))
        bound.kept = arguments, pointers, values
        return partial(self._device._run, bound)


class _Bound(ctypes.Structure):
    """A launch as launcher.cpp knows it, and what it points at."""

    _fields_ = (("kernel", ctypes.c_void_p), ("shape", ctypes.c_uint32 * 6), ("arguments", ctypes.c_void_p))
    kept: object
