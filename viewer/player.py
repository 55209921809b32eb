"""What the viewer asks of whoever makes frames: a file's playback, a live scanner, a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.config import Config
from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.grid import ImageGrid

__all__ = ["Deliver", "Player"]

# Gets a frame with arrays on the CPU, when its packet was in memory (time.monotonic, s), and where it was made on a GPU
# a copy there that nothing writes to any more, or None. Never blocks.
Deliver = Callable[[ColorFrame, float, "ColorFrame | None"], None]


class Player(Protocol):
    """Makes frames in a thread of its own; every method returns at once."""

    @property
    def name(self) -> str:
        """What is being played."""

    @property
    def acquisition(self) -> Acquisition:
        """Probe, frequencies, clocks of the packets."""

    @property
    def grid(self) -> ImageGrid:
        """Pixels of the frames."""

    @property
    def config(self) -> Config:
        """The settings in force."""

    @property
    def choices(self) -> Mapping[str, Sequence[str]]:
        """Settings that take names, as in "dealias.name", and those names."""

    @property
    def n_frames(self) -> int | None:
        """Of the file; None for a live source, which has no seek bar."""

    @property
    def position(self) -> int:
        """The frame that was made last."""

    @property
    def frame_rate_hz(self) -> float:
        """Of the recording, in real time."""

    @property
    def n_dropped(self) -> int:
        """Frames of a live source that were never made: lost on the way, or more than the chain had time for."""

    @property
    def is_stale(self) -> bool:
        """Whether a live source has been silent for so long that its last frame does not show what is."""

    def start(self, deliver: Deliver) -> None:
        """Begin."""

    def play(self, going: bool) -> None:
        """Go on, or pause."""

    def seek(self, index: int) -> None:
        """Go on with this frame; paused: make it."""

    def pace(self, speed: float, loop: bool) -> None:
        """Play at this multiple of real time, if the chain is fast enough; begin again at the end, or stop there."""

    def change(self, settings: Sequence[str]) -> None:
        """Apply `section.key=value` settings before the next frame; paused: make the current frame again."""

    def frame(self, index: int) -> ColorFrame:
        """Make one frame here and now, without the thread; of files only."""

    def take_message(self) -> str | None:
        """What went wrong since the last call, in one line."""

    def close(self) -> None:
        """End the thread."""
