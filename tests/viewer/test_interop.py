"""From CUDA's memory to textures, with stand-ins for CuPy and cuda.core: buffers are real, and so is the picture."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import sys
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cuda_api import check_call
from screens import LINEAR, make_frame

from trueflow.pipeline.frames import ColorFrame
from trueflow.viewer.controls import DisplayControls, Fit
from trueflow.viewer.showing import Showing


def installed(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError:
        return None


REAL = {package: installed(package) for package in ("cupy", "cuda.core")}


class OnDevice(np.ndarray):
    """An array that says it is on a GPU."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {}


def moved(frame: ColorFrame) -> ColorFrame:
    def moved_message(message: Any) -> Any:
        values = {field.name: getattr(message, field.name) for field in dataclasses.fields(message)}
        arrays = {name: value.view(OnDevice) for name, value in values.items() if isinstance(value, np.ndarray)}
        return dataclasses.replace(message, **arrays)

    messages = {name: moved_message(getattr(frame, name)) for name in ("bmode", "doppler", "velocity")}
    return dataclasses.replace(frame, **messages)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Modules that keep the order of calls; a mapped buffer is host memory that goes to OpenGL when unmapped.

    As cuda.core does, `map` takes a stream of cuda.core's own and nothing else.
    """
    calls: list[str] = []
    taken: list[tuple[str, str, tuple[Any, ...], dict[str, Any]]] = []  # package, name, arguments
    state = SimpleNamespace(calls=calls, taken=taken, refuses=False, refuses_to_map=False, maps_left=None)

    def noted(package: str, name: str, made: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            taken.append((package, name, args, kwargs))
            return made(*args, **kwargs)

        return call

    class CoreStream:
        def __init__(self, handle: int) -> None:
            self.handle = handle

        @classmethod
        def from_handle(cls, handle: int) -> CoreStream:
            return cls(handle)

    class CupyStream:
        ptr = 4711

        def __init__(self, non_blocking: bool = False) -> None:
            assert non_blocking, "would wait for the chain's stream"

        def __enter__(self) -> None:
            calls.append("enter")

        def __exit__(self, *error: object) -> None:
            calls.append("exit")

        def record(self) -> Any:
            calls.append("record")
            taken.append(("cupy", "cuda.Stream.record", (), {}))
            return SimpleNamespace(synchronize=noted("cupy", "cuda.Event.synchronize", lambda: calls.append("wait")))

    class Resource:
        def __init__(self, number: int) -> None:
            self.number = number

        @classmethod
        def from_gl_buffer(cls, number: int, *, flags: str) -> Resource:
            if state.refuses:
                raise RuntimeError("CUDA_ERROR_INVALID_GRAPHICS_CONTEXT")
            calls.append(f"register {flags}")
            return cls(number)

        def map(self, **options: Any) -> Any:
            return noted("cuda.core", "GraphicsResource.map", self._map)(**options)

        @contextlib.contextmanager
        def _map(self, *, stream: CoreStream) -> Iterator[Any]:
            from trueflow.viewer import gl

            if type(stream) is not CoreStream or stream.handle != CupyStream.ptr:
                raise TypeError(f"expected cuda.core._stream.Stream, got {type(stream).__name__}")
            if state.refuses_to_map:
                raise RuntimeError("CUDA_ERROR_MAP_FAILED")
            if state.maps_left is not None:
                state.maps_left -= 1
                if state.maps_left < 0:
                    raise RuntimeError("CUDA_ERROR_MAP_FAILED")
            memory = np.zeros(1 << 20, np.uint8)
            mapped = SimpleNamespace(handle=memory.ctypes.data, memory=memory, n_bytes=0)
            calls.append("map")
            yield mapped
            calls.append("unmap")
            gl.GL.glBindBuffer(gl.GL.GL_PIXEL_UNPACK_BUFFER, self.number)
            gl.GL.glBufferSubData(gl.GL.GL_PIXEL_UNPACK_BUFFER, 0, mapped.n_bytes, memory[: mapped.n_bytes])
            gl.GL.glBindBuffer(gl.GL.GL_PIXEL_UNPACK_BUFFER, 0)

    def unowned(handle: int, n_bytes: int, owner: Any) -> Any:
        assert handle == owner.handle
        owner.n_bytes = n_bytes
        return owner.memory[:n_bytes]

    cupy = SimpleNamespace(
        cuda=SimpleNamespace(
            UnownedMemory=noted("cupy", "cuda.UnownedMemory", unowned),
            MemoryPointer=noted("cupy", "cuda.MemoryPointer", lambda memory, offset: memory),
            Stream=noted("cupy", "cuda.Stream", CupyStream),
        ),
        ndarray=noted("cupy", "ndarray", lambda shape, dtype, memory: memory.view(dtype).reshape(shape)),
    )
    device = SimpleNamespace(set_current=noted("cuda.core", "Device.set_current", lambda: calls.append("current")))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cuda", SimpleNamespace())
    core = SimpleNamespace(
        Device=noted("cuda.core", "Device", lambda: device),
        GraphicsResource=SimpleNamespace(
            from_gl_buffer=noted("cuda.core", "GraphicsResource.from_gl_buffer", Resource.from_gl_buffer)
        ),
        Stream=SimpleNamespace(from_handle=noted("cuda.core", "Stream.from_handle", CoreStream.from_handle)),
    )
    monkeypatch.setitem(sys.modules, "cuda.core", core)
    return state


def picture(scene: Any, frame: ColorFrame, on_device: ColorFrame | None) -> np.ndarray:
    showing = Showing(frame, DisplayControls(), Fit.of([frame]), on_device=on_device)
    return scene.picture(showing, (640, 360))


def test_a_frame_in_device_memory_gives_the_same_picture(context: None, cuda: Any) -> None:
    from trueflow.viewer.scene import Scene

    frames = [make_frame(LINEAR, index) for index in (3, 6)]
    expected = [picture(Scene(LINEAR), frame, None) for frame in frames]
    assert not cuda.calls
    scene = Scene(LINEAR)
    for frame, wanted in zip(frames, expected, strict=True):
        assert (picture(scene, frame, moved(frame)) == wanted).all()
    assert scene.trouble is None
    n_maps = 8
    assert cuda.calls.count("register write_discard") == n_maps  # once, not once a frame
    order = [call for call in cuda.calls if call in ("enter", "map", "unmap", "exit")]
    assert order == ["enter", "map", "unmap", "exit"] * (2 * n_maps)


def test_a_frames_maps_are_let_go_when_they_have_been_read(context: None, cuda: Any) -> None:
    """The chain's memory pool gives them away at once, and its stream does not wait for the viewer's."""
    from trueflow.viewer.scene import Scene

    frames = [make_frame(LINEAR, index) for index in (3, 4, 5)]
    scene, held = Scene(LINEAR), []
    for frame in frames:
        on_device = moved(frame)
        held.append(weakref.ref(on_device.velocity.velocity_m_s))
        picture(scene, frame, on_device)
        del on_device
        assert [ref() is not None for ref in held] == [False] * (len(held) - 1) + [True]
    order = [call for call in cuda.calls if call in ("record", "wait")]
    assert order == ["record", "wait", "record", "wait", "record"]


@pytest.mark.parametrize("package", REAL)
def test_every_call_to_cuda_is_one_that_the_installed_package_takes(context: None, cuda: Any, package: str) -> None:
    from trueflow.viewer.scene import Scene

    if REAL[package] is None:
        pytest.skip(f"{package} is not installed: its own surface cannot be asked")
    scene = Scene(LINEAR)
    for index in (3, 4):
        frame = make_frame(LINEAR, index)
        picture(scene, frame, moved(frame))
    asked = {(name, len(args), *sorted(kwargs)): (name, args, kwargs) for where, name, args, kwargs in cuda.taken
             if where == package}  # fmt: skip
    assert len(asked) >= 5
    for name, args, kwargs in asked.values():
        check_call(REAL[package], name, args, kwargs)


@pytest.mark.parametrize("said", ["CUDA_ERROR_INVALID_GRAPHICS_CONTEXT", "CUDA_ERROR_MAP_FAILED"])
def test_where_buffers_cannot_be_shared_pictures_come_from_the_host_and_it_is_said(
    context: None, cuda: Any, said: str
) -> None:
    from trueflow.viewer.scene import Scene

    cuda.refuses, cuda.refuses_to_map = (said == "CUDA_ERROR_INVALID_GRAPHICS_CONTEXT"), True
    frame = make_frame(LINEAR, 6)
    scene = Scene(LINEAR)
    assert (picture(scene, frame, moved(frame)) == picture(Scene(LINEAR), frame, None)).all()
    assert scene.trouble is not None
    assert said in scene.trouble


def test_where_a_later_map_fails_the_host_takes_over_in_the_middle_of_a_frame(context: None, cuda: Any) -> None:
    from trueflow.viewer.scene import Scene

    first, second = make_frame(LINEAR, 3), make_frame(LINEAR, 6)
    scene = Scene(LINEAR)
    picture(scene, first, moved(first))
    assert scene.trouble is None
    cuda.maps_left = 3
    assert (picture(scene, second, moved(second)) == picture(Scene(LINEAR), second, None)).all()
    assert scene.trouble is not None
