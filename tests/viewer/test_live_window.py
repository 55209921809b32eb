"""A live source in a real window: pictures come, silence shows, and closing the window ends the run."""

from __future__ import annotations

import time
from collections.abc import Callable

from live_packets import ToyFrontEnd, live_packet

from trueflow.pipeline import Acquisition, Config, PlaneWave, Probe
from trueflow.pipeline.live.player import LivePlayer
from trueflow.viewer.desk import Desk
from trueflow.viewer.window import Window

SMALL = Config().override(["grid.n_x=24", "grid.n_z=32", "clutter.name=polynomial"])
ACQUISITION = Acquisition(
    Probe.linear(32, pitch_m=0.3e-3, center_frequency_hz=5e6, bandwidth_fraction=0.6),
    (PlaneWave(0.0),),
    sampling_frequency_hz=20e6,
    center_frequency_hz=5e6,
    prf_hz=4e3,
    n_samples=400,
    n_ensemble=8,
)


def pump(window: Window, until: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 20.0
    while not until():
        assert time.monotonic() < end_s
        window._glfw.wait_events_timeout(0.01)
        window.step()


def test_a_live_source_shows_and_closing_the_window_ends_it(display: str) -> None:
    source = ToyFrontEnd(ACQUISITION)
    player = LivePlayer(source, SMALL, silent_s=0.2)
    desk = Desk(player, layout="single")
    with Window(desk, (480, 360)) as window:
        player.start(window.deliver)
        for index in range(3):
            source.waiting.append(live_packet(ACQUISITION, index))
            pump(window, lambda index=index: desk.frame is not None and desk.frame.stamp.index == index)
        showing = desk.showing(time.monotonic())
        assert showing is not None
        assert showing.seek is None, "there is nothing to seek in"
        pump(window, lambda: player.is_stale)
        window._glfw.set_window_should_close(window._window, True)
        window.run()
    assert source.ended, "close() of the toy says so"
    assert not any(thread.is_alive() for thread in player.runner._threads)
