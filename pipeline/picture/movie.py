"""MP4 movies: H.264, 4:2:0, BT.709, playable wherever video plays."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import av.video.stream
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.output import write_errors

__all__ = ["HIGHEST_FPS", "LOWEST_FPS", "MovieWriter", "playback_fps"]

LOWEST_FPS, HIGHEST_FPS = 1.0, 60.0
# Few look-ahead frames: they are what memory goes into. A fixed number of threads: x264's output depends on it, and
# two runs of one recording should give the same file.
ENCODER = {"crf": "18", "preset": "veryfast", "threads": "2"}


def playback_fps(frame_rate_hz: float) -> float:
    """The rate to play at: the real one, within 1 to 60 frames/s; faster recordings are slowed down."""
    return min(max(frame_rate_hz, LOWEST_FPS), HIGHEST_FPS)


class MovieWriter:
    """Encodes pictures to an MP4 file one at a time; a context manager.

    Parameters
    ----------
    path : str or Path
    fps : float
    target : str or Path, optional
        The name to use in errors; default `path`.
    """

    def __init__(self, path: str | Path, *, fps: float, target: str | Path | None = None) -> None:
        self._target = Path(target or path)
        self._rate = Fraction(fps).limit_denominator(1000)
        self._stream: av.video.stream.VideoStream | None = None
        with write_errors(self._target):
            self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})

    def write(self, picture: NDArray[np.uint8]) -> None:
        """Append a picture, (rows, columns, 3) uint8 sRGB; all of one size, rows and columns even."""
        rows, columns = picture.shape[:2]
        if self._stream is None:
            if rows % 2 or columns % 2:
                raise TrueflowError("odd size", where="movie", found=(rows, columns), expected="even rows and columns")
            self._stream = self._open_stream(rows, columns)
        elif (rows, columns) != (self._stream.height, self._stream.width):
            raise TrueflowError(
                "size changes", where="movie", found=(rows, columns), expected=(self._stream.height, self._stream.width)
            )
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        with write_errors(self._target):
            self._container.mux(self._stream.encode(frame))

    def _open_stream(self, rows: int, columns: int) -> av.video.stream.VideoStream:
        stream = self._container.add_stream("libx264", rate=self._rate, options=dict(ENCODER))
        stream.height, stream.width, stream.pix_fmt = rows, columns, "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        return stream

    def close(self) -> None:
        """Flush the encoder and finish the file."""
        with write_errors(self._target):
            if self._stream is not None:
                self._container.mux(self._stream.encode(None))
                self._stream = None
            self._container.close()

    def __enter__(self) -> MovieWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:  # the file is thrown away
            self._container.close()
