"""The controls for the mouse: a Dear ImGui panel at the right edge. Everything in it has a key as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trueflow.viewer.actions import LARGEST_SMOOTHING, SPEEDS, act, set_choice
from trueflow.viewer.colors import map_names
from trueflow.viewer.controls import RANGES
from trueflow.viewer.desk import Desk
from trueflow.viewer.layout import LAYOUTS

__all__ = ["PANEL_WIDTH", "ControlPanel"]

PANEL_WIDTH = 300.0  # screen coordinates
LABELS = {"single": "single", "before_after": "before | after", "three_panels": "three"}
FONT_PX = 15.0
CM_S = 1e2


class ControlPanel:
    """Draws the controls of a desk into the current framebuffer.

    Parameters
    ----------
    glfw : module
    window : GLFW window
        Its context must be current.
    """

    def __init__(self, glfw: Any, window: Any) -> None:
        import imgui_bundle
        from imgui_bundle import imgui
        from imgui_bundle.python_backends.glfw_backend import GlfwRenderer

        self._imgui: Any = imgui
        imgui.create_context()
        imgui.get_io().set_ini_filename("")  # leaves no file behind
        self.backend: Any = GlfwRenderer(window, attach_callbacks=False)
        font = Path(imgui_bundle.__file__).parent / "assets" / "fonts" / "Roboto" / "Roboto-Regular.ttf"
        if font.is_file():
            imgui.get_io().fonts.add_font_from_file_ttf(str(font), FONT_PX)
        style = imgui.get_style()
        style.window_rounding = style.window_border_size = 0.0
        style.frame_rounding = 3.0
        self._edited: dict[str, Any] = {}

    @property
    def takes_mouse(self) -> bool:
        """Whether a click is for the panel."""
        return bool(self._imgui.get_io().want_capture_mouse)

    @property
    def takes_keys(self) -> bool:
        """Whether a number is being typed."""
        return bool(self._imgui.get_io().want_text_input)

    def close(self) -> None:
        """Give everything back."""
        self.backend.shutdown()
        self._imgui.destroy_context()

    def draw(self, desk: Desk) -> None:
        """Draw, and do what was clicked."""
        ui = self._imgui
        self.backend.process_inputs()
        ui.new_frame()
        size = ui.get_io().display_size
        ui.set_next_window_pos(ui.ImVec2(size.x - PANEL_WIDTH, 0))
        ui.set_next_window_size(ui.ImVec2(PANEL_WIDTH, size.y))
        fixed = ui.WindowFlags_.no_move | ui.WindowFlags_.no_resize | ui.WindowFlags_.no_collapse
        ui.begin("Controls (Tab)", None, fixed | ui.WindowFlags_.no_nav)
        ui.push_item_width(-105)
        for title, section in (
            ("View", self._view), ("Color", self._color), ("Pipeline", self._pipeline), ("Time", self._time),
            ("Measure", self._measure),
        ):  # fmt: skip
            ui.separator_text(title)
            section(desk)
        ui.pop_item_width()
        ui.end()
        ui.render()
        self.backend.render(ui.get_draw_data())

    def _view(self, desk: Desk) -> None:
        for index, name in enumerate(LAYOUTS):
            if index:
                self._imgui.same_line()
            if self._imgui.radio_button(LABELS[name], desk.layout == name):
                desk.layout = name
        self._slide(desk, "gain", "gain_db", "%.0f dB")
        self._slide(desk, "dynamic range", "dynamic_range_db", "%.0f dB")
        self._button(desk, "fit", "fit")
        self._imgui.same_line()
        self._button(desk, "reset", "reset")

    def _color(self, desk: Desk) -> None:
        ui, controls = self._imgui, desk.controls
        self._check(desk, "color", controls.color, "color")
        ui.same_line()
        self._check(desk, "invert", controls.invert, "invert")
        ui.same_line()
        self._check(desk, "doubt", controls.confidence, "confidence")
        if desk.fit is not None and desk.frame is not None:
            nyquist_m_s = float(desk.frame.velocity.nyquist_velocity_m_s)
            scale = (controls.scale_m_s or desk.fit.scale_m_s) * CM_S
            moved, scale = ui.slider_float("scale", scale, 1.0, 10 * nyquist_m_s * CM_S, "%.0f cm/s")
            if moved:
                desk.controls = controls.with_(scale_m_s=scale / CM_S)
            most = 0.9 * nyquist_m_s * CM_S
            moved, baseline = ui.slider_float("baseline", controls.baseline_m_s * CM_S, -most, most, "%.1f cm/s")
            if moved:
                desk.controls = desk.controls.with_(baseline_m_s=baseline / CM_S)
        names = map_names()
        moved, index = ui.combo("map", names.index(controls.color_map), names)
        if moved:
            desk.controls = desk.controls.with_(color_map=names[index])
        self._slide(desk, "priority", "priority", "%.2f")
        self._slide(desk, "power", "power_db", "%.0f dB")
        self._slide(desk, "coherence", "coherence", "%.2f")
        if controls.box_m is not None:
            self._button(desk, "color box off", "no_box")
        else:
            ui.text_disabled("shift-drag: color box")

    def _pipeline(self, desk: Desk) -> None:
        config, choices = desk.player.config, desk.player.choices
        for label, setting, now in (
            ("dealiaser", "dealias.name", config.dealias.name),
            ("wall filter", "clutter.name", config.clutter.name),
        ):
            names = list(choices[setting])
            moved, index = self._imgui.combo(label, names.index(now) if now in names else 0, names)
            if moved:
                set_choice(desk, setting, names[index])
        factor = self._settled("persistence", config.persistence.factor, 0.0, 0.9)
        if factor is not None:
            set_choice(desk, "persistence.factor", f"{factor:.2f}")
        for label, axis in (("smooth z", "average_z"), ("smooth x", "average_x")):
            size = self._settled(label, getattr(config.doppler, axis), 1, LARGEST_SMOOTHING)
            if size is not None:
                set_choice(desk, f"doppler.{axis}", f"{size | 1}")

    def _time(self, desk: Desk) -> None:
        ui = self._imgui
        self._button(desk, "go on" if desk.frozen else "freeze", "freeze")
        ui.same_line()
        self._button(desk, "<", "step", -1)
        ui.same_line()
        self._button(desk, ">", "step", 1)
        ui.same_line()
        self._button(desk, "pause" if desk.playing else "play cine", "play")
        moved, index = ui.slider_int("speed", _nearest(desk.speed), 0, len(SPEEDS) - 1, f"x{desk.speed:g}")
        if moved:
            desk.speed = SPEEDS[index]
            desk.player.pace(desk.speed, desk.loop)
        self._check(desk, "loop", desk.loop, "loop")

    def _measure(self, desk: Desk) -> None:
        ui = self._imgui
        self._check(desk, "point probe", desk.probe, "probe")
        ui.text_disabled("click: velocity trace")
        if desk.traces:
            ui.same_line()
            self._button(desk, "clear", "no_traces")
        self._button(desk, "screenshot", "screenshot")
        ui.same_line()
        self._button(desk, "end movie" if desk.recording else "movie", "record")
        ui.same_line()
        self._button(desk, "keys", "help")

    def _button(self, desk: Desk, label: str, action: str, step: int = 1) -> None:
        if self._imgui.button(label):
            act(desk, action, step)

    def _check(self, desk: Desk, label: str, value: bool, action: str) -> None:
        if self._imgui.checkbox(label, value)[0]:
            act(desk, action)

    def _slide(self, desk: Desk, label: str, attribute: str, form: str) -> None:
        moved, value = self._imgui.slider_float(label, getattr(desk.controls, attribute), *RANGES[attribute], form)
        if moved:
            desk.controls = desk.controls.with_(**{attribute: value})

    def _settled(self, label: str, now: Any, low: Any, high: Any) -> Any:
        """The value of a slider once it is let go: the pipeline is rebuilt for each."""
        ui = self._imgui
        slider = ui.slider_float if isinstance(now, float) else ui.slider_int
        moved, value = slider(label, self._edited.get(label, now), low, high)
        if moved:
            self._edited[label] = value
        return self._edited.pop(label, None) if ui.is_item_deactivated_after_edit() else None


def _nearest(speed: float) -> int:
    return min(range(len(SPEEDS)), key=lambda index: abs(SPEEDS[index] - speed))
