"""Frames on an NVIDIA GPU to OpenGL textures without a trip to the host: pixel buffers that CUDA maps and fills.

With cuda.core's GraphicsResource (CUDA Runtime API, "OpenGL Interoperability") and CuPy for the copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trueflow.pipeline.errors import TrueflowError
from trueflow.viewer import gl

__all__ = ["DeviceUploader", "is_on_device"]


def is_on_device(array: Any) -> bool:
    """Whether an array is in a GPU's memory."""
    return hasattr(array, "__cuda_array_interface__")


class DeviceUploader:
    """Copies maps from CUDA arrays to textures; the OpenGL context must be current and on the same GPU.

    Parameters
    ----------
    textures : mapping of str to Texture
        By map.

    Raises
    ------
    TrueflowError
        Where CuPy or cuda.core is missing, or CUDA cannot share this context's buffers.
    """

    def __init__(self, textures: Mapping[str, gl.Texture]) -> None:
        try:
            import cupy
            from cuda.core import Device, GraphicsResource

            Device().set_current()
        except Exception as error:  # a missing module, a missing driver: each has its own class
            raise TrueflowError(
                "CUDA cannot fill OpenGL's buffers",
                where="viewer",
                found=str(error),
                advice="pip install trueflow[cuda]",
            ) from error
        self._cupy: Any = cupy
        self._textures = textures
        self._buffers: dict[str, tuple[int, Any]] = {}
        self._share: Any = GraphicsResource

    def fill(self, maps: Mapping[str, Any]) -> None:
        """Fill the textures with the maps of a frame.

        Parameters
        ----------
        maps : mapping of str to array
            C-ordered, (rows, columns) or with components last; whatever wrote them has been waited for.
        """
        GL = gl.GL
        for name, values in maps.items():
            number, resource = self._buffer(name, int(values.nbytes))
            with resource.map(stream=self._cupy.cuda.get_current_stream()) as mapped:
                self._view(mapped, values)[...] = values
            GL.glBindBuffer(GL.GL_PIXEL_UNPACK_BUFFER, number)
            self._textures[name].fill(None)
        GL.glBindBuffer(GL.GL_PIXEL_UNPACK_BUFFER, 0)

    def _buffer(self, name: str, n_bytes: int) -> tuple[int, Any]:
        """The pixel buffer of a map, registered once."""
        if name not in self._buffers:
            GL = gl.GL
            number = int(GL.glGenBuffers(1))
            GL.glBindBuffer(GL.GL_PIXEL_UNPACK_BUFFER, number)
            GL.glBufferData(GL.GL_PIXEL_UNPACK_BUFFER, n_bytes, None, GL.GL_STREAM_DRAW)
            GL.glBindBuffer(GL.GL_PIXEL_UNPACK_BUFFER, 0)
            try:
                resource = self._share.from_gl_buffer(number, flags="write_discard")
            except Exception as error:  # cuda.core raises CUDAError: the context is on another GPU, or not on one
                raise TrueflowError("CUDA cannot share OpenGL's buffers", where="viewer", found=str(error)) from error
            self._buffers[name] = number, resource
        return self._buffers[name]

    def _view(self, mapped: Any, like: Any) -> Any:
        """A mapped buffer as an array of the shape and type of another."""
        cuda = self._cupy.cuda
        memory = cuda.UnownedMemory(int(mapped.handle), int(like.nbytes), mapped)
        return self._cupy.ndarray(like.shape, np.dtype(like.dtype), cuda.MemoryPointer(memory, 0))
