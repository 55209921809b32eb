"""A front end in another process of this machine, over shared memory: a ring of slots that it writes and we read.

The writer never waits. Each slot carries a turn, odd while it is written and even when it is whole, that names the
packet in it; a reader looks at it before and after it copies, and so notices where the writer has come round.
"""

from __future__ import annotations

import platform
import time
import zlib
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import Stamp
from trueflow.pipeline.live.described import DescribedSource
from trueflow.pipeline.live.description import Description
from trueflow.pipeline.live.numbers import Numbers
from trueflow.pipeline.live.shared_memory_segment import (
    ALIGNMENT,
    ENDED,
    SCHEME,
    WORD_PROCESS,
    WORD_STATE,
    WORD_WRITTEN,
    Segment,
    shm_name,
)
from trueflow.pipeline.live.source import PacketLayout

__all__ = ["SharedMemorySource", "SharedMemoryWriter", "open_shared_memory"]

N_SLOTS = 8
PATIENCE_S = 10.0  # as for the network: a front end that simulates its packets first takes some seconds
POLL_S = 5e-4  # adds that to the latency at most, and takes 4 % of a core
LOOK_S = 0.25  # between looks at whether the writer lives
LARGEST_WAIT_S = 60.0  # of a packet in its slot; a clock that says more is not ours
CONTINUOUS, CHECKED = 1, 2

# x86 shows another processor stores in their order. Elsewhere they need barriers, which Python cannot give: there a
# checksum says whether the samples are those that belong to the turn.
STORES_IN_ORDER = platform.machine().lower() in ("x86_64", "amd64", "i686")

# 64-bit words of a slot's header: turn, acquisition time, when its first byte came, flags, checksum.
SLOT_TURN, SLOT_ACQUIRED, SLOT_FIRST_BYTE, SLOT_FLAGS, SLOT_CHECK = range(5)


class _Slot:
    """One slot, as arrays that look at it."""

    def __init__(self, segment: Segment, index: int, layout: PacketLayout) -> None:
        begin = segment.slots_at + index * segment.slot_bytes
        header = segment.bytes[begin : begin + ALIGNMENT]
        self.words, self.times = header.view(np.uint64), header.view(np.float64)
        self.octets = segment.bytes[begin + ALIGNMENT : begin + ALIGNMENT + layout.n_bytes]
        self.samples = self.octets.view(layout.dtype).reshape(layout.shape)


class SharedMemoryWriter:
    """The sending side: what a scanner's software has to do; a context manager. Used by one thread.

    Parameters
    ----------
    url : str
        shm://NAME.
    description : Description
    n_slots : int
        A reader may be that many packets late, less one.
    checksums : bool
        Whether each packet carries one. Default: where the processor does not keep the order of stores.

    Raises
    ------
    TrueflowError
        Where another process writes under this name, or there is not enough shared memory.
    """

    def __init__(
        self, url: str, description: Description, *, n_slots: int = N_SLOTS, checksums: bool = not STORES_IN_ORDER
    ) -> None:
        self._layout, self._checksums = description.layout, checksums
        self._segment: Segment | None = Segment.create(shm_name(url), description, n_slots=n_slots)
        self._slots = [_Slot(self._segment, index, self._layout) for index in range(n_slots)]
        self.url, self.sequence = url, 0

    def write(
        self,
        samples: NDArray[Any],
        *,
        acquisition_time_s: float,
        continuous: bool = False,
        first_byte_s: float | None = None,
        check: int | None = None,
    ) -> int:
        """Put a packet into the next slot; the reader sees it once it is whole.

        Parameters
        ----------
        samples : array of the description's layout
        acquisition_time_s, continuous
            As in `Stamp`.
        first_byte_s : float, optional
            `time.monotonic()` when its first byte came from the scanner. Default: now.
        check : int, optional
            CRC-32 of the samples, where it is known.

        Returns
        -------
        int
            The packet's number.
        """
        assert self._segment is not None, "closed"
        if samples.shape != self._layout.shape or samples.dtype != self._layout.dtype:
            raise TrueflowError(
                "packet of another shape", where=self.url, found=f"{samples.dtype} {samples.shape}",
                expected=f"{self._layout.dtype} {self._layout.shape}",
            )
        number, self.sequence = self.sequence, self.sequence + 1
        slot = self._slots[number % len(self._slots)]
        slot.words[SLOT_TURN] = 2 * number + 1
        slot.times[SLOT_FIRST_BYTE] = time.monotonic() if first_byte_s is None else first_byte_s
        slot.times[SLOT_ACQUIRED] = acquisition_time_s
        np.copyto(slot.samples, samples)
        flags = CONTINUOUS if continuous else 0
        if check is None and self._checksums:
            check = zlib.crc32(slot.octets.data)
        slot.words[SLOT_FLAGS] = flags | (CHECKED if check is not None else 0)
        slot.words[SLOT_CHECK] = check or 0
        slot.words[SLOT_TURN] = 2 * number + 2
        self._segment.words[WORD_WRITTEN] = number + 1
        return number

    def skip(self) -> int:
        """Leave the next number out: a packet that the scanner has lost; which that was."""
        assert self._segment is not None, "closed"
        self.sequence += 1
        self._segment.words[WORD_WRITTEN] = self.sequence
        return self.sequence - 1

    def close(self) -> None:
        """Say that nothing will follow, and take the name away; more than once does no harm."""
        if self._segment is not None:
            segment, self._segment = self._segment, None
            segment.words[WORD_STATE] = ENDED
            segment.remove()
            self._slots.clear()
            segment.close()

    def __enter__(self) -> SharedMemoryWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_shared_memory(url: str) -> SharedMemorySource:
    """Connect to the process that writes shm://NAME."""
    return SharedMemorySource(url)


