"""A current OpenGL context without window or display: EGL, through ctypes.

PyOpenGL's own EGL module cannot be imported with error checking off (3.1.10).
"""

from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_int, c_void_p
from types import TracebackType

from trueflow.pipeline.errors import TrueflowError
from trueflow.viewer import gl

__all__ = ["Offscreen"]

ADVICE = "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri; or run it without --headless under xvfb-run"

EXTENSIONS, NONE = 0x3055, 0x3038
RENDERABLE_TYPE, OPENGL_BIT, OPENGL_API = 0x3040, 0x0008, 0x30A2
MAJOR_VERSION, MINOR_VERSION, PROFILE_MASK, CORE_PROFILE_BIT = 0x3098, 0x30FB, 0x30FD, 0x0001
PLATFORM_SURFACELESS_MESA = 0x31DD

SIGNATURES = {
    "eglQueryString": (c_char_p, (c_void_p, c_int)),
    "eglGetProcAddress": (c_void_p, (c_char_p,)),
    "eglGetDisplay": (c_void_p, (c_void_p,)),
    "eglInitialize": (c_int, (c_void_p, c_void_p, c_void_p)),
    "eglBindAPI": (c_int, (c_int,)),
    "eglChooseConfig": (c_int, (c_void_p, c_void_p, c_void_p, c_int, c_void_p)),
    "eglCreateContext": (c_void_p, (c_void_p, c_void_p, c_void_p, c_void_p)),
    "eglMakeCurrent": (c_int, (c_void_p, c_void_p, c_void_p, c_void_p)),
    "eglTerminate": (c_int, (c_void_p,)),
    "eglGetError": (c_int, ()),
}


class Offscreen:
    """Makes an OpenGL 3.3 core context current for this thread; a context manager.

    Raises
    ------
    TrueflowError
        Where there is no EGL, or it gives no such context.
    """

    def __init__(self) -> None:
        try:
            self._egl = ctypes.CDLL("libEGL.so.1")
        except OSError as error:
            raise TrueflowError("no EGL", where="--headless", found=str(error), advice=ADVICE) from error
        for name, (result, arguments) in SIGNATURES.items():
            function = getattr(self._egl, name)
            function.restype, function.argtypes = result, arguments
        self._display = self._open_display()
        self._context = self._make_context() if self._display else None
        if not self._context or not self._egl.eglMakeCurrent(self._display, None, None, self._context):
            raise TrueflowError(
                "no OpenGL 3.3 without a window",
                where="--headless",
                found=f"EGL error 0x{self._egl.eglGetError():04x}",
                advice=ADVICE,
            )
        gl.load("egl")

    def _open_display(self) -> int | None:
        """Mesa's surfaceless platform, else what the driver offers where there is no display."""
        displays = []
        if b"EGL_MESA_platform_surfaceless" in (self._egl.eglQueryString(None, EXTENSIONS) or b""):
            kind = ctypes.CFUNCTYPE(c_void_p, c_int, c_void_p, c_void_p)
            displays.append(
                kind(self._egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT"))(PLATFORM_SURFACELESS_MESA, None, None)
            )
        displays.append(self._egl.eglGetDisplay(None))
        return next((d for d in displays if d and self._egl.eglInitialize(d, None, None)), None)

    def _make_context(self) -> int | None:
        config, count = c_void_p(), c_int()
        accepted = (c_int * 3)(RENDERABLE_TYPE, OPENGL_BIT, NONE)
        wanted = (c_int * 7)(MAJOR_VERSION, 3, MINOR_VERSION, 3, PROFILE_MASK, CORE_PROFILE_BIT, NONE)
        self._egl.eglBindAPI(OPENGL_API)
        self._egl.eglChooseConfig(self._display, accepted, ctypes.byref(config), 1, ctypes.byref(count))
        context: int | None = self._egl.eglCreateContext(self._display, config if count.value else None, None, wanted)
        return context

    def __enter__(self) -> Offscreen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._egl.eglMakeCurrent(self._display, None, None, None)
        self._egl.eglTerminate(self._display)
