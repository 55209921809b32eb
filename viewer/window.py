"""The window: GLFW events in, pictures out. All that it shows is decided by the desk."""

from __future__ import annotations

import time
from dataclasses import replace
from types import TracebackType
from typing import Any

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame
from trueflow.viewer import gl
from trueflow.viewer.actions import act
from trueflow.viewer.chords import chord_names
from trueflow.viewer.desk import Desk
from trueflow.viewer.keys import CHORDS, REPEATING
from trueflow.viewer.panel import PANEL_WIDTH, ControlPanel
from trueflow.viewer.pointer import Pointer
from trueflow.viewer.recorder import Recorder, save_screenshot
from trueflow.viewer.scene import Scene

__all__ = ["Window"]

ADVICE = "a display is needed (DISPLAY or WAYLAND_DISPLAY); without one: --headless, or xvfb-run"
IDLE_S = 0.25  # between looks at the clock when nothing happens
REPEATS_S = 0.005  # while the cine buffer plays
SETTLE = 3  # pictures after an event: Dear ImGui answers some of them one picture later


class Window:
    """A window on a desk; a context manager.

    Parameters
    ----------
    desk : Desk
    size : (int, int)
        Width and height in screen coordinates.
    visible : bool

    Raises
    ------
    TrueflowError
        Where there is no GLFW, no display, or no OpenGL 3.3.
    """

    def __init__(self, desk: Desk, size: tuple[int, int], *, visible: bool = True) -> None:
        self.desk = desk
        self._glfw = _import_glfw()
        self._window = self._open(size, visible)
        try:
            self.scene = Scene(desk.player.grid)
            self.pointer = Pointer(desk, self.scene)
            self.panel = ControlPanel(self._glfw, self._window)
        except BaseException:
            self._glfw.terminate()
            raise
        self._listen()
        self._recorder: Recorder | None = None
        self._due, self._drawn_s = SETTLE, 0.0
        self._is_full_screen = False
        self._before: tuple[int, int, int, int] = (0, 0, *size)

    def _open(self, size: tuple[int, int], visible: bool) -> Any:
        glfw = self._glfw
        errors: list[str] = []
        glfw.set_error_callback(lambda code, text: errors.append(text.decode(errors="replace")))
        if not glfw.init():
            raise TrueflowError("no window", where="viewer", found="; ".join(errors) or None, advice=ADVICE)
        glfw.window_hint(glfw.CONTEXT_VERSION_MAJOR, 3)
        glfw.window_hint(glfw.CONTEXT_VERSION_MINOR, 3)
        glfw.window_hint(glfw.OPENGL_PROFILE, glfw.OPENGL_CORE_PROFILE)
        glfw.window_hint(glfw.OPENGL_FORWARD_COMPAT, glfw.TRUE)
        glfw.window_hint(glfw.VISIBLE, glfw.TRUE if visible else glfw.FALSE)
        window = glfw.create_window(*size, f"Trueflow: {self.desk.player.name}", None, None)
        if not window:
            glfw.terminate()
            raise TrueflowError("no OpenGL 3.3 window", where="viewer", found="; ".join(errors), advice=ADVICE)
        glfw.make_context_current(window)
        wayland = glfw.get_platform() == glfw.PLATFORM_WAYLAND
        gl.load("egl" if wayland else "x11")
        glfw.swap_interval(1)
        return window

    def _listen(self) -> None:
        glfw, window = self._glfw, self._window
        glfw.set_key_callback(window, self._on_key)
        glfw.set_char_callback(window, lambda _, code: self.panel.backend.char_callback(window, code))
        glfw.set_cursor_pos_callback(window, self._on_move)
        glfw.set_cursor_enter_callback(window, self._on_enter)
        glfw.set_mouse_button_callback(window, self._on_button)
        glfw.set_scroll_callback(window, self._on_scroll)
        for listen in (glfw.set_framebuffer_size_callback, glfw.set_window_refresh_callback):
            listen(window, lambda *_: self.stir())

    def deliver(self, frame: ColorFrame, began_s: float, on_device: ColorFrame | None = None) -> None:
        """Leave a frame for the next picture, and wake the window; from any thread."""
        self.desk.slot.put(frame, began_s, on_device)
        self._glfw.post_empty_event()

    def run(self) -> None:
        """Until the window is closed."""
        while not self.desk.closing and not self._glfw.window_should_close(self._window):
            busy = self._due > 0
            self._glfw.wait_events_timeout(0.001 if busy else REPEATS_S if self.desk.playing else IDLE_S)
            self.step()

    def step(self) -> bool:
        """Do what is due: take frames, act, draw; whether a picture was drawn."""
        desk, now_s = self.desk, time.monotonic()
        before = desk.frame
        desk.tick(now_s)
        self._follow_desk()
        fresh = desk.frame is not before
        if not (fresh or self._due > 0 or now_s - self._drawn_s > IDLE_S):
            return False
        self._due = max(self._due - 1, 0)
        self._draw(now_s, fresh)
        self._drawn_s = now_s
        return True

    def draw_empty(self) -> bool:
        """Clear and swap: what a picture costs before anything is drawn."""
        gl.GL.glBindFramebuffer(gl.GL.GL_FRAMEBUFFER, 0)
        gl.GL.glClearColor(0.0, 0.0, 0.0, 1.0)
        gl.GL.glClear(gl.GL.GL_COLOR_BUFFER_BIT)
        self._glfw.swap_buffers(self._window)
        self._glfw.poll_events()
        return True

    @property
    def size(self) -> tuple[int, int]:
        """Of the framebuffer, in px."""
        width, height = self._glfw.get_framebuffer_size(self._window)
        return max(width, 1), max(height, 1)

    def _draw(self, now_s: float, fresh: bool) -> None:
        desk, size = self.desk, self.size
        scale = size[0] / max(self._glfw.get_window_size(self._window)[0], 1)
        desk.reserved_px = PANEL_WIDTH * scale if desk.panel else 0.0
        showing = desk.showing(now_s)
        if showing is None:
            gl.GL.glBindFramebuffer(gl.GL.GL_FRAMEBUFFER, 0)
            gl.GL.glClear(gl.GL.GL_COLOR_BUFFER_BIT)
        else:
            if desk.wants_screenshot:
                desk.wants_screenshot = False
                save_screenshot(desk, self.scene, size, now_s)
            if self._recorder is not None:
                quiet = replace(showing, message="", recording=False)
                self._recorder.capture(lambda even: self.scene.picture(quiet, even), now_s)
            told = self.scene.trouble
            self.scene.draw(showing, size=size)
            if self.scene.trouble != told:
                desk.say(f"pictures go by way of the host: {self.scene.trouble}", now_s)
        if desk.panel and not desk.help:
            self.panel.draw(desk)
        self._glfw.swap_buffers(self._window)
        desk.drawn(time.monotonic())
        gl.check()

    def _follow_desk(self) -> None:
        """What an action asked of the window."""
        desk = self.desk
        if desk.full_screen != self._is_full_screen:
            self._set_full_screen(desk.full_screen)
        if desk.wants_record:
            desk.wants_record = False
            if self._recorder is None:
                self._recorder = Recorder.begin(desk, self.size)
            else:
                self._end_recording()
        elif self._recorder is not None and not self._recorder.fits(self.size):
            self._end_recording()

    def _end_recording(self) -> None:
        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            recorder.end()
            self.stir()

    def _set_full_screen(self, full: bool) -> None:
        glfw, window = self._glfw, self._window
        self._is_full_screen = full
        monitor = glfw.get_primary_monitor()
        if full and monitor:
            self._before = (*glfw.get_window_pos(window), *glfw.get_window_size(window))
            mode = glfw.get_video_mode(monitor)
            glfw.set_window_monitor(window, monitor, 0, 0, mode.size.width, mode.size.height, mode.refresh_rate)
        elif not full:
            glfw.set_window_monitor(window, None, *self._before, 0)
        self.stir()

    def stir(self) -> None:
        """Draw the next pictures, whether there are new frames or not."""
        self._due = SETTLE

    def _on_key(self, window: Any, key: int, scancode: int, action: int, mods: int) -> None:
        self.stir()
        self.panel.backend.keyboard_callback(window, key, scancode, action, mods)
        if action == self._glfw.RELEASE or (self.desk.panel and self.panel.takes_keys):
            return
        chords = chord_names(self._glfw, key, scancode, mods)
        if action == self._glfw.REPEAT and REPEATING.isdisjoint(chords):
            return
        if self.desk.help and chords:
            self.desk.help = False
            if not any(CHORDS.get(chord, ("",))[0] == "quit" for chord in chords):
                return
        chord = next((chord for chord in chords if chord in CHORDS), None)
        if chord is not None:
            act(self.desk, *CHORDS[chord])

    def _scaled(self, x: float, y: float) -> tuple[float, float]:
        width, height = self._glfw.get_window_size(self._window)
        return x * self.size[0] / max(width, 1), y * self.size[1] / max(height, 1)

    def _on_move(self, window: Any, x: float, y: float) -> None:
        self.stir()
        self.panel.backend.mouse_callback(window, x, y)
        self.pointer.move(*self._scaled(x, y), self.size)

    def _on_enter(self, window: Any, inside: int) -> None:
        self.stir()
        if not inside:
            self.desk.cursor_px = None

    def _on_button(self, window: Any, button: int, action: int, mods: int) -> None:
        self.stir()
        self.panel.backend.mouse_button_callback(window, button, action, mods)
        if button != self._glfw.MOUSE_BUTTON_LEFT:
            return
        at = self._scaled(*self._glfw.get_cursor_pos(window))
        if action == self._glfw.RELEASE:
            self.pointer.release(*at, self.size)
        elif not (self.desk.panel and self.panel.takes_mouse) and not self.desk.help:
            self.pointer.press(*at, self.size, shift=bool(mods & self._glfw.MOD_SHIFT))

    def _on_scroll(self, window: Any, x: float, y: float) -> None:
        self.stir()
        self.panel.backend.scroll_callback(window, x, y)

    def __enter__(self) -> Window:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_recording()
        self.desk.player.close()  # its thread would wake a window that is gone
        self.panel.close()
        self._glfw.destroy_window(self._window)
        self._glfw.terminate()


def _import_glfw() -> Any:
    try:
        import glfw
    except ImportError as error:
        raise TrueflowError("GLFW is missing", where="viewer", found=str(error), advice=gl.ADVICE) from error
    return glfw
