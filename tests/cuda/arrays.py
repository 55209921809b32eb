"""The stand-in's arrays on the device, and pointers into its memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from .world import World, view

Method = Callable[..., Any]


def noted(name: str) -> Callable[[Method], Method]:
    """Notes calls of a method (or of a class, for __init__) under the real name."""

    def decorate(method: Method) -> Method:
        @wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            self.world.record(name, args, kwargs)
            return method(self, *args, **kwargs)

        return call

    return decorate


class MemoryPointer:
    """An address, and what keeps it alive."""

    def __init__(self, world: World, mem: Any, offset: int) -> None:
        self.world, self.mem, self.ptr = world, mem, mem.ptr + offset

    @noted("cuda.MemoryPointer.copy_from_host_async")
    def copy_from_host_async(self, mem: int, size: int, stream: Any = None) -> None:
        self._move(mem, size, stream)

    @noted("cuda.MemoryPointer.copy_from_device_async")
    def copy_from_device_async(self, src: MemoryPointer, size: int, stream: Any = None) -> None:
        self._move(src.ptr, size, stream)

    @noted("cuda.MemoryPointer.memset_async")
    def memset_async(self, value: int, size: int, stream: Any = None) -> None:
        to = self.ptr
        (stream._queue if stream else self.world.stream()).do(lambda: ctypes.memset(to, value, size) and None)

    def _move(self, source: int, size: int, stream: Any) -> None:
        assert isinstance(source, int)
        to = self.ptr
        (stream._queue if stream else self.world.stream()).do(lambda: ctypes.memmove(to, source, size) and None)


class NdArray:
    """A device array. Only what CuPy's has too, and only what the chain uses of it."""

    def __init__(self, world: World, shape: Any, dtype: Any = float, memptr: MemoryPointer | None = None) -> None:
        self.world, self.dtype = world, np.dtype(dtype)
        self.shape = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
        n_bytes = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        if memptr is None:
            assert world.allocator is not None
            memptr = world.allocator(n_bytes)
        self.data = memptr
        self.host = view(memptr.ptr, self.shape, self.dtype)

    def _like(self, host: np.ndarray[Any, Any]) -> NdArray:
        other = NdArray.__new__(NdArray)
        other.world, other.dtype, other.shape, other.host, other.data = (
            self.world, host.dtype, host.shape, host, self.data,
        )  # fmt: skip
        if host.size:
            offset = host.__array_interface__["data"][0] - self.data.mem.ptr
            other.data = MemoryPointer(self.world, self.data.mem, offset)
        return other

    def _made(self, shape: tuple[int, ...], dtype: Any, compute: Callable[[], Any]) -> NdArray:
        """A new array that the current stream will compute."""
        made = NdArray(self.world, shape, dtype)
        self.world.stream().do(lambda: made.host.__setitem__(..., compute()))
        return made

    size = property(lambda self: self.host.size)
    nbytes = property(lambda self: self.host.nbytes)
    ndim = property(lambda self: self.host.ndim)
    flags = property(lambda self: self.host.flags)

    def __len__(self) -> int:
        return len(self.host)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        strides = None if self.flags.c_contiguous else self.host.strides
        about = {"shape": self.shape, "typestr": self.dtype.str, "data": (self.data.ptr, False), "strides": strides}
        return {**about, "version": 3, "stream": None}

    def reshape(self, *shape: Any) -> NdArray:
        assert self.flags.c_contiguous
        return self._like(self.host.reshape(*shape))

    def __getitem__(self, index: Any) -> NdArray:
        return self._like(self.host[index])

    def __setitem__(self, index: Any, value: Any) -> None:
        source = value.host if isinstance(value, NdArray) else value
        if isinstance(source, np.ndarray) and not isinstance(value, NdArray):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        self.world.stream().do(lambda: self.host.__setitem__(index, source))

    def _with(self, other: Any, operation: Any) -> NdArray:
        right = other.host if isinstance(other, NdArray) else other
        if isinstance(right, np.ndarray) and not isinstance(other, NdArray):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        sample = operation(np.zeros((1,) * self.ndim, self.dtype), np.zeros_like(right))
        shape = np.broadcast_shapes(self.shape, np.shape(right))
        return self._made(shape, sample.dtype, lambda: operation(self.host, right))

    def __mul__(self, other: Any) -> NdArray:
        return self._with(other, np.multiply)

    __rmul__ = __mul__

    def sum(self, axis: int | None = None, dtype: Any = None) -> NdArray:
        shape = tuple(n for i, n in enumerate(self.shape) if i != axis)
        return self._made(shape, dtype or self.dtype, lambda: self.host.sum(axis=axis, dtype=dtype))
