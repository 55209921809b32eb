"""Screenshots and movies of what is on the screen, without the controls."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.output import Outputs, write_errors
from trueflow.viewer.desk import Desk
from trueflow.viewer.scene import Scene

__all__ = ["MOVIE_FPS", "Recorder", "save_screenshot"]

MOVIE_FPS = 30.0
WAITING_PICTURES = 16  # beyond that the encoder is too slow, and pictures are left out
LONGEST_GAP = 30  # pictures a still is repeated for
LEAST_SIDE_PX = 16


def new_path(folder: Path, suffix: str) -> Path:
    """A name that nothing has yet."""
    stem = f"trueflow_{datetime.now():%Y%m%d_%H%M%S}"
    paths = [folder / f"{stem}{number}{suffix}" for number in ("", *(f"_{n}" for n in range(2, 100)))]
    return next((path for path in paths if not path.exists()), paths[0])


def save_screenshot(desk: Desk, scene: Scene, size: tuple[int, int], now_s: float) -> None:
    """Write what is shown as PNG, and say where."""
    showing = desk.showing(now_s)
    assert showing is not None
    path = new_path(desk.folder, ".png")
    try:
        with Outputs() as outputs:
            part = outputs.add(path)
            with write_errors(path):
                Image.fromarray(scene.picture(replace(showing, message=""), size)).save(part, format="PNG")
    except TrueflowError as error:
        desk.say(str(error), now_s)
    else:
        desk.say(f"screenshot: {path}", now_s)


class Recorder:
    """Encodes pictures to MP4 in a thread of its own; `begin` and `end` it.

    Parameters
    ----------
    desk : Desk
        Is told what happens.
    path : Path
    size : (int, int)
        Of the window; the movie has even sides.
    """

    def __init__(self, desk: Desk, path: Path, size: tuple[int, int]) -> None:
        self._desk, self._path, self._size = desk, path, size
        self._pictures: queue.Queue[tuple[NDArray[np.uint8], int] | None] = queue.Queue(WAITING_PICTURES)
        self._began_s: float | None = None
        self._n_written = 0
        self._trouble: str | None = None
        self._outputs = Outputs()
        self._part = self._outputs.add(path)
        self._thread = threading.Thread(target=self._encode, name="recorder", daemon=True)
        self._thread.start()

    @classmethod
    def begin(cls, desk: Desk, size: tuple[int, int]) -> Recorder | None:
        """A recorder that runs; None, and a message, where the file cannot be made."""
        if min(size) < LEAST_SIDE_PX:
            desk.say(f"no movie: a window of {size[0]} x {size[1]} pixels is too small")
            return None
        try:
            recorder = cls(desk, new_path(desk.folder, ".mp4"), size)
        except TrueflowError as error:
            desk.say(str(error))
            return None
        desk.recording = True
        return recorder

    def fits(self, size: tuple[int, int]) -> bool:
        """Whether it can go on: a movie has one size, and a disk an end."""
        return size == self._size and self._trouble is None

    def capture(self, draw: Callable[[tuple[int, int]], NDArray[np.uint8]], now_s: float) -> None:
        """Draw and keep a picture if the movie's clock asks for one."""
        if self._began_s is None:
            self._began_s = now_s
        due = int((now_s - self._began_s) * MOVIE_FPS) + 1 - self._n_written
        if due < 1 or self._pictures.full():
            return
        repeats = min(due, LONGEST_GAP)
        self._n_written += due
        self._pictures.put((draw((self._size[0] & ~1, self._size[1] & ~1)), repeats))

    def end(self) -> None:
        """Finish the file, or throw it away where writing failed."""
        self._pictures.put(None)
        self._thread.join()
        self._desk.recording = False
        trouble = self._trouble or (None if self._n_written else "nothing was recorded")
        try:
            self._outputs.__exit__(None if trouble is None else TrueflowError, None, None)
        except TrueflowError as error:
            trouble = str(error)
        self._desk.say(trouble or f"movie: {self._path}")

    def _encode(self) -> None:
        from trueflow.pipeline.picture.movie import MovieWriter

        try:
            with MovieWriter(self._part, fps=MOVIE_FPS, target=self._path) as movie:
                while (item := self._pictures.get()) is not None:
                    for _ in range(item[1]):
                        movie.write(item[0])
        except Exception as error:  # whatever it is: half a movie must not pass for one, nor be waited for in vain
            self._trouble = str(error) if isinstance(error, TrueflowError) else f"movie: {error!r}"
            while self._pictures.get() is not None:  # the window must not wait for a queue that nobody empties
                pass