class SharedMemorySource(DescribedSource):
    """Packets of a process that writes shared memory, from the one on that it writes next; a `LiveSource`.

    Parameters
    ----------
    url : str
        shm://NAME.
    patience_s : float
        How long to wait for the writer.

    Raises
    ------
    TrueflowError
        Nobody there, something left behind, or a segment that cannot be.
    """

    def __init__(self, url: str, *, patience_s: float = PATIENCE_S) -> None:
        self._segment: Segment | None = Segment.attach(shm_name(url), patience_s=patience_s)
        self._description = self._segment.description
        self._layout = self._description.layout
        self._slots = [_Slot(self._segment, index, self._layout) for index in range(self._segment.n_slots)]
        self.name, self._numbers, self._ended = url, Numbers(), False
        self._next = int(self._segment.words[WORD_WRITTEN])
        self._numbers.begin(self._next)
        self._looked_s = time.monotonic()

    def receive(self, into: NDArray[Any], timeout_s: float) -> Stamp | None:
        """The next packet that is still there, whole."""
        if self._segment is None:
            return None
        end_s = time.monotonic() + timeout_s
        while not self._ended:
            written = int(self._segment.words[WORD_WRITTEN])
            while self._next < written:
                stamp = self._take(into, written)
                if stamp is not None:
                    return stamp
            now_s = time.monotonic()
            if self._segment.words[WORD_STATE] == ENDED and self._segment.words[WORD_WRITTEN] == written:
                self._numbers.end(written)
                self._ended = True
            elif now_s - self._looked_s > LOOK_S:
                self._look(now_s)
            if now_s >= end_s:
                break
            time.sleep(min(POLL_S, end_s - now_s))
        return None

    def close(self) -> None:
        """Let go of the memory."""
        if self._segment is not None:
            segment, self._segment = self._segment, None
            self._slots.clear()
            segment.close()

    def _take(self, into: NDArray[Any], written: int) -> Stamp | None:
        """The next packet, or None where it was skipped or overwritten."""
        n_slots = len(self._slots)
        if written - self._next >= n_slots:  # the writer may be at it again: leave room to catch up
            self._next = written - n_slots // 2
        number, self._next = self._next, self._next + 1
        slot = self._slots[number % n_slots]
        if slot.words[SLOT_TURN] != 2 * number + 2:
            return None
        np.copyto(into, slot.samples)
        acquired_s, first_byte_s = float(slot.times[SLOT_ACQUIRED]), float(slot.times[SLOT_FIRST_BYTE])
        flags, check = int(slot.words[SLOT_FLAGS]), int(slot.words[SLOT_CHECK])
        if slot.words[SLOT_TURN] != 2 * number + 2:
            return None
        if flags & CHECKED and zlib.crc32(into.reshape(-1).view(np.uint8).data) != check:
            self._numbers.corrupt(number)
            return None
        now_s = time.monotonic()
        plausible = 0 <= now_s - first_byte_s <= LARGEST_WAIT_S
        acquired_s = acquired_s if abs(acquired_s) < 1e12 else 0.0
        return Stamp(
            self._numbers.received(number), acquired_s, first_byte_s if plausible else now_s, bool(flags & CONTINUOUS)
        )

    def _look(self, now_s: float) -> None:
        """Whether the writer is still there."""
        assert self._segment is not None
        self._looked_s = now_s
        if self._segment.is_abandoned() and self._segment.words[WORD_STATE] != ENDED:
            process = int(self._segment.words[WORD_PROCESS])
            self._segment.remove()
            raise TrueflowError(
                "the process that wrote it has ended without a word", where=self.name,
                found=f"process {process} is gone", advice=f"start it again, then open {SCHEME}... again",
            )
