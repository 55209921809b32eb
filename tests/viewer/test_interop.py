"""From CUDA's memory to textures, with stand-ins for CuPy and cuda.core: buffers are real, and so is the picture."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from screens import LINEAR, make_frame

from trueflow.pipeline.frames import ColorFrame
from trueflow.viewer.controls import DisplayControls, Fit
from trueflow.viewer.showing import Showing


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
    """Modules that keep the order of calls; a mapped buffer is host memory that goes to OpenGL when unmapped."""
    calls: list[str] = []
    state = SimpleNamespace(calls=calls, refuses=False)

    class Resource:
        def __init__(self, number: int) -> None:
            self.number = number

        @classmethod
        def from_gl_buffer(cls, number: int, *, flags: str) -> Resource:
            if state.refuses:
                raise RuntimeError("CUDA_ERROR_INVALID_GRAPHICS_CONTEXT")
            calls.append(f"register {flags}")
            return cls(number)

        @contextlib.contextmanager
        def map(self, *, stream: object) -> Iterator[Any]:
            from trueflow.viewer import gl

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
            UnownedMemory=unowned, MemoryPointer=lambda memory, offset: memory, get_current_stream=lambda: "stream"
        ),
        ndarray=lambda shape, dtype, memory: memory.view(dtype).reshape(shape),
    )
    device = SimpleNamespace(set_current=lambda: calls.append("current"))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cuda", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "cuda.core", SimpleNamespace(Device=lambda: device, GraphicsResource=Resource))
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
    order = [call for call in cuda.calls if call in ("map", "unmap")]
    assert order == ["map", "unmap"] * (2 * n_maps)


def test_where_buffers_cannot_be_shared_pictures_come_from_the_host_and_it_is_said(context: None, cuda: Any) -> None:
    from trueflow.viewer.scene import Scene

    cuda.refuses = True
    frame = make_frame(LINEAR, 6)
    scene = Scene(LINEAR)
    assert (picture(scene, frame, moved(frame)) == picture(Scene(LINEAR), frame, None)).all()
    assert scene.trouble is not None
    assert "CUDA_ERROR_INVALID_GRAPHICS_CONTEXT" in scene.trouble
