"""Sinks that draw: one picture, or a movie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from PIL import Image

from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.output import write_errors
from trueflow.pipeline.picture.draw import Painter
from trueflow.pipeline.picture.movie import MovieWriter
from trueflow.pipeline.sources import Truth

__all__ = ["MakePainter", "MovieSink", "PictureSink"]

MakePainter = Callable[[Sequence[ColorFrame]], Painter]

# Frames a movie holds back until its color scale is chosen: more would cost memory, fewer could miss the systole.
SCALE_FRAMES = 16


class PictureSink:
    """Writes one frame as PNG.

    Parameters
    ----------
    path : Path
    make_painter : callable
        A painter from the frames that settle its color scale.
    index : int
        Which frame, from 0.
    target : Path
        The name to use in errors.
    """

    def __init__(self, path: Path, make_painter: MakePainter, *, index: int, target: Path) -> None:
        self._path, self._make_painter, self._index, self._target = path, make_painter, index, target

    def write(self, frame: ColorFrame, truth: Truth | None = None) -> None:
        """Draw the frame if it is the one."""
        if frame.stamp.index == self._index:
            picture = Image.fromarray(self._make_painter([frame])(frame))
            with write_errors(self._target):
                picture.save(self._path, format="PNG")


class MovieSink:
    """Writes all frames as MP4, with the color scale of the first 16; a context manager.

    Parameters
    ----------
    path : Path
    make_painter : callable
        A painter from the frames that settle its color scale.
    fps : float
    target : Path
        The name to use in errors.
    """

    def __init__(self, path: Path, make_painter: MakePainter, *, fps: float, target: Path) -> None:
        self._movie = MovieWriter(path, fps=fps, target=target)
        self._make_painter = make_painter
        self._held: list[ColorFrame] = []
        self._painter: Painter | None = None

    def write(self, frame: ColorFrame, truth: Truth | None = None) -> None:
        """Append the frame."""
        if self._painter is not None:
            self._movie.write(self._painter(frame))
            return
        self._held.append(frame)
        if len(self._held) == SCALE_FRAMES:
            self._release()

    def _release(self) -> None:
        self._painter = self._make_painter(self._held)
        for frame in self._held:
            self._movie.write(self._painter(frame))
        self._held.clear()

    def __enter__(self) -> MovieSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._movie.__exit__(kind, error, trace)
            return
        with self._movie:
            if self._held:
                self._release()
