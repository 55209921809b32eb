"""Records what is received, and what was made of it, while it is shown.

The threads that receive and process only hand over; one thread of the recorder's own writes. Nothing is left out of a
recording: where the disk cannot keep up, or is full, the recording ends there with a message, whole up to its end, and
the picture goes on. (Waiting for the disk instead would stop the picture; leaving packets out would leave a recording
whose slow time has holes that nobody has seen.) A run that has no picture to keep going may have it wait.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow import __version__
from trueflow.pipeline.config import Config
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame, RfPacket, Stamp
from trueflow.pipeline.live.description import Description
from trueflow.pipeline.live.recorder_file import Part, RecordFile, reason_of
from trueflow.pipeline.live.recorder_format import ANEW, CONFIG, END, FRAME, HEAD, MADE_WITH, PACKET, result_parts

__all__ = ["Recorder", "RecorderStatus"]

logger = logging.getLogger(__name__)

SYNC_INTERVAL_S = 0.4
QUEUE_BYTES = 256 << 20  # 2 s of `femoral` at 30 frames/s: longer than a disk pauses, shorter than a memory fills
FEWEST_WAITING = 4  # packets that may wait however large they are
LONGEST_CLOSE_S = 60.0


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """How a recording is doing.

    Parameters
    ----------
    n_packets, n_frames, n_bytes : int
        Written.
    n_missed : int
        Packets that came once the recording had ended by itself, or that were waiting then.
    behind_s : float
        How long the oldest of what waits to be written has been waiting.
    message : str or None
        Why the recording has ended by itself.
    """

    n_packets: int
    n_frames: int
    n_bytes: int
    n_missed: int
    behind_s: float
    message: str | None


@dataclass(slots=True, eq=False)
class _Item:
    kind: bytes
    parts: list[Part]
    n_bytes: int
    since_s: float
    stamp: Stamp | None = None
    revision: int = 0
    flags: int = 0
    buffer: NDArray[Any] | None = None


class Recorder:
    """Writes a recording: a tap for packets and a sink for frames; a context manager.

    Parameters
    ----------
    path : str or Path
        A new file; by custom NAME.tfr.
    stream : Description
        What the packets are.
    results : bool
        Keep the maps of every frame as well, not only what they were made from.
    queue_bytes : int
        What may wait to be written.
    wait : bool
        Where the queue is full, wait for the disk instead of ending the recording.
    ended : callable, optional
        Called with the message, from any thread, where the recording ends by itself.

    Raises
    ------
    TrueflowError
        Where the file exists or cannot be written. Later failures end the recording: see `status`.
    """

    def __init__(
        self,
        path: str | Path,
        stream: Description,
        *,
        results: bool = False,
        queue_bytes: int = QUEUE_BYTES,
        wait: bool = False,
        ended: Callable[[str], None] | None = None,
    ) -> None:
        self.path = Path(path)
        self._layout, self._results, self._wait, self._on_end = stream.layout, results, wait, ended
        self._most_bytes = max(queue_bytes, FEWEST_WAITING * self._layout.n_bytes)
        head = {
            "software": __version__,
            "began": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "monotonic_s": time.monotonic(),
            "stream": json.loads(stream.pack()),
        }
        self._file = RecordFile(self.path)
        try:
            self._file.append(HEAD, [json.dumps(head).encode()])
        except OSError as error:
            self._file.discard()
            raise TrueflowError("cannot be written", where=str(self.path), found=error.strerror) from error
        self._changed = threading.Condition()
        self._queue: deque[_Item] = deque()
        self._free: list[NDArray[Any]] = []
        self._waiting_bytes = self._revision = 0
        self._n_packets = self._n_frames = self._n_missed = 0
        self._message: str | None = None
        self._closing = self._dead = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def status(self) -> RecorderStatus:
        """How it is doing; from any thread."""
        with self._changed:
            behind_s = time.monotonic() - self._queue[0].since_s if self._queue else 0.0
            return RecorderStatus(
                self._n_packets, self._n_frames, self._file.n_bytes, self._n_missed, behind_s, self._message
            )

    def raw(self, packet: RfPacket) -> None:
        """Record a packet; its samples are copied."""
        samples = packet.samples
        if samples.shape != self._layout.shape or samples.dtype != self._layout.dtype:
            raise TrueflowError(
                "packet of another shape",
                where=f"packet {packet.stamp.index}",
                found=f"{samples.dtype} {samples.shape}",
                expected=f"{self._layout.dtype} {self._layout.shape}",
            )
        buffer = self._lease()
        if buffer is None:
            return
        np.copyto(buffer, samples)
        self._put(_Item(PACKET, [buffer], buffer.nbytes, time.monotonic(), packet.stamp, buffer=buffer))

    def changed(self, config: Config, *, anew: bool, made_with: int | None) -> None:
        """Record the settings that are in force from the next frame on; see `FrameSink.changed`."""
        text = config.to_toml().encode()
        self._revision += 1
        flags, stamp = ANEW * anew, None
        if made_with is not None:
            flags, stamp = flags | MADE_WITH, Stamp(made_with)
        self._put(_Item(CONFIG, [text], len(text), time.monotonic(), stamp, self._revision, flags))

    def result(self, frame: ColorFrame) -> None:
        """Record that a packet was processed, with which settings, and what came out where that was asked for."""
        maps = result_parts(frame) if self._results else []
        n_bytes = sum(part.nbytes for part in maps)
        self._put(_Item(FRAME, [*maps], n_bytes, time.monotonic(), frame.stamp, self._revision))

    def close(self) -> None:
        """Write what waits, and end the recording. More than once does no harm."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(LONGEST_CLOSE_S)
        if self._thread.is_alive():
            self._end(f"{self.path}: the disk does not answer; the end of the recording may be missing")
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lease(self) -> NDArray[Any] | None:
        """Memory for a packet; None where it will not be recorded."""
        n_bytes = self._layout.n_bytes
        with self._changed:
            while self._wait and self._accepts and self._waiting_bytes + n_bytes > self._most_bytes:
                self._changed.wait()
            if not self._accepts:
                self._n_missed += 1
                return None
            if self._waiting_bytes + n_bytes <= self._most_bytes:
                return self._free.pop() if self._free else np.empty(self._layout.shape, self._layout.dtype)
            self._n_missed += 1
            n_waiting = len(self._queue)
        self._end(f"{self.path}: the disk is too slow, {n_waiting} records were waiting; the recording ends with those")
        return None

    @property
    def _accepts(self) -> bool:
        return self._message is None and not self._closing and not self._dead

    def _put(self, item: _Item) -> None:
        with self._changed:
            if not self._accepts:
                self._n_missed += item.kind == PACKET
                return
            self._queue.append(item)
            self._waiting_bytes += item.n_bytes
            self._changed.notify_all()

    def _end(self, message: str) -> None:
        """End by itself, for the first reason there is."""
        with self._changed:
            if self._message is not None:
                return
            self._message = message
            self._changed.notify_all()
        logger.error("%s", message)
        if self._on_end is not None:
            self._on_end(message)

    def _run(self) -> None:
        try:
            self._write_until_closed()
        except OSError as error:
            self._abandon()
            self._end(f"{self.path}: {reason_of(error)}; the recording ends here, what came before it can be read")
        except BaseException as error:
            self._abandon()
            self._failure = error
            self._end(f"{self.path}: the recording has ended: {error!r}")
        finally:
            self._write_last_words()

    def _write_until_closed(self) -> None:
        due_s = time.monotonic() + SYNC_INTERVAL_S
        while True:
            with self._changed:
                while not self._queue and not self._closing and time.monotonic() < due_s:
                    self._changed.wait(due_s - time.monotonic())
                item = self._queue[0] if self._queue else None
                finished = item is None and self._closing
            if item is not None:
                self._file.append(item.kind, item.parts, stamp=item.stamp, revision=item.revision, flags=item.flags)
                self._written(item)
            if finished or time.monotonic() >= due_s:
                self._file.sync(wait=finished)
                due_s = time.monotonic() + SYNC_INTERVAL_S
            if finished:
                return

    def _written(self, item: _Item) -> None:
        with self._changed:
            self._queue.popleft()
            self._waiting_bytes -= item.n_bytes
            self._n_packets += item.kind == PACKET
            self._n_frames += item.kind == FRAME
            if item.buffer is not None:
                self._free.append(item.buffer)
            self._changed.notify_all()

    def _abandon(self) -> None:
        with self._changed:
            self._dead = True
            self._n_missed += sum(item.kind == PACKET for item in self._queue)
            self._queue.clear()
            self._free.clear()
            self._waiting_bytes = 0
            self._changed.notify_all()

    def _write_last_words(self) -> None:
        status = self.status
        words = {"message": status.message, "n_packets": status.n_packets, "n_frames": status.n_frames}
        try:
            self._file.append(END, [json.dumps(words).encode()])
            self._file.sync()
        except OSError:  # the reader sees that they are missing
            logger.debug("no last words in %s", self.path, exc_info=True)
        self._file.close()
