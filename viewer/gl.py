"""OpenGL 3.3 core, as little of it as the viewer needs: programs, textures, framebuffers, vertex buffers."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError

__all__ = ["Framebuffer", "Mesh", "Program", "Texture", "check", "describe", "load", "read_pixels"]

SHADERS = Path(__file__).with_name("shaders")
VERSION = "#version 330 core\n"
ADVICE = "pip install 'trueflow[viewer]'; on Debian or Ubuntu also: apt-get install libgl1 libegl1 libgl1-mesa-dri"

GL: Any = None  # OpenGL.GL, once a context is wanted


def load(platform: Literal["x11", "egl"]) -> Any:
    """The module OpenGL.GL, bound to the library that makes the context. It can be bound only once in a process.

    Raises
    ------
    TrueflowError
        Where PyOpenGL or the system's OpenGL is missing, or the other platform is in use.
    """
    global GL
    if GL is None:
        os.environ["PYOPENGL_PLATFORM"] = platform
        try:
            import OpenGL

            OpenGL.ERROR_CHECKING = OpenGL.ERROR_LOGGING = False  # a round trip per call; `check` asks once a frame
            OpenGL.platform_name = platform
            module = importlib.import_module("OpenGL.GL")
        except Exception as error:  # PyOpenGL raises whatever ctypes and its plugins do
            raise TrueflowError("OpenGL is missing", where="viewer", found=str(error), advice=ADVICE) from error
        GL = module
    elif os.environ["PYOPENGL_PLATFORM"] != platform:
        found = f"OpenGL in use through {os.environ['PYOPENGL_PLATFORM']}, wanted through {platform}"
        raise TrueflowError(
            "a window and a context without one in the same process",
            where="viewer",
            found=found,
            advice="use two processes",
        )
    return GL


def describe() -> str:
    """Version and renderer of the current context."""
    return ", ".join(GL.glGetString(name).decode() for name in (GL.GL_VERSION, GL.GL_RENDERER))


def check() -> None:
    """Raise what OpenGL has been complaining about since the last call."""
    code = GL.glGetError()
    if code != GL.GL_NO_ERROR:
        while GL.glGetError() != GL.GL_NO_ERROR:
            pass
        raise TrueflowError("OpenGL reports an error", where="viewer", found=f"0x{code:04x} on {describe()}")


class Program:
    """A vertex and a fragment shader, linked.

    Parameters
    ----------
    vertex, fragment : str
        Files in viewer/shaders.
    defines : mapping, optional
        Preprocessor constants of the fragment shader.
    outputs : sequence of str
        Fragment outputs, in the order of their color attachments.
    """

    def __init__(
        self, vertex: str, fragment: str, defines: Mapping[str, int] | None = None, outputs: Sequence[str] = ("color",)
    ) -> None:
        head = "".join(f"#define {name} {value}\n" for name, value in (defines or {}).items())
        self._id = GL.glCreateProgram()
        for kind, name, prefix in ((GL.GL_VERTEX_SHADER, vertex, ""), (GL.GL_FRAGMENT_SHADER, fragment, head)):
            GL.glAttachShader(self._id, _compile(kind, name, prefix))
        for index, output in enumerate(outputs):
            GL.glBindFragDataLocation(self._id, index, output)
        GL.glLinkProgram(self._id)
        if not GL.glGetProgramiv(self._id, GL.GL_LINK_STATUS):
            found = _text(GL.glGetProgramInfoLog, self._id)
            raise TrueflowError("does not link", where=f"{vertex}, {fragment}", found=found)
        self._places: dict[str, int] = {}
        self._kept: dict[str, object] = {}

    def use(self) -> None:
        """Make it the current program."""
        GL.glUseProgram(self._id)

    def set(self, **values: int | float | Sequence[float]) -> None:
        """Uniforms of the current program; what is set already is not set again."""
        for name, value in values.items():
            if self._kept.get(name) == value:
                continue
            self._kept[name] = value
            place = self._places.get(name)
            if place is None:
                place = self._places[name] = GL.glGetUniformLocation(self._id, name)
            if isinstance(value, int):
                GL.glUniform1i(place, value)
            elif isinstance(value, float):
                GL.glUniform1f(place, value)
            else:
                (GL.glUniform2f, GL.glUniform3f, GL.glUniform4f)[len(value) - 2](place, *value)


def _compile(kind: int, name: str, prefix: str) -> int:
    shader = GL.glCreateShader(kind)
    GL.glShaderSource(shader, VERSION + prefix + "#line 1\n" + (SHADERS / name).read_text())
    GL.glCompileShader(shader)
    if not GL.glGetShaderiv(shader, GL.GL_COMPILE_STATUS):
        raise TrueflowError("does not compile", where=name, found=_text(GL.glGetShaderInfoLog, shader))
    return int(shader)


def _text(ask: Any, name: int) -> str:
    log = ask(name)
    return log.decode(errors="replace") if isinstance(log, bytes) else str(log)


# NumPy dtype and components to internal format, format, type; names, since GL is not there yet.
FORMATS = {
    ("f4", 1): ("GL_R32F", "GL_RED", "GL_FLOAT"),
    ("f4", 2): ("GL_RG32F", "GL_RG", "GL_FLOAT"),
    ("f4", 4): ("GL_RGBA32F", "GL_RGBA", "GL_FLOAT"),
    ("i1", 1): ("GL_R8I", "GL_RED_INTEGER", "GL_BYTE"),
    ("u1", 1): ("GL_R8UI", "GL_RED_INTEGER", "GL_UNSIGNED_BYTE"),
    ("u1n", 1): ("GL_R8", "GL_RED", "GL_UNSIGNED_BYTE"),
    ("u1n", 3): ("GL_RGB8", "GL_RGB", "GL_UNSIGNED_BYTE"),
    ("u1n", 4): ("GL_RGBA8", "GL_RGBA", "GL_UNSIGNED_BYTE"),
}


class Texture:
    """A two-dimensional texture of one size, clamped at its edges.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    kind : str
        "f4", "i1", "u1" (integer) or "u1n" (normalised).
    components : int
    smooth : bool
        Bilinear instead of nearest sampling.
    """

    def __init__(self, shape: tuple[int, int], kind: str, components: int = 1, *, smooth: bool = False) -> None:
        self.shape = shape
        self._internal, self.format, self.type = (getattr(GL, name) for name in FORMATS[kind, components])
        self.id = int(GL.glGenTextures(1))
        self.bind(0)
        mode = GL.GL_LINEAR if smooth else GL.GL_NEAREST
        for name, value in (
            (GL.GL_TEXTURE_MIN_FILTER, mode),
            (GL.GL_TEXTURE_MAG_FILTER, mode),
            (GL.GL_TEXTURE_WRAP_S, GL.GL_CLAMP_TO_EDGE),
            (GL.GL_TEXTURE_WRAP_T, GL.GL_CLAMP_TO_EDGE),
            (GL.GL_TEXTURE_MAX_LEVEL, 0),
        ):
            GL.glTexParameteri(GL.GL_TEXTURE_2D, name, value)
        GL.glTexImage2D(GL.GL_TEXTURE_2D, 0, self._internal, shape[1], shape[0], 0, self.format, self.type, None)

    def bind(self, unit: int) -> None:
        """Make it what samplers of a texture unit read."""
        GL.glActiveTexture(GL.GL_TEXTURE0 + unit)
        GL.glBindTexture(GL.GL_TEXTURE_2D, self.id)

    def fill(self, values: NDArray[Any] | None) -> None:
        """Replace the content; None: from the start of the bound pixel buffer."""
        self.bind(0)
        GL.glPixelStorei(GL.GL_UNPACK_ALIGNMENT, 1)
        data = None if values is None else np.ascontiguousarray(values)
        GL.glTexSubImage2D(GL.GL_TEXTURE_2D, 0, 0, 0, self.shape[1], self.shape[0], self.format, self.type, data)

    def delete(self) -> None:
        """Give the memory back."""
        GL.glDeleteTextures([self.id])


class Framebuffer:
    """Textures to draw into, all of one size."""

    def __init__(self, *textures: Texture) -> None:
        self.textures = textures
        self.id = int(GL.glGenFramebuffers(1))
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, self.id)
        places = [GL.GL_COLOR_ATTACHMENT0 + index for index in range(len(textures))]
        for place, texture in zip(places, textures, strict=True):
            GL.glFramebufferTexture2D(GL.GL_FRAMEBUFFER, place, GL.GL_TEXTURE_2D, texture.id, 0)
        GL.glDrawBuffers(len(places), places)
        status = GL.glCheckFramebufferStatus(GL.GL_FRAMEBUFFER)
        if status != GL.GL_FRAMEBUFFER_COMPLETE:
            raise TrueflowError("no framebuffer to draw into", where="viewer", found=f"status 0x{int(status):04x}")

    def delete(self) -> None:
        """Give framebuffer and textures back."""
        GL.glDeleteFramebuffers(1, [self.id])
        for texture in self.textures:
            texture.delete()


class Mesh:
    """Triangles from one interleaved float32 vertex buffer.

    Parameters
    ----------
    sizes : sequence of int
        Floats of each attribute, by location.
    """

    def __init__(self, *sizes: int) -> None:
        self._stride = 4 * sum(sizes)
        self._array, self._buffer = int(GL.glGenVertexArrays(1)), int(GL.glGenBuffers(1))
        GL.glBindVertexArray(self._array)
        GL.glBindBuffer(GL.GL_ARRAY_BUFFER, self._buffer)
        offset = 0
        for location, size in enumerate(sizes):
            GL.glEnableVertexAttribArray(location)
            pointer = GL.ctypes.c_void_p(offset)
            GL.glVertexAttribPointer(location, size, GL.GL_FLOAT, GL.GL_FALSE, self._stride, pointer)
            offset += 4 * size

    def draw(self, vertices: NDArray[np.float32]) -> None:
        """Triangles from (n_vertices, floats per vertex)."""
        data = np.ascontiguousarray(vertices, np.float32)
        if data.nbytes == 0:
            return
        GL.glBindVertexArray(self._array)
        GL.glBindBuffer(GL.GL_ARRAY_BUFFER, self._buffer)
        GL.glBufferData(GL.GL_ARRAY_BUFFER, data.nbytes, data, GL.GL_STREAM_DRAW)
        GL.glDrawArrays(GL.GL_TRIANGLES, 0, data.nbytes // self._stride)


def read_pixels(width: int, height: int) -> NDArray[np.uint8]:
    """The bound framebuffer as (height, width, 3) uint8, top row first."""
    GL.glPixelStorei(GL.GL_PACK_ALIGNMENT, 1)
    data = GL.glReadPixels(0, 0, width, height, GL.GL_RGB, GL.GL_UNSIGNED_BYTE)
    rows: NDArray[np.uint8] = np.frombuffer(data, np.uint8).reshape(height, width, 3)
    upright: NDArray[np.uint8] = rows[::-1].copy()
    return upright
