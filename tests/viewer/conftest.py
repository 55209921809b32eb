"""A display of our own, real windows on it, and a hand on keyboard and mouse."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from screens import StillPlayer

PACKAGES = ("OpenGL", "glfw", "imgui_bundle")
PROGRAMS = ("Xvfb", "xdotool")
PATIENCE_S = 10.0


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """A virtual X display with Mesa's software rasteriser; skips where something for it is missing."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    missing += [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"a window needs {', '.join(missing)}: see tests/prerequisites.sh")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1400x900x24", "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        number = pipe.readline().strip()
    if not number:
        pytest.skip(f"Xvfb ended with {server.wait()}")
    before = {name: os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "LIBGL_ALWAYS_SOFTWARE")}
    os.environ.update(DISPLAY=f":{number}", LIBGL_ALWAYS_SOFTWARE="1")
    os.environ.pop("WAYLAND_DISPLAY", None)
    yield f":{number}"
    server.terminate()
    server.wait()
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


class Hand:
    """Moves the mouse and presses keys with the XTEST extension (xdotool): the window cannot tell it from a user's."""

    def __init__(self, window: Any) -> None:
        self.window, self.desk, self.player = window, window.desk, window.desk.player
        self._n_keys = self._n_buttons = 0
        self._listen()
        self._id = str(window._glfw.get_x11_window(window._window))
        self.pump()
        self.do("windowmove", self._id, "0", "0")
        self.do("windowfocus", self._id)
        self.do("mousemove", "2", "2")
        self.pump(0.1)

    def _listen(self) -> None:
        """Count what has arrived, so that a busy machine is waited for."""
        glfw, window = self.window._glfw, self.window._window
        modifiers = {getattr(glfw, f"KEY_{side}_{name}") for side in ("LEFT", "RIGHT") for name in ("SHIFT", "CONTROL")}

        def on_key(window: Any, key: int, scancode: int, action: int, mods: int) -> None:
            self.window._on_key(window, key, scancode, action, mods)
            self._n_keys += action == glfw.RELEASE and key not in modifiers

        def on_button(window: Any, button: int, action: int, mods: int) -> None:
            self.window._on_button(window, button, action, mods)
            self._n_buttons += 1

        glfw.set_key_callback(window, on_key)
        glfw.set_mouse_button_callback(window, on_button)

    def do(self, *arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], check=True, timeout=PATIENCE_S)

    def pump(self, seconds: float = 0.02) -> None:
        """Let the window work for a while."""
        end_s = time.monotonic() + seconds
        while True:
            self.window._glfw.poll_events()
            self.window.step()
            if time.monotonic() >= end_s:
                return

    def until(self, holds: Callable[[], bool]) -> None:
        """Let the window work until something holds."""
        end_s = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < end_s, "the window did not follow"
            self.pump()

    def keys(self, *names: str) -> None:
        """Press keys by their X names, then let the window work."""
        before = self._n_keys
        self.do("key", "--delay", "4", *names)
        self.until(lambda: self._n_keys >= before + len(names))
        self.pump(0.02)

    def move(self, x: float, y: float) -> None:
        self.do("mousemove", str(round(x)), str(round(y)))
        self.until(lambda: self.desk.cursor_px == (round(x), round(y)))

    def click(self, x: float, y: float) -> None:
        self.move(x, y)
        self._button("click", 2)

    def drag(self, start: tuple[float, float], end: tuple[float, float], *, held: str | None = None) -> None:
        self.move(*start)
        if held:
            self.do("keydown", held)
        self._button("mousedown", 1)
        self.move(*end)
        self._button("mouseup", 1)
        if held:
            self.do("keyup", held)
        self.pump(0.02)

    def _button(self, what: str, n_events: int) -> None:
        before = self._n_buttons
        self.do(what, "1")
        self.until(lambda: self._n_buttons >= before + n_events)
        self.pump(0.02)

    def deliver(self, *indices: int) -> None:
        """Frames of the player, one after the other, each of them shown."""
        for index in indices:
            frame = self.player.frame(index)
            self.player.position = index
            self.player.deliver(frame, time.monotonic())
            self.until(lambda frame=frame: self.desk.frame is frame)


@pytest.fixture
def hand(display: str, tmp_path: Any) -> Iterator[Callable[..., Hand]]:
    """Opens windows on still players; call it with a grid, a layout, a size."""
    from trueflow.viewer.desk import Desk
    from trueflow.viewer.window import Window

    opened: list[Window] = []

    def open_window(
        player: Any = None, *, layout: str = "three_panels", size: tuple[int, int] = (960, 540), panel: bool = False
    ) -> Hand:
        desk = Desk(player or StillPlayer(), layout=layout, folder=tmp_path)
        desk.panel = panel
        window = Window(desk, size)
        opened.append(window)
        desk.player.start(window.deliver)
        return Hand(window)

    yield open_window
    for window in opened:
        window.__exit__(None, None, None)


@pytest.fixture
def context(display: str) -> Iterator[None]:
    """An OpenGL context of a hidden window."""
    import glfw

    from trueflow.viewer import gl

    glfw.init()
    for hint, value in (
        (glfw.CONTEXT_VERSION_MAJOR, 3),
        (glfw.CONTEXT_VERSION_MINOR, 3),
        (glfw.OPENGL_PROFILE, glfw.OPENGL_CORE_PROFILE),
        (glfw.VISIBLE, glfw.FALSE),
    ):
        glfw.window_hint(hint, value)
    window = glfw.create_window(64, 64, "hidden", None, None)
    glfw.make_context_current(window)
    gl.load("x11")
    yield
    glfw.terminate()
