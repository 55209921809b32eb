"""How many frames a second the viewer shows, and what of that is the rasteriser's."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from trueflow.benchmarks.timing import Timing
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.config import Config
from trueflow.pipeline.download import on_cpu
from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.sources import Framing, open_source, packets

__all__ = ["SOURCE", "Replay", "ViewerResult", "precompute", "run_viewer"]

SOURCE = "sim://femoral?frames={frames}&fps={frames}&seed=1"  # one heartbeat a second
SETTINGS = ("grid.n_x=192", "grid.n_z=256", "display.dynamic_range_db=55", "display.gain_db=-8")
WARMUP_S = 1.0


@dataclass(frozen=True, slots=True)
class ViewerResult:
    """What one way of drawing takes.

    Parameters
    ----------
    row : str
    frames_per_s : float
        Pictures on the screen; with frames, distinct ones.
    timing : Timing
        Wall time of one picture, from the frame in the slot to the buffers swapped.
    python_s : float
        Processor time of the drawing thread per picture: Python, PyOpenGL and the driver's front end.
    process_s : float
        Of all threads of the process: with a software rasteriser its work is in here.
    """

    row: str
    frames_per_s: float
    timing: Timing
    python_s: float
    process_s: float


class Replay:
    """A player of frames that are there already: it delivers them in a thread of its own, in a circle."""

    n_dropped, is_stale = 0, False

    def __init__(self, flow: ColorFlow, frames: Sequence[ColorFrame], *, rate_hz: float) -> None:
        self.name, self.frame_rate_hz = "benchmark", rate_hz
        self.acquisition, self.grid, self.config = flow.acquisition, flow.grid, flow.config
        self.choices: dict[str, Sequence[str]] = {"clutter.name": [], "dealias.name": []}
        self.n_frames, self.position = len(frames), 0
        self._frames, self._ending = frames, threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, deliver: Callable[[ColorFrame, float, ColorFrame | None], None]) -> None:
        """Begin."""

        def run() -> None:
            while not self._ending.wait(1.0 / self.frame_rate_hz):
                self.position = (self.position + 1) % self.n_frames
                deliver(self._frames[self.position], time.monotonic(), None)

        self._thread = threading.Thread(target=run, name="replay", daemon=True)
        self._thread.start()

    def frame(self, index: int) -> ColorFrame:
        """One of the frames."""
        return self._frames[index]

    def close(self) -> None:
        """End the thread."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def play(self, going: bool) -> None:
        """Does not pause."""

    def seek(self, index: int) -> None:
        """Does not seek."""

    def pace(self, speed: float, loop: bool) -> None:
        """Has one pace."""

    def change(self, settings: Sequence[str]) -> None:
        """Has no chain."""

    def take_message(self) -> str | None:
        """Nothing goes wrong."""
        return None


def precompute(n_frames: int, advance: Callable[[int, int], None]) -> tuple[ColorFlow, list[ColorFrame]]:
    """Frames of the `femoral` workload, 192 x 256 pixels, one heartbeat."""
    with open_source(SOURCE.format(frames=n_frames)) as recording:
        acquisition, total, stream = packets(recording, Framing())
        flow = ColorFlow(acquisition, Config().override(SETTINGS), grid=recording.grid)
        frames = []
        for packet in stream:
            frames.append(on_cpu(flow(packet), flow.device.download))
            advance(len(frames), total)
    return flow, frames


def run_viewer(player: Replay, *, layout: str, size: tuple[int, int], seconds: float) -> tuple[str, list[ViewerResult]]:
    """Time pictures in a real window: empty ones, the same frame again, distinct frames.

    Returns
    -------
    renderer : str
        Version and name of what draws.
    results : list of ViewerResult
    """
    from trueflow.viewer import gl
    from trueflow.viewer.desk import Desk
    from trueflow.viewer.window import Window

    desk = Desk(player, layout=layout)
    with Window(desk, size) as window:
        glfw: Any = window._glfw
        glfw.swap_interval(0)
        renderer = gl.describe()
        empty = _time("empty window", window.draw_empty, seconds)
        desk.receive(player.frame(0))
        same = _time("same frame again", lambda: _redraw(window), seconds)
        player.start(window.deliver)
        distinct = _time("distinct frames", lambda: _next(window), seconds)
    return renderer, [empty, same, distinct]


def _redraw(window: Any) -> bool:
    window.stir()
    return bool(window.step())


def _next(window: Any) -> bool:
    before = window.desk.frame
    window._glfw.wait_events_timeout(0.05)
    window.step()
    return window.desk.frame is not before


def _time(row: str, draw: Callable[[], bool], seconds: float) -> ViewerResult:
    end_s = time.perf_counter() + min(WARMUP_S, seconds)
    while time.perf_counter() < end_s:
        draw()
    walls_s: list[float] = []
    began_s, thread_s, process_s = time.perf_counter(), time.thread_time(), _process_s()
    while time.perf_counter() - began_s < seconds or not walls_s:
        start_s = time.perf_counter()
        if draw():
            walls_s.append(time.perf_counter() - start_s)
    n, wall_s = len(walls_s), time.perf_counter() - began_s
    return ViewerResult(
        row, n / wall_s, Timing.of(walls_s), (time.thread_time() - thread_s) / n, (_process_s() - process_s) / n
    )


def _process_s() -> float:
    times = os.times()
    return times.user + times.system
