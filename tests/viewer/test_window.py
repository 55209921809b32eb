"""Real windows under Xvfb: keys and mouse reach them, frames are shown, files are written."""

from __future__ import annotations

import time
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image, ImageGrab
from screens import CYCLE, LINEAR, make_frame

from trueflow.viewer.keys import CHORDS

X_NAMES = {
    ".": "period", ",": "comma", "Space": "space", "Enter": "Return", "Backspace": "BackSpace",
}  # fmt: skip


def x_name(chord: str) -> str:
    """What xdotool calls a chord."""
    *held, key = chord.split("+")
    key = X_NAMES.get(key, key.lower() if len(key) == 1 else key)
    return "+".join([*(name.lower() for name in held), key])


def test_every_key_of_the_table_reaches_its_action(hand, monkeypatch) -> None:
    from trueflow.viewer import window as module

    seen: list[tuple[str, int]] = []
    monkeypatch.setattr(module, "act", lambda desk, name, step=1: seen.append((name, step)))
    user = hand()
    user.deliver(0)
    user.keys(*map(x_name, CHORDS))
    user.until(lambda: len(seen) >= len(CHORDS))
    assert seen == list(CHORDS.values())


def test_keys_change_what_is_shown(hand) -> None:
    user = hand()
    user.deliver(0)
    user.keys("1", "g", "g", "shift+d", "i", "o")
    desk = user.desk
    assert desk.layout == "single"
    assert desk.controls.gain_db == -2.0
    assert desk.controls.dynamic_range_db == 45.0
    assert desk.controls.invert
    assert desk.controls.confidence
    user.keys("0")
    assert desk.controls == desk.first_controls


def test_pipeline_keys_go_to_the_player_and_no_display_key_does(hand) -> None:
    user = hand()
    user.deliver(0)
    user.keys("g", "v", "b", "c", "m", "p", "t", "y")
    assert user.player.asked == []
    user.keys("u")
    assert user.player.config.dealias.name == "none"
    user.keys("u", "w", "e", "s")
    assert user.player.config.dealias.name == "regions"
    assert user.player.config.clutter.name == "fir"
    assert user.player.config.persistence.factor == 0.1
    assert (user.player.config.doppler.average_z, user.player.config.doppler.average_x) == (5, 5)


def test_a_setting_the_pipeline_refuses_is_told_and_nothing_breaks(hand) -> None:
    user = hand()
    user.deliver(0)
    user.player.change(["dealias.name=regions", "doppler.average_z=-4"])
    user.pump(0.05)
    message = user.desk.showing(time.monotonic()).message
    assert "average_z" in message
    assert "-4" in message
    user.deliver(1)


def test_the_screen_shows_the_picture(hand, display) -> None:
    user = hand(layout="single")
    user.deliver(3)
    user.keys("space")
    user.pump(0.3)
    screen = np.asarray(ImageGrab.grab(xdisplay=display))[:540, :960, :3]
    showing = user.desk.showing(time.monotonic())
    picture = user.window.scene.picture(showing, (960, 540))
    # Not all: the window's rows run the other way, which rounds differently where two neighbors are equally near.
    assert (np.abs(screen.astype(int) - picture).max(axis=-1) <= 1).mean() > 0.9999


def test_a_click_follows_the_velocity_at_that_point(hand) -> None:
    user = hand(layout="before_after")
    user.deliver(0, 1, 2)
    panel = user.window.scene.layout(user.desk.showing(0.0), (960, 540)).panels[1]
    user.click(*panel.pixels(2e-3, 16.5e-3))
    (trace,) = user.desk.traces
    assert trace.x_m == pytest.approx(2e-3, abs=1.1 * panel.pitch_m)
    assert trace.z_m == pytest.approx(16.5e-3, abs=1.1 * panel.pitch_m)
    user.deliver(3)
    assert len(trace.time_s) == 4
    velocities = [make_frame(LINEAR, index).velocity.velocity_m_s for index in range(4)]
    expected = [float(np.median(velocity[trace.rows, trace.columns])) for velocity in velocities]
    assert list(trace.dealiased_m_s) == pytest.approx(expected)
    user.keys("BackSpace")
    assert not user.desk.traces


