"""Frames on an NVIDIA GPU to OpenGL textures without a trip to the host: pixel buffers that CUDA maps and fills.

With cuda.core's GraphicsResource (CUDA Driver API, "OpenGL Interoperability") and CuPy for the copies, both on a stream
of the viewer's own: neither waits for the chain's, nor the chain for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
        with _our_errors("CUDA cannot fill OpenGL's buffers", advice="pip install trueflow[cuda]"):
            import cupy
            from cuda.core import Device, GraphicsResource, Stream

            Device().set_current()
            self._stream: Any = cupy.cuda.Stream(non_blocking=True)
            self._core_stream: Any = Stream.from_handle(self._stream.ptr)  # cuda.core takes no other kind
        self._cupy: Any = cupy
        self._textures = textures
        self._buffers: dict[str, tuple[int, Any]] = {}
        self._share: Any = GraphicsResource
        self._read: tuple[Any, Mapping[str, Any]] | None = None  # an event, and what is read until then

    def fill(self, maps: Mapping[str, Any]) -> None:
        """Fill the textures with the maps of a frame.

        Parameters
        ----------
        maps : mapping of str to array
            C-ordered, (rows, columns) or with components last; whatever wrote them has been waited for, and nothing
            writes to them again.
        """
        GL = gl.GL
        with _our_errors("CUDA cannot fill OpenGL's buffers"):
            for name, values in maps.items():
                number, resource = self._buffer(name, int(values.nbytes))
                with self._stream, resource.map(stream=self._core_stream) as mapped:
                    self._view(mapped, values)[...] = values
                GL.glBindBuffer(GL.GL_PIXEL_UNPACK_BUFFER, number)
                self._textures[name].fill(None)
                # Not after the last map: where the next one fails, the host's arrays would be taken for offsets.
                GL.glBindBuffer(GL.GL_PIXEL_UNPACK_BUFFER, 0)
            if self._read is not None:
                self._read[0].synchronize()  # a frame ago: it has come to pass
            # The chain's pool would give the memory away as soon as the maps are let go, read or not.
            self._read = self._stream.record(), maps

    def _buffer(self, name: str, n_bytes: int) -> tuple[int, Any]:
        """The pixel buffer of a map, registered once."""
        if name not in self._buffers:
            GL = gl.GL
            number = int(GL.glGenBuffers(1))
            GL.glBindBuffer(GL.GL_PIXEL_UNPACK_BUFFER, number)
            GL.glBufferData(GL.GL_PIXEL_UNPACK_BUFFER, n_bytes, None, GL.GL_STREAM_DRAW)
            GL.glBindBuffer(GL.GL_PIXEL_UNPACK_BUFFER, 0)
            with _our_errors("CUDA cannot share OpenGL's buffers"):  # the context is on another GPU, or not on one
                resource = self._share.from_gl_buffer(number, flags="write_discard")
            self._buffers[name] = number, resource
        return self._buffers[name]

    def _view(self, mapped: Any, like: Any) -> Any:
        """A mapped buffer as an array of the shape and type of another."""
        cuda = self._cupy.cuda
        memory = cuda.UnownedMemory(int(mapped.handle), int(like.nbytes), mapped)
        return self._cupy.ndarray(like.shape, np.dtype(like.dtype), cuda.MemoryPointer(memory, 0))


@contextmanager
def _our_errors(what: str, *, advice: str = "") -> Iterator[None]:
    """Whatever a missing module, a missing driver or a refusal is raised as: each has a class of its own."""
    try:
        yield
    except TrueflowError:
        raise
    except Exception as error:
        raise TrueflowError(what, where="viewer", found=str(error), advice=advice) from error
