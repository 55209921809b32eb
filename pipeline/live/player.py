"""A live source as the viewer sees it: frames come by themselves, and there is nothing to seek in."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.clutter import CLUTTER_FILTERS
from trueflow.pipeline.config import Config
from trueflow.pipeline.dealias import DEALIASERS
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.live.runner import Runner
from trueflow.pipeline.live.source import LiveSource
from trueflow.pipeline.live.worker import Deliver

__all__ = ["LivePlayer"]


class LivePlayer:
    """Shows a live source; a context manager. Freezing stops the picture: the run, and whoever records it, go on.

    Parameters
    ----------
    source : LiveSource
        Owned by the player from now on.
    config : Config
    device : str
    n_threads : int, optional
    options
        Of the `Runner`: sinks, taps, on_error and so on.

    Raises
    ------
    TrueflowError
        Where the settings do not fit the source.
    """

    n_frames = None

    def __init__(
        self, source: LiveSource, config: Config, *, device: str = "cpu", n_threads: int | None = None, **options: Any
    ) -> None:
        self.name = source.name
        self._going, self._failure_told = True, False
        self._out: Deliver | None = None

        def make_flow(config: Config) -> ColorFlow:
            return ColorFlow(source.acquisition, config, grid=source.grid, device=device, n_threads=n_threads)

        self.runner = Runner(source, make_flow, config, deliver=self._deliver, **options)
        self.grid: ImageGrid = self.runner.flow.grid
        self.acquisition: Acquisition = config.acquisition.applied_to(source.acquisition)
        self.choices = {"clutter.name": list(CLUTTER_FILTERS), "dealias.name": list(DEALIASERS)}

    @property
    def config(self) -> Config:
        """The settings in force."""
        return self.runner.config

    @property
    def position(self) -> int:
        """The frame that was made last."""
        frame = self.runner.frame
        return 0 if frame is None else frame.stamp.index

    @property
    def frame_rate_hz(self) -> float:
        """That the source means to send at; what the acquisition could do at most, where it does not say."""
        return self.runner.source.frame_rate_hz or 1.0 / self.acquisition.packet_s

    @property
    def n_dropped(self) -> int:
        """Packets that were lost on the way, dropped before the chain, or failed in it."""
        return self.runner.n_missing

    @property
    def is_stale(self) -> bool:
        """Whether nothing has come for too long, or nothing will."""
        return self.runner.is_stale

    def start(self, deliver: Deliver) -> None:
        """Begin."""
        self._out = deliver
        self.runner.start()

    def play(self, going: bool) -> None:
        """Go on, or freeze the picture."""
        self._going = going

    def seek(self, index: int) -> None:
        """There is nothing to seek in."""

    def pace(self, speed: float, loop: bool) -> None:
        """The source has its own."""

    def change(self, settings: Sequence[str]) -> None:
        """Apply settings between two frames, once the chain has been planned anew."""
        try:
            self.runner.change(self.runner.wish.override(settings))
        except TrueflowError as error:
            self.runner.say(str(error))

    def frame(self, index: int) -> ColorFrame:
        """Of files only."""
        raise TrueflowError("a live source has no frames to choose from", where=self.name)

    def take_message(self) -> str | None:
        """What the user should read; what is nobody's mistake but ours is raised here."""
        message = self.runner.take_message()
        if message is not None:
            return message
        failure, told = self.runner.failure, self._failure_told
        if failure is None or (told and isinstance(failure, TrueflowError)):
            return None
        self._failure_told = True
        if not isinstance(failure, TrueflowError):
            raise failure
        return str(failure)

    def close(self) -> None:
        """End the run."""
        self.runner.stop()

    def _deliver(self, frame: ColorFrame, began_s: float, on_device: ColorFrame | None) -> None:
        if self._going and self._out is not None:
            self._out(frame, began_s, on_device)

    def __enter__(self) -> LivePlayer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