def test_a_shifted_drag_makes_the_color_box(hand) -> None:
    user = hand(layout="single")
    user.deliver(0)
    panel = user.window.scene.layout(user.desk.showing(0.0), (960, 540)).panels[0]
    user.drag(panel.pixels(-5e-3, 10e-3), panel.pixels(6e-3, 22e-3), held="shift")
    assert user.desk.controls.box_m == pytest.approx((-5e-3, 10e-3, 6e-3, 22e-3), abs=1.1 * panel.pitch_m)
    assert not user.desk.traces
    user.keys("x")
    assert user.desk.controls.box_m is None


def test_the_bar_seeks_the_file_and_frozen_scrubs_the_cine_buffer(hand) -> None:
    user = hand()
    user.deliver(*range(CYCLE))
    layout = user.window.scene.layout(user.desk.showing(0.0), (960, 540))
    left, top, right, bottom = layout.seek
    user.click(left, (top + bottom) / 2)
    assert ("seek", 0) in user.player.asked
    user.keys("space")
    assert ("play", False) in user.player.asked
    user.drag((0.5 * (left + right), (top + bottom) / 2), (left, (top + bottom) / 2))
    assert user.desk.frame.stamp.index == 0
    user.keys("Right", "Right")
    assert user.desk.frame.stamp.index == 2
    user.keys("End")
    assert user.desk.frame.stamp.index == CYCLE - 1


def test_the_cine_buffer_plays_slowly_and_in_a_loop(hand, monkeypatch) -> None:
    from trueflow.viewer import window as module

    user = hand()
    user.deliver(*range(4))
    user.keys("space", "comma", "comma")
    assert user.desk.speed == 0.2  # 200 ms a frame
    clock = SimpleNamespace(now_s=100.0, monotonic=lambda: clock.now_s)
    monkeypatch.setattr(module, "time", clock)  # however long this machine takes
    user.keys("Return")
    assert user.desk.playing
    seen = []
    for _ in range(17):
        seen.append(user.desk.frame.stamp.index)
        clock.now_s += 0.051
        user.window.step()
    assert seen == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4 + [0]
    user.keys("Return")
    assert not user.desk.playing


def test_the_probe_is_where_the_mouse_is(hand) -> None:
    user = hand(layout="single")
    user.deliver(0)
    panel = user.window.scene.layout(user.desk.showing(0.0), (960, 540)).panels[0]
    at = tuple(round(edge) for edge in panel.pixels(0.0, 16e-3))
    user.move(*at)
    assert user.desk.showing(0.0).cursor_px == at
    user.keys("q")
    assert user.desk.showing(0.0).cursor_px is None


def test_the_controls_obey_the_mouse(hand) -> None:
    user = hand(panel=True)
    user.deliver(0)
    user.pump(0.2)
    user.click(960 - 300 + 18, 65)  # the first radio button
    assert user.desk.layout == "single"
    assert not user.desk.traces
    user.keys("Tab")
    assert not user.desk.panel


def test_a_key_that_is_held_raises_further_and_switches_once(hand) -> None:
    user = hand()
    user.deliver(0)
    glfw, before_db = user.window._glfw, user.desk.controls.gain_db
    for key in (glfw.KEY_G, glfw.KEY_SPACE, glfw.KEY_H):
        for action in (glfw.PRESS, glfw.REPEAT, glfw.REPEAT, glfw.REPEAT, glfw.RELEASE):
            user.window._on_key(user.window._window, key, glfw.get_key_scancode(key), action, 0)
    assert user.desk.controls.gain_db == before_db + 4 * 2.0
    assert user.desk.frozen
    assert user.desk.help


