"""Arrays that other libraries (PyCUDA, Numba, PyTorch) hold on the GPU, by the CUDA array interface, version 3."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["is_on_gpu", "stream_of", "view_of"]

LEGACY_STREAM = 1  # as the interface and CUDA (cudaStreamLegacy) number it


def is_on_gpu(array: Any) -> bool:
    """Whether an array is in a GPU's memory, whoever made it."""
    return hasattr(array, "__cuda_array_interface__")


def view_of(cupy: Any, array: Any, device_id: int) -> Any:
    """The same memory as a CuPy array, which keeps `array` alive.

    Raises
    ------
    ValueError
        It is masked, or not C-contiguous.
    """
    interface = array.__cuda_array_interface__
    shape, dtype = tuple(interface["shape"]), np.dtype(interface["typestr"])
    if interface.get("mask") is not None:
        raise ValueError("a masked array on the GPU: expected one without a mask")
    strides = interface.get("strides")
    if strides is not None and not _is_contiguous(shape, strides, dtype.itemsize):
        raise ValueError(f"an array on the GPU with shape {shape} and strides {tuple(strides)}: expected C-contiguous")
    memory = cupy.cuda.UnownedMemory(interface["data"][0], math.prod(shape) * dtype.itemsize, array, device_id)
    return cupy.ndarray(shape, dtype, cupy.cuda.MemoryPointer(memory, 0))


def stream_of(array: Any) -> int:
    """The stream that wrote an array. Where none is named, the default one: PyCUDA names none and works there."""
    stream = array.__cuda_array_interface__.get("stream")
    return LEGACY_STREAM if stream is None else int(stream)


def _is_contiguous(shape: Sequence[int], strides: Sequence[int], item_bytes: int) -> bool:
    expected = item_bytes
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True
