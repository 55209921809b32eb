"""A recording that plays in a thread of its own: packets through the chain, at the pace of real time at most."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

import numpy as np

from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.clutter import CLUTTER_FILTERS
from trueflow.pipeline.config import Config
from trueflow.pipeline.dealias import DEALIASERS
from trueflow.pipeline.download import kept_on_device, on_cpu
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame, RfPacket, Stamp
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.sources import Framing, Recording

__all__ = ["FilePlayer"]

Deliver = Callable[[ColorFrame, float, "ColorFrame | None"], None]


class FilePlayer:
    """Plays a recording; a context manager. Every method returns at once, frames come from its own thread.

    Parameters
    ----------
    recording : Recording
        Stays open while it plays, and is read by the player's thread alone.
    framing : Framing
    config : Config
    device : str
    n_threads : int, optional
    limit : int, optional
        Frames of the recording that are played.

    Raises
    ------
    TrueflowError
        Where the settings do not fit the recording.
    """

    def __init__(
        self,
        recording: Recording,
        framing: Framing,
        config: Config,
        *,
        device: str = "cpu",
        n_threads: int | None = None,
        limit: int | None = None,
    ) -> None:
        self._recording, self._decimate = recording, framing.decimate
        recording.acquisition = config.acquisition.applied_to(recording.acquisition)
        self.acquisition, self._hop, starts = framing.resolve(recording)
        self._starts = starts[:limit]
        if not self._starts:
            raise TrueflowError("no complete burst", where=str(recording.path))
        self._asked, self._device, self._n_threads = config, device, n_threads
        self._flow = self._make_flow(config)
        self._wake = threading.Condition()
        self._next, self._position = 0, 0
        self._going, self._ending, self._once = True, False, False
        self._speed, self._loop = 1.0, True
        self._built = config
        self._message: str | None = None
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self.choices = {"clutter.name": list(CLUTTER_FILTERS), "dealias.name": list(DEALIASERS)}
        """Settings that take names, and those names."""

    n_dropped, is_stale = 0, False  # a file waits for us

    @property
    def name(self) -> str:
        """The recording's."""
        return self._recording.path.name

    @property
    def grid(self) -> ImageGrid:
        """Pixels of the frames."""
        return self._flow.grid

    @property
    def config(self) -> Config:
        """The settings in force."""
        return self._asked

    @property
    def n_frames(self) -> int:
        """How many there are."""
        return len(self._starts)

    @property
    def position(self) -> int:
        """The frame that was made last."""
        return self._position

    @property
    def frame_rate_hz(self) -> float:
        """In real time: from the times of the packets."""
        if len(self._starts) < 2:
            return self.acquisition.slow_time_rate_hz / self._hop
        times_s = [self._recording.slow_time_s(start) for start in self._starts]
        return 1.0 / float(np.median(np.diff(times_s)))

    def start(self, deliver: Deliver) -> None:
        """Begin; `deliver` gets each frame and when its packet was in memory."""
        self._thread = threading.Thread(target=self._run, args=(deliver,), name="playback", daemon=True)
        self._thread.start()

    def play(self, going: bool) -> None:
        """Go on, or pause."""
        with self._wake:
            self._going = going
            self._wake.notify()

    def seek(self, index: int) -> None:
        """Go on with this frame; paused: make it."""
        with self._wake:
            self._next = min(max(index, 0), self.n_frames - 1)
            self._position, self._once = self._next, True
            self._wake.notify()

    def pace(self, speed: float, loop: bool) -> None:
        """Play at this multiple of real time; begin again at the end, or stop there."""
        with self._wake:
            self._speed, self._loop = speed, loop
            self._wake.notify()

    def change(self, settings: Sequence[str]) -> None:
        """Apply settings before the next frame; paused: make the current frame again."""
        with self._wake:
            try:
                self._asked = self._asked.override(settings)
            except TrueflowError as error:
                self._message = str(error)
                return
            if not self._going:
                self._next, self._once = self._position, True
            self._wake.notify()

    def take_message(self) -> str | None:
        """What went wrong since the last call; what is nobody's mistake but ours is raised here, and not lost."""
        if self._failure is not None:
            raise self._failure
        message, self._message = self._message, None
        return message

    def close(self) -> None:
        """End the thread."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> FilePlayer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def frame(self, index: int) -> ColorFrame:
        """Make one frame here and now, without the thread."""
        return on_cpu(self._flow(self._packet(index)), self._flow.device.download)

    def _make_flow(self, config: Config) -> ColorFlow:
        return ColorFlow(
            self.acquisition, config, grid=self._recording.grid, device=self._device, n_threads=self._n_threads
        )

    def _run(self, deliver: Deliver) -> None:
        try:
            self._play(deliver)
        except Exception as error:
            self._failure = error

    def _play(self, deliver: Deliver) -> None:
        due_s = time.monotonic()
        before = -1
        while True:
            with self._wake:
                due_s = self._wait(due_s)
                if self._ending:
                    return
                asked, index, self._once = self._asked, self._next, False
                self._next = (index + 1) % self.n_frames
                if index + 1 == self.n_frames and not self._loop:
                    self._going, self._next = False, index
                due_s = max(due_s + self._interval_s(index) / self._speed, time.monotonic() - 0.5)
            try:
                changed = self._apply(asked)
                packet = self._packet(index, continuous=index == before + 1 and not changed)
                began_s = time.monotonic()
                made = self._flow(packet)
                kept = kept_on_device(made)  # before the download, which waits for it too
                deliver(on_cpu(made, self._flow.device.download), began_s, kept)
                before, self._position = index, index
            except TrueflowError as error:
                self._message = str(error)
                with self._wake:
                    self._going = False

    def _wait(self, due_s: float) -> float:
        """Until there is something to do; the time at which the next frame is due, which a pause puts off."""
        while not self._ending and not self._once:
            left_s = due_s - time.monotonic()
            if not self._going:
                self._wake.wait()
                due_s = time.monotonic()
            elif left_s > 0:
                self._wake.wait(left_s)
            else:
                break
        return time.monotonic() if self._once else due_s

    def _apply(self, config: Config) -> bool:
        """A new chain where settings have changed; what does not fit is said, and the old one stays."""
        if config == self._built:
            return False
        try:
            self._flow = self._make_flow(config)
            self._built = config
        except TrueflowError as error:
            with self._wake:
                self._message, self._asked = str(error), self._built
            return False
        return True

    def _packet(self, index: int, *, continuous: bool = False) -> RfPacket:
        start, n = self._starts[index], self.acquisition.n_ensemble
        span = (n - 1) * self._decimate + 1
        samples = np.ascontiguousarray(self._recording.read(start, start + span)[:: self._decimate])
        follows = index > 0 and start - self._starts[index - 1] == n * self._decimate
        stamp = Stamp(
            index,
            acquisition_time_s=self._recording.slow_time_s(start),
            continuous=continuous and follows and self._recording.runs_on(start),
        )
        return RfPacket(samples, stamp)

    def _interval_s(self, index: int) -> float:
        """From this frame to the next one, in real time."""
        if index + 1 >= self.n_frames:
            return 1.0 / self.frame_rate_hz
        return self._recording.slow_time_s(self._starts[index + 1]) - self._recording.slow_time_s(self._starts[index])
