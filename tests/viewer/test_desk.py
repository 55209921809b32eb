"""The parts without a window: slot, cine buffer, traces, controls, key table."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
from screens import CYCLE, INTERVAL_S, LINEAR, SECTOR, StillPlayer, make_frame

from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.picture.compose import choose_scale_m_s
from trueflow.viewer.actions import ACTIONS, act
from trueflow.viewer.canvas import Canvas
from trueflow.viewer.cine import Cine
from trueflow.viewer.colors import color_table, map_names
from trueflow.viewer.controls import DisplayControls, Fit
from trueflow.viewer.desk import Desk
from trueflow.viewer.furniture import draw_furniture
from trueflow.viewer.keys import CHORDS, KEYS
from trueflow.viewer.layout import LAYOUTS, arrange
from trueflow.viewer.meter import Meter
from trueflow.viewer.overlays import draw_overlays
from trueflow.viewer.slot import LatestSlot
from trueflow.viewer.traces import Point, Trace, nearest_pixel


def test_the_slot_keeps_the_latest_frame_and_counts_the_lost() -> None:
    slot, frames = LatestSlot(), [make_frame(LINEAR, i) for i in range(3)]
    assert slot.take() is None
    for number, frame in enumerate(frames):
        slot.put(frame, float(number))
    taken = slot.take()
    assert taken is not None
    assert (taken.frame, taken.began_s) == (frames[2], 2.0)
    assert slot.take() is None
    assert slot.n_dropped == 2


def test_neither_end_of_the_slot_waits_for_the_other() -> None:
    slot, frame = LatestSlot(), make_frame(LINEAR)
    taken = 0
    thread = threading.Thread(target=lambda: [slot.put(frame, 0.0) for _ in range(5000)])
    thread.start()
    while thread.is_alive():
        taken += slot.take() is not None
    taken += slot.take() is not None
    assert taken + slot.n_dropped == 5000


def test_the_cine_buffer_is_bounded_in_time_and_memory() -> None:
    frames = [make_frame(LINEAR, i) for i in range(6)]
    cine = Cine(seconds=0.1)
    for number, frame in enumerate(frames):
        cine.add(frame, 0.04 * number)
    assert [frame.stamp.index for frame in cine] == [3, 4, 5]
    one = Cine()
    one.add(frames[0], 0.0)
    small = Cine(most_bytes=2 * one.n_bytes)
    for number, frame in enumerate(frames):
        small.add(frame, 0.04 * number)
    assert [frame.stamp.index for frame in small] == [4, 5]
    assert small.n_bytes == 2 * one.n_bytes


def test_the_cine_buffer_plays_at_the_pace_of_the_recording() -> None:
    cine = Cine()
    for index in range(5):
        cine.add(make_frame(LINEAR, index), 0.0)
    cine.go_to(0)
    places, going = [], []
    for tick in range(21):
        going.append(cine.advance(tick * INTERVAL_S / 2, speed=0.5, loop=False))
        places.append(cine.index)
    assert places[::4] == [0, 1, 2, 3, 4, 4]
    assert all(going[:20])
    assert not going[20]
    cine.go_to(4)
    cine.advance(20.0, speed=1.0, loop=True)
    cine.advance(20.0 + 1.01 * INTERVAL_S, speed=1.0, loop=True)
    assert cine.index == 0


def test_the_meter_counts_what_was_shown_in_the_last_two_seconds() -> None:
    meter = Meter()
    for number in range(91):
        meter.count(number / 30, 0.05 + 0.001 * (number % 3))
    assert meter.rate_hz(3.0) == pytest.approx(30.0)
    assert meter.n_counted == 61
    assert meter.latency_s() == pytest.approx(0.051)
    assert meter.rate_hz(10.0) == 0.0


@pytest.mark.parametrize("grid", [LINEAR, SECTOR])
def test_the_pixel_under_the_cursor_is_the_nearest_one(grid) -> None:
    for at in ((0, 0), (17, 23), (grid.shape[0] - 1, grid.shape[1] - 1)):
        assert nearest_pixel(grid, float(grid.x_m[at]) + 2e-5, float(grid.z_m[at]) - 2e-5) == at
    assert nearest_pixel(grid, 0.5, 0.02) is None
    assert nearest_pixel(grid, 0.0, 0.5) is None


def test_the_probe_says_what_the_maps_say() -> None:
    frame, at = make_frame(LINEAR, 6), (52, 50)
    point = Point.of(frame, LINEAR, float(LINEAR.x_m[at]), float(LINEAR.z_m[at]))
    assert point is not None
    assert point.velocity_m_s == frame.velocity.velocity_m_s[at]
    assert point.wrapped_m_s == frame.velocity.wrapped_velocity_m_s[at]
    assert point.fold == frame.velocity.fold[at] == 2
    assert point.flow
    assert point.coherence == pytest.approx(abs(frame.doppler.r1[at]) / frame.doppler.r0[at])


def test_a_trace_is_the_gates_median_and_nan_without_flow() -> None:
    trace = Trace.at(LINEAR, 2e-3, 16.5e-3, 0, [make_frame(LINEAR, i) for i in (0, 1)])
    silent = Trace.at(LINEAR, 2e-3, 5e-3, 1, [make_frame(LINEAR, 0)])
    assert trace is not None
    assert silent is not None
    frame = make_frame(LINEAR, 1)
    gate = frame.velocity.velocity_m_s[trace.rows, trace.columns]
    assert trace.dealiased_m_s[1] == pytest.approx(float(np.median(gate)))
    assert list(trace.time_s) == pytest.approx([0.0, INTERVAL_S])
    assert np.isnan(silent.dealiased_m_s[0])


def test_a_trace_begins_anew_when_time_goes_back_and_keeps_one_of_a_frame_made_twice() -> None:
    trace = Trace.at(LINEAR, 2e-3, 16.5e-3, 0, [make_frame(LINEAR, i) for i in (0, 1, 2)])
    assert trace is not None
    trace.add(make_frame(LINEAR, 2))
    assert len(trace.time_s) == 3
    trace.add(make_frame(LINEAR, 1))
    assert len(trace.time_s) == 1


def test_the_scale_grows_with_the_flow_and_does_not_shrink() -> None:
    slow, fast = make_frame(LINEAR, 0), make_frame(LINEAR, 6)
    fit = Fit.of([slow])
    grown = fit.grown(fast)
    assert grown.scale_m_s == choose_scale_m_s([fast]) > fit.scale_m_s
    assert grown.grown(slow) == grown


def test_controls_stay_within_their_ranges() -> None:
    controls = DisplayControls().with_(priority=3.0, coherence=-1.0, dynamic_range_db=1000.0)
    assert (controls.priority, controls.coherence, controls.dynamic_range_db) == (1.0, 0.0, 120.0)


@pytest.mark.parametrize("name", map_names())
def test_every_color_table_is_black_at_rest(name: str) -> None:
    table = color_table(name)
    assert (table[:, 128] == 0).all()
    assert (color_table(name, invert=True)[0] == table[0, ::-1]).all()


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("grid", [LINEAR, SECTOR])
@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (1000, 1400), (3840, 2160)])
@pytest.mark.parametrize("chart", [False, True])
def test_nothing_overlaps_in_any_layout_and_millimetres_are_square(name, grid, size, chart) -> None:
    layout = arrange(name, grid, size, chart=chart)
    right = 0.0
    floor = layout.chart[1] if layout.chart else layout.seek[1]
    for panel in layout.panels:
        left, top, end, bottom = panel.image
        assert left >= right
        assert top > layout.header_y + layout.em
        assert bottom + layout.em < floor
        assert panel.bar[0] > end
        right = panel.bar[2]
        place = panel.place
        assert np.ptp(place.x_m) / place.width == pytest.approx(np.ptp(place.z_m) / place.height)
        assert panel.metres(*panel.pixels(0.0, 20e-3)) == pytest.approx((0.0, 20e-3))
    assert right < size[0]


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("grid", [LINEAR, SECTOR])
@pytest.mark.parametrize("size", [(1, 1), (113, 113), (200, 100), (300, 60), (64, 2000), (2000, 64)])
def test_a_window_without_room_draws_what_fits(name: str, grid: ImageGrid, size: tuple[int, int]) -> None:
    desk = Desk(StillPlayer(grid), layout=name)
    for index in range(3):
        desk.receive(desk.player.frame(index))
    desk.add_trace(2e-3, 16.5e-3)
    desk.cursor_px = size[0] / 2, size[1] / 2
    desk.say("a message that is longer than the window is wide", 0.0)
    desk.help = True
    showing = desk.showing(1.0)
    assert showing is not None
    layout = arrange(name, grid, size, chart=True, reserved_px=300.0)
    canvas = Canvas(layout.em)
    draw_furniture(
        canvas, layout, showing.controls, showing.fit, nyquist_m_s=0.3, facts=showing.facts, dealiaser="regions"
    )
    draw_overlays(canvas, layout, showing, grid)
    assert np.isfinite(canvas.vertices).all()
    assert layout.chart is None or (layout.chart[0] < layout.chart[2] and layout.chart[1] < layout.chart[3])


def test_every_action_has_a_key_and_every_key_an_action() -> None:
    assert {name for name, _ in CHORDS.values()} == set(ACTIONS)
    assert len(CHORDS) == sum(len(key.chords) for key in KEYS if key.action)  # no chord twice


@pytest.mark.parametrize("name", sorted(ACTIONS))
@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("n_frames", [0, 3])
def test_every_action_works_before_the_first_frame_and_after(name: str, step: int, n_frames: int) -> None:
    desk = Desk(StillPlayer())
    for index in range(n_frames):
        desk.receive(desk.player.frame(index))
    for _ in range(3):
        act(desk, name, step)
    desk.tick(0.0)


def test_frozen_frames_can_be_stepped_through_and_going_on_shows_what_comes() -> None:
    desk = Desk(StillPlayer())
    for index in range(CYCLE):
        desk.receive(desk.player.frame(index))
    act(desk, "step", -1)
    act(desk, "step", -1)
    assert desk.frozen
    assert desk.frame is not None
    assert desk.frame.stamp.index == CYCLE - 3
    act(desk, "freeze")
    desk.slot.put(desk.player.frame(5), 0.0)
    desk.tick(1.0)
    assert desk.frame.stamp.index == 5
    assert ("play", True) in desk.player.asked


def test_a_frame_that_was_in_the_making_does_not_take_a_frozen_picture_away() -> None:
    desk = Desk(StillPlayer())
    for index in range(4):
        desk.receive(desk.player.frame(index))
    act(desk, "step", -1)
    desk.slot.put(desk.player.frame(4), 0.0)
    desk.tick(1.0)
    assert desk.frame is not None
    assert (desk.frame.stamp.index, desk.cine.index) == (2, 2)
    act(desk, "ends", 1)
    assert desk.frame.stamp.index == 4, "it is kept"
    act(desk, "step", -2)
    again = desk.player.frame(4)  # made again, after a setting was changed
    desk.slot.put(again, 0.0)
    desk.tick(2.0)
    assert desk.frame is again


def test_a_frame_from_the_cine_buffer_says_what_it_was_made_with() -> None:
    desk = Desk(StillPlayer())
    desk.receive(desk.player.frame(0))
    act(desk, "dealiasing")
    act(desk, "wall_filter", 1)
    for name, wall_filter, step in (("regions", "auto", None), ("none", "fir", None), ("regions", "auto", -1)):
        if step is not None:
            act(desk, "step", step)
        elif name == "none":
            desk.receive(desk.player.frame(1))
        showing = desk.showing(0.0)
        assert showing is not None
        assert showing.dealiaser == name
        assert f"wall filter: {wall_filter}" in showing.status


def test_latency_is_that_of_what_is_on_the_screen() -> None:
    desk = Desk(StillPlayer())
    desk.receive(desk.player.frame(0), 1.0, 1.05)
    desk.receive(desk.player.frame(1), 1.1, 1.15)
    assert desk.meter.n_counted == 0
    desk.drawn(1.25)
    desk.drawn(1.3)  # the same picture again
    showing = desk.showing(1.3)
    assert showing is not None
    assert "latency 150 ms" in showing.status
    act(desk, "step", -1)
    desk.drawn(1.4)
    assert desk.meter.n_counted == 1, "what comes from the cine buffer is not new"


def test_dealiasing_goes_off_and_back_to_what_it_was() -> None:
    desk = Desk(StillPlayer())
    act(desk, "dealiaser", 1)
    chosen = desk.player.config.dealias.name
    assert chosen != "regions"
    act(desk, "dealiasing")
    act(desk, "dealiasing")
    assert desk.player.config.dealias.name == chosen
    act(desk, "dealiasing")
    player_refuses = desk.player.config
    act(desk, "dealiasing")
    desk.player.config = player_refuses  # as where the dealiaser cannot be built
    act(desk, "dealiasing")
    assert desk.player.config.dealias.name == chosen


def test_fitting_takes_a_scale_chosen_by_hand_back_and_reset_takes_the_first_one() -> None:
    desk = Desk(StillPlayer())
    desk.first_controls = desk.controls = DisplayControls(scale_m_s=2.0)
    frame = desk.player.frame(6)
    desk.receive(frame)
    act(desk, "scale", -1)
    act(desk, "fit")
    assert desk.fit is not None
    assert desk.controls.scale_m_s is None
    assert desk.fit.scale_m_s == choose_scale_m_s([frame])
    act(desk, "reset")
    assert desk.controls.scale_m_s == 2.0


def test_importing_the_viewer_needs_nothing_and_asking_for_a_window_says_what_to_install() -> None:
    program = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('OpenGL', 'glfw', 'imgui_bundle')))\n"
        "import trueflow.viewer as viewer\n"
        "from trueflow.pipeline.errors import TrueflowError\n"
        "try:\n"
        "    viewer.show(None)\n"
        "except TrueflowError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.count("\n") == 1
    assert "pip install 'trueflow[viewer]'" in done.stdout
    assert not done.stderr


def test_a_live_source_that_is_silent_or_loses_frames_says_so() -> None:
    player = StillPlayer()
    desk = Desk(player)
    desk.receive(make_frame(LINEAR))
    showing = desk.showing(0.0)
    assert showing is not None
    assert not showing.stale
    player.is_stale, player.n_dropped = True, 7  # type: ignore[misc]
    desk.slot.put(make_frame(LINEAR), 0.0)
    desk.slot.put(make_frame(LINEAR), 0.0)
    showing = desk.showing(0.0)
    assert showing is not None
    assert showing.stale
    assert "dropped 8" in showing.status
    desk.freeze(True)
    showing = desk.showing(0.0)
    assert showing is not None
    assert not showing.stale, "a frozen picture is meant to be old"
