"""An array of another library on the GPU: nothing but a shape, a type and the CUDA array interface."""

from __future__ import annotations

from typing import Any

import numpy as np


class Foreign:
    """What a PyCUDA GPUArray is to us.

    Parameters
    ----------
    array : array on the device
        Whose memory it is.
    stream : int, optional
        That wrote it; PyCUDA names none.
    changes : dict
        Other entries of the interface than the array's own.
    """

    def __init__(self, array: Any, stream: int | None = None, **changes: Any) -> None:
        self._array, self._stream, self._changes = array, stream, changes
        self.shape, self.dtype = tuple(array.shape), np.dtype(array.dtype)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        strides = np.empty(self.shape, self.dtype).strides  # PyCUDA names them whatever they are
        return {**self._array.__cuda_array_interface__, "strides": strides, "stream": self._stream, **self._changes}