def test_a_window_may_be_made_tiny_and_large_again(hand, tmp_path) -> None:
    user = hand(panel=True)
    user.deliver(0, 1, 2)
    user.keys("space")
    user.desk.add_trace(2e-3, 16.5e-3)
    before = user.window.scene.picture(user.desk.plain_showing(), (960, 540))
    user.keys("F9")
    for size in ((113, 113), (1, 1), (700, 60), (60, 700), (960, 540)):
        user.window._glfw.set_window_size(user.window._window, *size)
        user.until(lambda size=size: user.window.size == size)
        user.window.stir()
        user.pump(0.02)
        user.keys("F12")
    assert not user.desk.recording, "a movie has one size"
    assert len(list(tmp_path.glob("*.mp4"))) == 1
    shapes = {np.asarray(Image.open(path)).shape[:2] for path in tmp_path.glob("*.png")}
    assert shapes >= {(113, 113), (1, 1), (700, 60)}
    user.pump(0.1)
    assert (user.window.scene.picture(user.desk.plain_showing(), (960, 540)) == before).all()


def test_where_pixels_are_finer_than_screen_coordinates_the_mouse_still_points_right(hand, monkeypatch) -> None:
    user = hand(layout="single", panel=True)
    monkeypatch.setattr(user.window._glfw, "get_framebuffer_size", lambda window: (1920, 1080))
    user.deliver(0)
    user.pump(0.1)
    assert user.desk.reserved_px == 600
    panel = user.window.scene.layout(user.desk.showing(0.0), (1920, 1080)).panels[0]
    x_px, y_px = panel.pixels(2e-3, 16.5e-3)
    user.do("mousemove", str(round(x_px / 2)), str(round(y_px / 2)))
    user.until(lambda: user.desk.cursor_px == (2 * round(x_px / 2), 2 * round(y_px / 2)))
    user._button("click", 2)
    (trace,) = user.desk.traces
    assert (trace.x_m, trace.z_m) == pytest.approx((2e-3, 16.5e-3), abs=1.5 * panel.pitch_m)


def test_help_covers_the_picture_and_any_key_ends_it(hand) -> None:
    user = hand()
    user.deliver(0)
    user.keys("h")
    assert user.desk.help
    user.keys("g")
    assert not user.desk.help
    assert user.desk.controls.gain_db == user.desk.first_controls.gain_db


def test_a_movie_is_written(hand, tmp_path) -> None:
    user = hand(size=(641, 361))
    user.deliver(0)
    user.keys("F9")
    for index in range(1, 6):
        user.deliver(index)
        user.pump(0.04)
    assert user.desk.recording
    user.keys("F9")
    assert not user.desk.recording
    (path,) = tmp_path.glob("*.mp4")
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) >= 6
    assert frames[0].shape == (360, 640, 3)
    assert frames[0].max() > 200
    assert not list(tmp_path.glob(".*"))


def test_a_screenshot_is_the_picture_without_controls(hand, tmp_path) -> None:
    user = hand(panel=True)
    user.deliver(0)
    user.keys("space")
    user.keys("F12")
    (path,) = tmp_path.glob("*.png")
    shot = np.asarray(Image.open(path))
    assert shot.shape == (540, 960, 3)
    assert (shot[:, 960 - 290 :] == 0).all()


def test_a_folder_that_is_not_there_is_told_and_nothing_breaks(hand, tmp_path) -> None:
    user = hand()
    user.deliver(0)
    user.desk.folder = tmp_path / "nowhere"
    user.keys("F12")
    assert "make the folder" in user.desk.showing(time.monotonic()).message
    user.keys("F9")
    assert not user.desk.recording
    user.deliver(1)


def test_drawing_does_not_wait_for_frames(hand) -> None:
    user = hand()
    user.deliver(0)
    frame = user.desk.frame
    for _ in range(3):  # nothing comes, and pictures are drawn nevertheless
        user.window.stir()
        assert user.window.step()
    assert user.desk.frame is frame
    user.keys("ctrl+q")
    assert user.desk.closing
